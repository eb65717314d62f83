"""scikit-learn's slow estimators from scikit-learn-intelex, where it is installed.

Only what heads ask for here comes from it; scikit-learn itself is not patched. What is fitted is
copied into plain arrays or scikit-learn's own objects, so that a model file needs neither.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import version
from typing import Any

from fer_features.tbb import load_tbb


@cache
def library() -> str:
    """What fits logistic regressions and SVMs here, with its version, for people."""
    load_tbb()
    try:
        importlib.import_module("sklearnex.svm")
    except ImportError:  # not installed, or OpenVINO's older TBB was loaded before ours
        return f"scikit-learn {version('scikit-learn')}"
    return f"scikit-learn-intelex {version('scikit-learn-intelex')}"


def accelerated() -> bool:
    """Whether scikit-learn-intelex can be used here."""
    return library().startswith("scikit-learn-intelex")


def estimator(module: str, name: str) -> Any:
    """The class ``name`` of ``sklearn.module``, in its faster form if there is one."""
    package = "sklearnex" if accelerated() else "sklearn"
    return getattr(importlib.import_module(f"{package}.{module}"), name)
