"""OpenVINO, imported without telemetry and together with scikit-learn-intelex."""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, and with a thread library that others can share.

    OpenVINO's converter reports each conversion to its makers, from another process. Without the
    package ``openvino_telemetry`` it uses an empty stub instead, and so it does here.

    OpenVINO brings a copy of the thread library TBB that can be older than the one of
    scikit-learn-intelex, which fits heads. A process has only one, the first that is loaded. The
    newer serves both, so oneDAL's is loaded first if it is installed.

    If OpenVINO has been imported already, both cannot be changed.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    with contextlib.suppress(ImportError):  # it is optional; alone it takes about 0.1 s
        importlib.import_module("onedal")
    telemetry = "openvino_telemetry"
    if telemetry in sys.modules:
        return importlib.import_module("openvino")
    sys.modules[telemetry] = None  # type: ignore[assignment]  # makes importing it fail
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[telemetry]
