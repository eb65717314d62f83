"""Stage 2: labelled rows, splits, contamination, fitting, calibration."""
