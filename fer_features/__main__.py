"""``python -m fer_features`` is ``fer``."""

from fer_features.cli import main

if __name__ == "__main__":
    main()
