"""Draws the built-in sample, 600 faces in FER2013's form: ``python -m tools.draw_sample``."""
