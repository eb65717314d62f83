"""The one way to OpenVINO: quiet, and in one process with scikit-learn-intelex."""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType


def import_openvino() -> ModuleType:
    """Import OpenVINO, which then keeps what it does to itself and leaves others their TBB.

    Its converter would report each conversion to its makers, from a process of its own. Where the
    package that does so is missing it uses an empty one in its place, and so it does here.

    It also brings a copy of the thread library TBB that can be older than the one that
    scikit-learn-intelex, by which heads are fitted, is linked to; a process has but one, the first
    to be loaded. The newer serves both, so oneDAL's is loaded first where there is one.

    Whoever has imported OpenVINO before has made both choices already.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    with contextlib.suppress(ImportError):  # it is optional; alone it takes about 0.1 s
        importlib.import_module("onedal")
    reporter = "openvino_telemetry"
    hidden = reporter not in sys.modules
    if hidden:
        sys.modules[reporter] = None  # type: ignore[assignment]  # makes importing it fail
    try:
        return importlib.import_module("openvino")
    finally:
        if hidden:
            del sys.modules[reporter]
