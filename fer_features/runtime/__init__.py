"""Keras and OpenVINO imported quietly, console, progress, atomic files."""
