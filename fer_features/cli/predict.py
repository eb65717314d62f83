"""``fer predict``."""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_features.cli.flags import Json
from fer_features.config import PredictConfig
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, print_message
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    from fer_features.model.annotate import Annotator
    from fer_features.model.decoding import Options
    from fer_features.model.model import Model
    from fer_features.model.outputs import FileOutput, Output
    from fer_features.model.pictures import Answer
    from fer_features.model.predictions import Prediction

RESUMES = "interrupted; the same command resumes where it stopped"

LONGEST_LIST = 10
"""Unreadable sources that are printed before the rest is only counted."""


def predict(config: PredictConfig, *, json: Json = False) -> None:
    """Which expression each face in pictures and videos shows, by a model.

    It is about the expression in a picture, not about what a person feels. What a model has learnt
    from, how often it is right and what it was never measured for is on its card: fer model show.

    A row a face: source, frame, time_s, face, x, y, w, h, face_score, size_px, status, label,
    p_CLASS..., model. Status is ok; uncertain (a label, but no probability is high enough: see the
    card); too_small (fewer than 20 pixels: no label; those of fewer than 32 are less often right);
    no_face; or unreadable. A file that cannot be read is a row, not an end.
    """
    from fer_features.detect.sources import list_sources
    from fer_features.model.load import load_model
    from fer_features.model.predictions import Predictions

    inputs, options, annotator = _checked(config)
    with prompt_interrupt(RESUMES if config.out else "interrupted"):
        model = load_model(config.model)
        total = sum(1 for _ in list_sources(inputs))
        if not total:
            named = ", ".join(map(str, inputs))
            raise FerError(f"no pictures or videos in {named}", hint="name others")
        file = _file(config, model)
        summary = _Summary(model.name, config.out)
        if file and file.sources == total:
            print_message(f"{file.path} is complete already; nothing to do")
        else:
            sources = list_sources(inputs)
            summary.resumed_after = file.open(sources) if file else 0
            output = file or (_Kept() if json else _on_stdout(model))
            units = _units(inputs, total - summary.resumed_after)
            try:
                for answer in _answers(model, sources, options, summary, units):
                    output.write(answer.rows)
                    if annotator:
                        annotator.write(answer.picture, answer.rows)
                summary.check_region(file)
                if file:
                    file.finish(total)
            finally:
                output.close()
            if isinstance(output, _Kept):
                summary.rows = Predictions(tuple(output.rows), tuple(model.classes)).to_dicts()
    if json:
        emit_json(summary.to_dict())
    elif summary.pictures:
        summary.show()


def _checked(config: PredictConfig) -> tuple[list[Path], Options, Annotator | None]:
    """The inputs and what is looked for in them, before anything is read."""
    from fer_features.detect.sources import check_inputs
    from fer_features.detect.video import parse_every
    from fer_features.model.annotate import Annotator
    from fer_features.model.decoding import Options

    inputs = [Path(one) for one in dict.fromkeys(config.inputs)]
    check_inputs(inputs)
    parse_every(config.every)
    whole = config.faces == "whole"
    options = Options(whole, config.largest, config.region, config.every)
    return inputs, options, Annotator(config.annotate, inputs) if config.annotate else None


def _file(config: PredictConfig, model: Model) -> FileOutput | None:
    """The file of ``--out``, which another command or model may not continue."""
    if config.out is None:
        return None
    from msgspec.json import encode

    from fer_features.model.outputs import FileOutput

    command = {
        "model": model.name,
        "model_sha256": hashlib.sha256(encode(model.record)).hexdigest(),
        **{
            name: list(value) if isinstance(value, tuple) else value
            for name in ("inputs", "faces", "largest", "region", "every")
            for value in [getattr(config, name)]
        },
    }
    return FileOutput(config.out, command, model.classes, force=config.force)


def _on_stdout(model: Model) -> Output:
    """A table on a terminal, CSV elsewhere; `sys.stdout` as it is before a progress bar."""
    from fer_features.model.outputs import TableOutput, TextOutput

    if sys.stdout.isatty():
        return TableOutput()
    return TextOutput(sys.stdout, model.classes)


def _units(inputs: Sequence[Path], files: int) -> tuple[int, str]:
    """How much there is to do, for the progress: frames of a single video, else files."""
    from fer_features.detect.sources import is_video
    from fer_features.detect.video import frames_of

    if len(inputs) == 1 and is_video(inputs[0]) and inputs[0].is_file():
        with suppress(ValueError):
            if frames := frames_of(inputs[0]):
                return frames, "frames"
    return files, "files"


