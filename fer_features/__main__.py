"""``fer``, and ``python -m fer_features``."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Start the command line; an interruption while it is imported is no traceback either."""
    try:
        from fer_features.cli import app

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
