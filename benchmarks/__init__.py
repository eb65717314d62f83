"""Measurements of this package against others; `python -m benchmarks --help`."""
