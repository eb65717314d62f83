"""What a model says about faces: one row a face, the same for every output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_features.errors import FerError

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("ok", "uncertain", "too_small", "no_face", "unreadable")

SMALL_PX = 32
"""Faces of fewer pixels get a label that is less often right: see the model card."""


OUTSIDE = "outside the region"
"""The reason why a picture of which the region holds no pixel has no face."""


@dataclass(frozen=True)
class Prediction:
    """A row: a face, a picture or frame without one, or what could not be read.

    Attributes:
        source: the file, or the place of an array among the pictures.
        frame: number of a video's frame, from 0.
        time_s: seconds from the start of the video.
        face: number of the face in its picture, from 0, by descending score.
        x, y, w, h: the face's box in pixels of the picture as it is shown, from the upper left.
        face_score: the detector's score; None where the whole picture is the face.
        size_px: side of the square that the face was cropped from, in pixels as decoded: less than
            `h` where a huge picture was reduced, at most the picture's shorter side where the
            whole picture is the face.
        status: ``ok``; ``uncertain``: no probability reaches the model's `uncertain_below`;
            ``too_small``: fewer than `REFUSED_PX` pixels, no label; ``no_face``; ``unreadable``.
        label: the predicted class.
        probabilities: of the classes, in the model's order.
        model: the model's name.
        reason: why the source is unreadable; `OUTSIDE` where it has no face for that reason.
    """

    source: str
    frame: int | None = None
    time_s: float | None = None
    face: int | None = None
    x: float | None = None
    y: float | None = None
    w: float | None = None
    h: float | None = None
    face_score: float | None = None
    size_px: float | None = None
    status: str = "ok"
    label: str | None = None
    probabilities: tuple[float, ...] | None = None
    model: str = ""
    reason: str = ""

    @property
    def is_small(self) -> bool:
        """Whether there is a label, of a face of few pixels."""
        return self.label is not None and (self.size_px or 0) < SMALL_PX

    @property
    def is_outside(self) -> bool:
        """Whether the region that was looked at holds no pixel of the picture."""
        return self.reason == OUTSIDE


_BEFORE = tuple(Prediction.__dataclass_fields__)[:12]
_DECIMALS = {
    "time_s": 6, "x": 1, "y": 1, "w": 1, "h": 1, "face_score": 4, "size_px": 1, "p": 6
}  # fmt: skip


def columns(classes: Sequence[str]) -> list[str]:
    """Names of a row's cells, for a model of these classes."""
    return [*_BEFORE, *(f"p_{one}" for one in classes), "model"]


def cells(row: Prediction, classes: Sequence[str]) -> list[Any]:
    """A row's cells, rounded, in the order of `columns`; None for an empty one."""
    probabilities = row.probabilities or (None,) * len(classes)
    return [
        *(_rounded(getattr(row, name), _DECIMALS.get(name)) for name in _BEFORE),
        *(_rounded(one, _DECIMALS["p"]) for one in probabilities),
        row.model,
    ]


def _rounded(value: Any, decimals: int | None) -> Any:
    return value if value is None or decimals is None else round(float(value), decimals)


@dataclass(frozen=True)
class Predictions(Sequence[Prediction]):
    """The rows of some pictures, in the pictures' order.

    Attributes:
        rows: one or more for each picture.
        classes: of the model.
    """

    rows: tuple[Prediction, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        return self.rows[place]

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as plain JSON types, by the names of the columns of ``fer predict``."""
        names = columns(self.classes)
        return [dict(zip(names, cells(row, self.classes), strict=True)) for row in self.rows]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas data frame with the columns of ``fer predict``.

        Raises:
            FerError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise FerError("a data frame needs pandas", hint="pip install pandas") from error
        rows = [cells(row, self.classes) for row in self.rows]
        return pd.DataFrame(rows, columns=columns(self.classes))
