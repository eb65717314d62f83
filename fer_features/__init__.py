"""Facial-expression classification in two stages: features cached once, heads in seconds."""

from fer_features.errors import FerError

__all__ = ["FerError", "__version__"]

__version__ = "0.1.0"
