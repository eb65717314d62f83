"""Models that come with the package, of files and of runs: `load_model`."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from fer_features.backbones import get_backbone
from fer_features.backbones.weights import file_sha256
from fer_features.errors import FerError
from fer_features.heads import load_head
from fer_features.model.file import read_model
from fer_features.model.model import Model
from fer_features.model.record import Isotonic, ModelRecord, Platt, coverage
from fer_features.runs.run import RECORD, Run, read_run
from fer_features.runtime.text import plain_text

PACKAGED = ("fernet", "fernet-binary")
"""Names of the models that come with the package; the first is the default."""


def load_model(source: Run | Path | str = "fernet", **options: Any) -> Model:
    """Read a model: one that comes with the package, a file, or a run's.

    Args:
        source: ``fernet`` or ``fernet-binary``, the path of a model's file or of a run's folder, or
            a run.
        options: ``engine`` and ``precision``, as for `Model`.

    Raises:
        FerError: there is none, or it is damaged.
    """
    if isinstance(source, Run):
        return model_of_run(source, **options)
    path = Path(source)
    if path.is_dir() or path.name == RECORD:
        return model_of_run(read_run(path), **options)
    packaged = None if path.is_file() else packaged_file(str(source))
    path = packaged or path
    if not os.path.lexists(path):
        raise FerError(
            f"no model {plain_text(str(source))}",
            hint=f"{' and '.join(PACKAGED)} come with the package; or give a model's file, or the "
            "folder of a run",
        )
    folder = Path(tempfile.mkdtemp(prefix="fer-model-"))
    remove = partial(shutil.rmtree, folder, ignore_errors=True)
    kept = False
    try:
        record, head = read_model(path, folder)
        inside = folder / record.weights_file if record.weights_file else None
        folders = (path.parent, Path())
        name, digest = plain_text(path.stem), "" if packaged else file_sha256(path)
        model = Model(
            record, head, name=name, digest=digest, inside=inside, folders=folders, **options
        )
        if inside is not None:  # Keras and OpenVINO read it when the network is built
            weakref.finalize(model, remove)
            kept = True
    finally:
        if not kept:
            remove()
    return model


def model_of_run(run: Run, *, uncertain_below: float | None = None, **options: Any) -> Model:
    """The model of a run.

    Args:
        run: the run.
        uncertain_below: highest probability below which an answer is called uncertain.
        options: ``engine`` and ``precision``, as for `Model`.

    Raises:
        FerError: its head's file or its predictions are missing or damaged.
    """
    record = run.record
    file = record.files.get("model")
    if file is None:
        raise FerError(f"{run.path} has no model file", hint="fit again")
    head = load_head(record.head.name, run.path / file)
    folders = (Path(), run.path, run.path.parent, Path(record.cache.path).parent)
    digest = file_sha256(run.path / RECORD)
    return Model(_record(run, uncertain_below), head, digest=digest, folders=folders, **options)


def _record(run: Run, uncertain_below: float | None) -> ModelRecord:
    record = run.record
    spec, test = record.cache.spec, run.predictions().test
    head: Any = record.head  # its texts are checked when the model is saved
    backbone = get_backbone(spec.backbone)
    uncertain = coverage(
        test.label,
        test.probability,
        measured_on=f"{len(test.label):,} test rows of {record.data.name}",
    )
    return ModelRecord(
        name=record.id,
        created=record.created,
        spec=msgspec.structs.replace(
            spec,
            size=spec.size or backbone.default_size,
            preprocess=spec.preprocess or "keras",
            learnt_from=record.learnt_from,
        ),
        layers=head.layers,
        output=head.features,
        views=head.views,
        combine=head.combine,
        head=head.name,
        head_title=head.title,
        task=record.task,
        threshold=record.operate.threshold if record.operate else None,
        calibrator=_calibrator(run),
        uncertain=msgspec.structs.replace(uncertain, below=uncertain_below),
        data=record.data,
        source_sha256=record.cache.dataset.sha256 if record.cache.dataset else "",
        split=record.split,
        validation=record.validation,
        test=record.test,
        intervals=record.intervals,
        marks=record.marks,
        command=record.command,
        software=record.software,
    )


def _calibrator(run: Run) -> Platt | Isotonic | None:
    calibration = run.record.calibration
    if calibration is None:
        return None
    try:
        return msgspec.convert(calibration.calibrator, Platt | Isotonic)
    except msgspec.ValidationError as error:
        raise FerError(
            f"{run.path} does not record its calibration, as versions before did not",
            hint="fit again",
        ) from error


def packaged_file(name: str) -> Path | None:
    """The file of a packaged model; None if there is none of that name."""
    return Path(__file__).with_name(f"{name}.fer") if name in PACKAGED else None
