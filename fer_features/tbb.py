"""One Intel TBB library for all that need one.

OpenVINO and oneDAL (behind scikit-learn-intelex) each bring a TBB. Whichever is loaded first
serves both, and OpenVINO's lacks functions that oneDAL needs. So the one of the package ``tbb``,
which comes with oneDAL and is the newer, is loaded before either.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, files

_NAMES = ("libtbb.so.12", "tbb12.dll")


@cache
def load_tbb() -> None:
    """Load the package's TBB, if it is installed; to be called before OpenVINO is imported."""
    with suppress(PackageNotFoundError):
        for file in files("tbb") or ():
            if file.name in _NAMES:
                with suppress(OSError):  # of another platform: then nothing here needs it
                    ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)
