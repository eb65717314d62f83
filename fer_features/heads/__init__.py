"""Heads: classifiers on cached features, registered by name and imported lazily.

A new head is one file with a `fer_features.heads.base.Head` in it and one line in `HEADS`.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_features.errors import FerError

if TYPE_CHECKING:
    from fer_features.heads.base import Head

__all__ = [
    "HEADS",
    "HeadInfo",
    "head_class",
    "head_names",
    "list_heads",
    "load_head",
    "make_head",
    "params_of",
]

HEADS = {
    "dense": "fer_features.heads.dense:DenseHead",
    "logreg": "fer_features.heads.logreg:LogisticRegressionHead",
    "svm": "fer_features.heads.svm:SupportVectorHead",
    "mlp": "fer_features.heads.mlp:MlpHead",
    "ridge": "fer_features.heads.ridge:RidgeHead",
    "ensemble": "fer_features.heads.ensemble:EnsembleHead",
}
"""Where each head's class is: ``module:Class``."""


class HeadInfo(NamedTuple):
    """A head in a list of them.

    Attributes:
        name: its name in the registry and on the command line.
        title: its name in tables and figures.
        needs: ``pooled`` for one vector an image, ``map`` for feature maps.
    """

    name: str
    title: str
    needs: str


def head_names() -> tuple[str, ...]:
    """The heads' names; imports none of them."""
    return tuple(HEADS)


def head_class(name: str) -> type[Head]:
    """A head's class.

    Raises:
        FerError: there is no head of that name.
    """
    if name not in HEADS:
        raise FerError(f"there is no head {name!r}", hint=f"the heads are {', '.join(HEADS)}")
    module, _, attribute = HEADS[name].partition(":")
    found: type[Head] = getattr(importlib.import_module(module), attribute)
    return found


def list_heads() -> tuple[HeadInfo, ...]:
    """Each head's name, title and needed features."""
    return tuple(HeadInfo(one.name, one.title, one.needs) for one in map(head_class, HEADS))


def make_head(name: str, **parameters: Any) -> Head:
    """Make an unfitted head.

    Args:
        name: one of `head_names`.
        parameters: its constructor's; the rest keep their defaults. Several names may be one text
            with commas between.

    Raises:
        FerError: there is no such head, it has no such parameter, or a value is of another type
            than the parameter's.
    """
    cls = head_class(name)
    hints = typing.get_type_hints(cls.__init__)
    known = inspect.signature(cls).parameters
    hint = "its parameters are " + ", ".join(f"{key}={known[key].default!r}" for key in known)
    for key, value in dict(parameters).items():
        if key not in known:
            raise FerError(f"the {name} head has no parameter {key!r}", hint=hint)
        if isinstance(value, str) and hints[key] == Sequence[str]:
            parameters[key] = value = tuple(value.split(","))
        if not _is_of_type(value, hints[key]):
            raise FerError(f"the {name} head's {key} cannot be {value!r}", hint=hint)
    return cls(**parameters)


def load_head(name: str, path: str | Path) -> Head:
    """Read a fitted head from the file that its `save` wrote.

    Raises:
        FerError: there is no such head, or the file is missing, damaged, of another head, or
            holds other types than a head's file does.
    """
    return head_class(name).load(path)


def params_of(name: str, params: Mapping[str, Any], *, heads: Sequence[str]) -> dict[str, Any]:
    """The parameters meant for one head: those without a head's name, and its own.

    Args:
        name: the head.
        params: values by ``parameter`` or ``head.parameter``.
        heads: names of all heads that are fitted.

    Raises:
        FerError: a parameter is for a head that is not fitted.
    """
    own = {}
    for key, value in params.items():
        head, dot, parameter = key.rpartition(".")
        if dot and head not in heads:
            raise FerError(
                f"--set {key}: no head {head} is fitted", hint=f"fitted are {', '.join(heads)}"
            )
        if not dot or head == name:
            own[parameter] = value
    return own


def _is_of_type(value: object, hint: Any) -> bool:
    """Whether a value is of a type, which is a plain one or a sequence of one."""
    if typing.get_origin(hint) is Sequence:
        (item,) = typing.get_args(hint)
        return isinstance(value, (list, tuple)) and all(_is_of_type(each, item) for each in value)
    kind = {int: Integral, float: Real}.get(hint, hint)
    return isinstance(value, kind) and (hint is bool or not isinstance(value, bool))
