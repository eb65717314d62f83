"""OpenVINO, imported without telemetry and together with scikit-learn-intelex."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

_queues: weakref.WeakSet[Any] = weakref.WeakSet()


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


def make_queue(model: Any, callback: Callable[[Any, Any], None], requests: int = 0) -> Any:
    """A queue of requests, which Python waits for when it ends.

    A callback that has given its result may still run when the program ends; its thread, which
    Python would then stop, would end the process with an abort.

    Args:
        model: a compiled model.
        callback: called with each finished request and its data.
        requests: how many; 0 for as many as are fastest.
    """
    queue = importlib.import_module("openvino").AsyncInferQueue(model, requests)
    queue.set_callback(callback)
    if not _queues:
        atexit.register(_wait)
    _queues.add(queue)
    return queue


def _wait() -> None:
    for queue in list(_queues):
        queue.wait_all()
