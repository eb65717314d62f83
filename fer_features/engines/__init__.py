"""How a backbone is run."""

from fer_features.engines.keras_engine import KerasEngine

__all__ = ["KerasEngine"]
