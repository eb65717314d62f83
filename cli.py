#!/usr/bin/env python3
"""Run the command line from a clone, without installing it: ``python cli.py --help``."""

from fer_features.__main__ import main

if __name__ == "__main__":
    main()
