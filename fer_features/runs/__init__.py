"""A run as a file; comparison as a function of such files."""
