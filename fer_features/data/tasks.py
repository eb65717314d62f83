"""Tasks, i.e. which emotions make which class, and the selection of rows for them."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS
from fer_features.data.faces import IMAGE_SIZE
from fer_features.data.ferplus import Votes, not_a_face
from fer_features.errors import FerError
from fer_features.runtime.text import checked_name, plain_text, shortened

REFERENCE_PER_CLASS = 8500
"""Images in each class of the published binary task."""

OUTSIDE = -1
"""The label of an emotion that belongs to no class of a task."""


@dataclass(frozen=True)
class Task:
    """A classification task over the seven emotions.

    Attributes:
        name: ``binary``, ``seven``, or the name in the user's file.
        classes: for each class its name and the emotions that make it; a class's code is its
            place here.
        positive: the class of which precision, recall and F1 are computed; None for more than two
            classes, where they are macro averages.
    """

    name: str
    classes: tuple[tuple[str, tuple[str, ...]], ...]
    positive: str | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, in the order of their codes."""
        return tuple(name for name, _ in self.classes)

    def labels(self, emotion: NDArray[np.int8]) -> NDArray[np.int64]:
        """Class codes (N,) of emotion codes (N,); `OUTSIDE` where an emotion is in no class."""
        table = np.full(len(EMOTIONS), OUTSIDE, np.int64)
        for code, (_, emotions) in enumerate(self.classes):
            table[[EMOTIONS.index(one) for one in emotions]] = code
        return table[emotion]

    def to_dict(self) -> dict[str, Any]:
        """The task as plain JSON types; `Task.from_dict` reads it back."""
        return {
            "name": self.name,
            # a list, not an object: the order is the classes' codes, and JSON objects have none
            "classes": [
                {"name": name, "emotions": list(emotions)} for name, emotions in self.classes
            ],
            "positive": self.positive,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Task:
        """The inverse of `to_dict`.

        Raises:
            FerError: a name cannot be printed.
        """
        name = checked_name(data["name"], "the task's name")
        classes = tuple(
            (checked_name(one["name"], "a class's name"), tuple(one["emotions"]))
            for one in data["classes"]
        )
        return cls(name, classes, data["positive"])


BINARY = Task(
    name="binary",
    classes=(("not happy", ("angry", "fear", "sad")), ("happy", ("happy",))),
    positive="happy",
)
"""Happy (1) against angry, fear and sad (0): the published task."""

SEVEN = Task(name="seven", classes=tuple((name, (name,)) for name in EMOTIONS))
"""Every emotion a class of its own."""

TASKS = {task.name: task for task in (BINARY, SEVEN)}


def load_task(task: str) -> Task:
    """The task of that name, or the one described in a TOML file.

    A file holds a table ``[classes]`` with a list of emotions for each class, and optionally
    ``name`` and, for two classes, ``positive`` (default: the class that is named last)::

        name = "pleasant"
        positive = "pleasant"

        [classes]
        unpleasant = ["angry", "disgust", "fear", "sad"]
        pleasant = ["happy"]

    Raises:
        FerError: no such task or file, or the file's contents are not as above.
    """
    if task in TASKS:
        return TASKS[task]
    try:
        path = Path(task).expanduser()
        found = path.is_file()
    except (OSError, RuntimeError, ValueError):  # no such user, or too long a name
        found = False
    if found:
        return _read_task(path)
    raise FerError(
        f"no such task: {_short(task)}",
        hint=f"give {', '.join(TASKS)} or the path of a TOML file with a [classes] table",
    )


_TASK_HINT = "it takes a table [classes] of lists of emotions, and a name and positive"


class _TaskFile(msgspec.Struct, forbid_unknown_fields=True):
    classes: dict[str, list[str]]
    name: str | None = None
    positive: str | None = None


def _read_task(path: Path) -> Task:
    try:
        text = path.read_text(encoding="utf-8-sig")
        file = msgspec.convert(tomllib.loads(text), _TaskFile)
    except OSError as error:
        raise FerError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FerError(f"{path} is not a text file in UTF-8", hint=_TASK_HINT) from error
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise FerError(
            f"{path} does not describe a task: {_short(error)}",
            hint=_TASK_HINT,
        ) from error
    name = checked_name(path.stem if file.name is None else file.name, f"{path}: name")
    names = [checked_name(one, f"{path}: a class's name") for one in file.classes]
    emotions = [one for listed in file.classes.values() for one in listed]
    for emotion in emotions:
        if emotion not in EMOTIONS or emotions.count(emotion) > 1:
            wrong = "stands in two places" if emotion in EMOTIONS else "is no emotion"
            raise FerError(
                f"{path}: {_short(emotion)} {wrong}", hint=f"known are {', '.join(EMOTIONS)}"
            )
    if len(names) < 2 or not all(file.classes.values()):
        raise FerError(
            f"{path}: a task has two classes or more, each with an emotion or more",
            hint="as in [classes], then happy = ['happy'] and other = ['sad', 'angry'], say",
        )
    positive = names[-1] if file.positive is None and len(names) == 2 else file.positive
    if positive is not None and (len(names) != 2 or positive not in names):
        raise FerError(
            f"{path}: positive must name one of exactly two classes",
            hint=f"the classes are {', '.join(names)}; with more than two, leave positive out",
        )
    classes = tuple((one, tuple(listed)) for one, listed in file.classes.items())
    return Task(name, classes, positive)


def _short(text: object) -> str:
    return plain_text(shortened(str(text), 60))


def choose_rows(
    task: Task, emotion: NDArray[np.int8], *, per_class: int | str | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """Choose rows for a task, the same number in each class.

    Args:
        task: which emotions make which class.
        emotion: emotion codes (N,).
        per_class: how many rows of each class are drawn; ``"all"`` takes every row of every
            class, balanced or not; None means 8,500 for the published binary task where the data
            has that many, else the size of the smallest class.
        seed: seed of the draw.

    Returns:
        Places in `emotion`, ascending, int64.

    Raises:
        FerError: a class has fewer rows than asked for, or none.
    """
    label = task.labels(emotion)
    counts = np.bincount(label[label != OUTSIDE], minlength=len(task.classes))
    found = ", ".join(f"{n} of {name!r}" for name, n in zip(task.class_names, counts, strict=True))
    if counts.min() == 0:
        raise FerError(f"task {task.name}: a class has no images at all ({found})")
    if per_class == "all":
        return np.flatnonzero(label != OUTSIDE)
    wanted = int(counts.min()) if per_class is None else int(per_class)
    if per_class is None and task == BINARY:
        wanted = min(wanted, REFERENCE_PER_CLASS)
    if wanted < 1:
        raise FerError(f"--per-class must be at least 1, not {wanted}")
    if wanted > counts.min():
        raise FerError(
            f"task {task.name}: {wanted} images of each class are asked for, there are {found}",
            hint=f"--per-class {counts.min()} is the most that can be balanced; --per-class all "
            "takes everything",
        )
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(label == code), wanted, replace=False)
        for code in range(len(task.classes))
    ]
    return np.sort(np.concatenate(drawn))