def _answers(
    model: Model,
    sources: Iterator[Path],
    options: Options,
    summary: _Summary,
    units: tuple[int, str],
) -> Iterator[Answer]:
    """The answers, counted and shown as progress once they are written."""
    from fer_features.model.pictures import predict_pictures

    total, unit = units
    last = -1
    with show_progress("predicting", total, unit) as advance:
        for answer in predict_pictures(model, sources, options=options, seconds=summary.waited):
            yield answer
            summary.add(answer)
            number = answer.picture.frame
            if unit == "files":
                advance(answer.picture.ends)
            elif number is not None:
                advance(number - last)
                last = number


@dataclass
class _Kept:
    """Rows that are kept in memory, for ``--json``."""

    rows: list[Prediction] = field(default_factory=list)

    def write(self, rows: Sequence[Prediction]) -> None:
        self.rows += rows

    def close(self) -> None:
        pass


class _Summary:
    """Counts of what was predicted, and how long it took."""

    def __init__(self, model: str, out: Path | None) -> None:
        from fer_features.model.decoding import Seconds

        self.model, self.out = model, out
        self.pictures = self.faces = self.small = self.outside = self.resumed_after = 0
        self.statuses: Counter[str] = Counter()
        self.unreadable: list[dict[str, Any]] = []
        self.waited = Seconds()
        self.rows: list[dict[str, Any]] | None = None
        self._begun = time.perf_counter()

    def add(self, answer: Answer) -> None:
        self.pictures += 1
        for row in answer.rows:
            self.statuses[row.status] += 1
            self.faces += row.face is not None
            self.small += row.is_small
            self.outside += row.is_outside
            if row.status == "unreadable" and len(self.unreadable) < LONGEST_LIST:
                where = {"source": row.source, "frame": row.frame, "reason": row.reason}
                self.unreadable.append(where)

    def check_region(self, file: FileOutput | None) -> None:
        """Refuse a region that no picture has a part of; a file of such rows is removed.

        Raises:
            FerError: all pictures that could be read lie outside.
        """
        read = self.pictures - self.statuses["unreadable"]
        if self.outside and self.outside == read and not self.resumed_after:
            if file:
                file.remove()
            raise FerError(
                "every picture lies outside --region",
                hint="X,Y,W,H are pixels from the upper left corner of the upright picture",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        seconds = time.perf_counter() - self._begun
        return {
            "model": self.model,
            "out": str(self.out) if self.out else None,
            "resumed_after": self.resumed_after,
            "pictures": self.pictures,
            "faces": self.faces,
            "statuses": dict(self.statuses),
            "small": self.small,
            "outside_region": self.outside,
            "unreadable": self.unreadable,
            "seconds": round(seconds, 3),
            "waited": {step: round(s, 3) for step, s in vars(self.waited).items()},
            "pictures_per_s": round(self.pictures / seconds, 2),
            **({} if self.rows is None else {"rows": self.rows}),
        }

    def show(self) -> None:
        """Print what was counted, on stderr: stdout may have the rows."""
        seconds = time.perf_counter() - self._begun
        for one in self.unreadable:
            frame = "" if one["frame"] is None else f", frame {one['frame']:,}"
            print_message(f"unreadable: {one['source']}{frame}: {one['reason']}")
        more = self.statuses["unreadable"] - len(self.unreadable)
        if more > 0:
            print_message(f"  and {more:,} more")
        if self.small:
            print_message(
                f"{counted(self.small, 'face')} of 20 to 32 pixels (size_px): labels are "
                "less often right"
            )
        if self.outside:
            verb = "lies" if self.outside == 1 else "lie"
            print_message(f"note: {counted(self.outside, 'picture')} {verb} outside --region")
        counts = ", ".join(f"{name} {n:,}" for name, n in self.statuses.most_common())
        waited = ", ".join(f"{step} {s / seconds:.0%}" for step, s in vars(self.waited).items())
        resumed = (
            f"; {counted(self.resumed_after, 'file')} done before" if self.resumed_after else ""
        )
        print_message(
            f"{self.out or self.model}: {counted(self.pictures, 'picture')}, "
            f"{counted(self.faces, 'face')} ({counts})"
            f" in {seconds:.1f} s, {self.pictures / seconds:.1f} pictures/s ({waited}){resumed}"
        )
