"""Whether a run's ``run.json``, which anybody may have written, can be shown at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fer_features.data.tasks import Task
from fer_features.errors import FerError
from fer_features.metrics import NUMBERS
from fer_features.runtime.text import LONGEST_FILE_NAME, checked_name, is_printable

LONGEST_TEXT = 4096
"""Characters of any text in a record; the command and the cache's path are the longest."""

LARGEST = 1e18
"""No number in a record is larger; Python's own integers have no bound."""

DEEPEST = 12
"""How many objects and lists may stand in each other."""

Check = Callable[[Any], bool]


def fault_of(record: Any) -> str:
    """What is wrong with a record, in a few words; empty where nothing is."""
    fault = _odd_value(record) or _misfit(record, _RECORD, "")
    if fault:
        return fault
    try:
        names = Task.from_dict(record["task"]).class_names
        checked_name(record["data"]["name"], "the data's name", longest=LONGEST_FILE_NAME)
        for what, name in (("the run's id", record["id"]), ("the head", record["head"]["name"])):
            checked_name(name, what)
    except FerError as error:
        return error.message
    for part in ("validation", "test"):
        scores = record[part]
        if len(scores["classes"]) != len(names) or not _is_square(scores["confusion"], len(names)):
            return f"{part} is of other classes than the task"
        if scores.get("positive") not in (None, *scores["classes"]):
            return f"{part}.positive is none of its classes"
    return ""


def _odd_value(record: Any) -> str:
    """The first text or number, anywhere in a record, that no run has."""
    waiting = [(record, "", 0)]
    while waiting:
        value, at, depth = waiting.pop()
        if depth > DEEPEST:
            return "it is nested too deeply"
        if isinstance(value, dict):
            if not all(len(key) <= LONGEST_TEXT and is_printable(key) for key in value):
                return f"{at or 'it'} has a key that cannot be printed"
            waiting += [(one, f"{at}.{key}".lstrip("."), depth + 1) for key, one in value.items()]
        elif isinstance(value, list):
            waiting += [(one, at, depth + 1) for one in value]
        elif isinstance(value, str) and not (len(value) <= LONGEST_TEXT and is_printable(value)):
            return f"{at} is no printable line of at most {LONGEST_TEXT:,} characters"
        elif isinstance(value, int | float) and not abs(value) < LARGEST:  # not even NaN
            return f"{at} is no number that a run can have"
    return ""


def _misfit(value: Any, shape: Any, at: str) -> str:
    """The first field that is missing or of a wrong type.

    Args:
        value: what the file gives.
        shape: a dict of shapes by field, those that may be missing with a ``?`` behind their name;
            a list of one shape for a list of any length; or a check.
        at: where `value` stands.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{at or 'it'} is no object"
        for name, inner in shape.items():
            field, place = name.rstrip("?"), f"{at}.{name.rstrip('?')}".lstrip(".")
            if field not in value:
                if name.endswith("?"):
                    continue
                return f"{place} is missing"
            if fault := _misfit(value[field], inner, place):
                return fault
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{at} is no list"
        return next((fault for one in value if (fault := _misfit(one, shape[0], at))), "")
    return "" if shape(value) else f"{at} is not of the right type"


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _maybe(shape: Any) -> Check:
    """None, or what `shape` describes."""
    return lambda value: value is None or not _misfit(value, shape, "")


def _each(check: Check) -> Check:
    """An object whose values all pass."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value))


def _is_square(rows: Any, n: int) -> bool:
    """Whether it is a matrix (n, n) of counts."""
    return len(rows) == n and all(len(row) == n for row in rows)


def _history(value: Any) -> bool:
    """Learning curves: as many numbers, one or more, of each kind."""
    return (
        isinstance(value, dict)
        and {"loss", "val_loss"} <= set(value)
        and all(isinstance(one, list) and all(map(_number, one)) for one in value.values())
        and len({len(one) for one in value.values()} - {0}) == 1
        and all(value.values())
    )


def _sizes(value: Any) -> bool:
    """A learning curve by the number of training images, which ascends."""
    fits = not _misfit(value, [{"rows": _count, **_CURVE}], "") and bool(value)
    rows = [one["rows"] for one in value] if fits else [0]
    return rows[0] > 0 and rows == sorted(rows)


def _operate(value: Any) -> bool:
    """A wish, and the threshold that gives it with what it gives, or why none does."""
    if _misfit(value, {"wish": _text, "value": _number, "threshold": _maybe(_number)}, ""):
        return False
    given = {"validation": _THRESHOLD, "test": _THRESHOLD}
    met = value["threshold"] is not None
    return not _misfit(value, given if met else {"unmet": _text}, "")


_CURVE: dict[str, Check] = {"train_accuracy": _number, "validation_accuracy": _number}
_SCORES: dict[str, Any] = {
    **dict.fromkeys(NUMBERS, _maybe(_number)),
    "accuracy": _number,
    "classes": [_text],
    "positive?": _maybe(_text),
    "confusion": [[_count]],
}
_THRESHOLD = {"precision": _number, "recall": _number}
_LOSSES = {name: _maybe(_number) for name in ("log_loss", "brier", "ece")}
_FOLDS = {"accuracy": _number, "f1": _number}
_RECORD: dict[str, Any] = {
    "id": _text,
    "created": _text,
    "cache": {
        "path?": _text,
        "key": _text,
        "spec": {
            "backbone": _text,
            "weights": _text,
            "precision": _text,
            "learnt_from?": _text,
        },
        "dataset?": {"name": _text},
    },
    "data": {
        "name": _text,
        "rows": _count,
        "digest": _text,
        "labels": _text,
        "dropped": _each(_count),
        "seen?": _maybe(_each(_count)),
        "counts?": {"train?": [_count]},
        "provenance?": {
            "state": _text,
            "exact?": _maybe(_count),
            "copies?": _maybe(_count),
        },
    },
    "task": {
        "name": _text,
        "classes": [
            {
                "name": _text,
                "emotions": lambda value: bool(value) and not _misfit(value, [_text], ""),
            }
        ],
        "positive": _maybe(_text),
    },
    "split": {
        "name": _text,
        "seed": _maybe(_count),
        **dict.fromkeys(("train", "validation", "test"), _count),
        "leaked": {"exact": _count, "near": _count, "registered?": _count},
        "validation_from?": _text,
    },
    "seed": _count,
    "head": {
        "name": _text,
        "title?": _text,
        "features?": _text,
        "layers": [_text],
        "views": [_text],
        "params": _object,
        "chosen": _object,
    },
    "validation": _SCORES,
    "test": _SCORES,
    "intervals": _each(_maybe(_pair)),
    "leak": _maybe(
        {
            "test_twins": lambda value: _count(value) and value > 0,
            "accuracy_on_twins": _share,
            "accuracy_on_others": _maybe(_share),
        }
    ),
    "calibration": _maybe({"method": _text, "before?": {"test": _LOSSES}}),
    "operate": _maybe(_operate),
    "cv?": _maybe({"folds": _count, "mean": _FOLDS, "std": _FOLDS}),
    "sizes": _maybe(_sizes),
    "history": _maybe(_history),
    "seconds": {"fit": _number, "predict": _number},
    "command?": _text,
    "software?": _each(_text),
}
"""What the readers of a record rely on; it may hold more."""