DROPS = ("notface", "constant", "conflict")
"""``notface``: not a face by most votes; ``constant``: one grey level; ``conflict``: identical
images with different labels."""


def rows_to_drop(
    names: Sequence[str],
    *,
    emotion: NDArray[np.int8],
    sha256: NDArray[np.bytes_],
    votes: Votes | None = None,
) -> dict[str, NDArray[np.bool_]]:
    """Find rows to leave out, by reason.

    Args:
        names: some of `DROPS`.
        emotion: labels (N,).
        sha256: hashes of the images' bytes (N,).
        votes: FER+'s votes on these rows, for ``notface``.

    Returns:
        For each name bool (N,).

    Raises:
        FerError: there is no such reason, or votes are needed and not given.
    """
    found = {}
    for name in names:
        if name == "constant":
            found[name] = np.isin(sha256, _constant_images())
        elif name == "conflict":
            found[name] = conflicting(emotion, sha256)
        elif name == "notface":
            if votes is None:
                raise FerError(
                    "--drop notface needs FER+ votes", hint="name their file with --ferplus"
                )
            found[name] = not_a_face(votes)
        else:
            raise FerError(f"no such rows to drop: {name}", hint=f"known are {', '.join(DROPS)}")
    return found


def conflicting(
    emotion: NDArray[np.int8], same: NDArray[np.bytes_] | NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Where the same picture also has another label: bool (N,).

    Args:
        emotion: labels (N,).
        same: hashes or group numbers (N,), equal for images of the same picture.
    """
    _, group = np.unique(same, return_inverse=True)
    labels = np.unique(np.stack([group, emotion.astype(np.int64)], axis=1), axis=0)[:, 0]
    several: NDArray[np.bool_] = (np.bincount(labels) > 1)[group]
    return several


@cache
def _constant_images() -> NDArray[np.bytes_]:
    """Hashes of the 256 images that are all one grey level."""
    sizes = IMAGE_SIZE * IMAGE_SIZE
    return np.array(
        [hashlib.sha256(bytes([grey]) * sizes).hexdigest().encode() for grey in range(256)]
    )
