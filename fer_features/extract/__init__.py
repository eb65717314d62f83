"""Stage 1: what is missing is read, run and written."""
