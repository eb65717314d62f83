"""How a backbone is run: Keras or OpenVINO for networks, NumPy for descriptors."""

from fer_features.engines.engine import Engine, Features, GraphSpec
from fer_features.engines.select import (
    ENGINES,
    PRECISIONS,
    EngineChoice,
    choose_engine,
    choose_for,
    make_engine,
)

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Engine",
    "EngineChoice",
    "Features",
    "GraphSpec",
    "choose_engine",
    "choose_for",
    "make_engine",
]
