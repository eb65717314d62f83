"""Packages that can be called, for a public function that has its package's name.

``fer_features.fit`` is a package and, in the public API, a function. Python sets the attribute
``fit`` of ``fer_features`` to the package as soon as any module of it is imported, whatever stood
there before. So the package itself is made callable, and nothing depends on the order of imports.
For type checkers ``fer_features/__init__.py`` imports the function under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import sys
from pkgutil import resolve_name
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package whose call is a call of one of its functions, imported when first called."""

    __function__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return resolve_name(self.__function__)(*args, **kwargs)


def make_callable(package: str, function: str) -> None:
    """Make an imported package callable.

    Args:
        package: its name; ``__name__`` in its ``__init__.py``.
        function: what a call of it calls, ``module:function``.
    """
    module = sys.modules[package]
    module.__class__ = CallablePackage
    module.__dict__["__function__"] = function
