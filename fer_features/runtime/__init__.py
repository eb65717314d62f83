"""Keras and OpenVINO imported without log lines, console, progress, atomic files."""
