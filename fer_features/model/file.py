"""The model file: a zip of ``model.json``, the head, the card, and weights if wanted."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fer_features.backbones import get_backbone
from fer_features.errors import FerError, reason_of
from fer_features.heads.base import Head
from fer_features.model.card import card
from fer_features.model.head_file import check_hdf5, read_head
from fer_features.model.record import Entry, ModelRecord, decode_record, encode_record
from fer_features.model.zip_file import open_zip, read_entry
from fer_features.runtime.files import atomic_path, check_writable

SUFFIX = ".fer"
RECORD = "model.json"
CARD = "card.md"
LARGEST_RECORD = 4 << 20
"""Bytes of a ``model.json``."""

MOST_FILES = 4
_DATE = (1980, 1, 1, 0, 0, 0)
_HINT = "get the file again, or save it again from its run with fer model save"


def write_model(path: Path, record: ModelRecord, head: Head, *, weights: Path | None) -> Path:
    """Write a model's file, complete or not at all, and return its path.

    Args:
        path: the file; ``.fer`` is added where it has no suffix.
        record: what the model's file says; what it says of its own files is filled in.
        head: the fitted head.
        weights: the backbone's weights, to be put inside, if any.

    Raises:
        FerError: it cannot be written.
    """
    path = model_path(path)
    with tempfile.TemporaryDirectory() as folder:
        file = head.save(Path(folder, "head"))
        contents = {file.name: file.read_bytes()}
    inside = f"weights{weights.suffix}" if weights else None
    if weights is not None and inside is not None:
        contents[inside] = weights.read_bytes()
    record = msgspec.structs.replace(record, head_file=file.name, weights_file=inside)
    contents[CARD] = card(record).encode()
    files = {name: _entry(content) for name, content in contents.items()}
    encoded = encode_record(msgspec.structs.replace(record, files=files))
    try:
        decode_record(encoded)
    except ValueError as error:
        raise FerError(f"{path}: this is no model that a file can hold: {error}") from error
    with atomic_path(path) as temporary:
        _write_zip(temporary, {RECORD: encoded} | contents)
    return path


def model_path(path: Path) -> Path:
    """The file that a model is to be written to: with ``.fer`` where the path has no suffix.

    Raises:
        FerError: it cannot be written, or is there and no model, but a photograph, say.
    """
    path = path if path.suffix else path.with_name(path.name + SUFFIX)
    check_writable(path, hint="name another file for the model")
    if not path.exists():
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            known = RECORD in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        known = False
    if not known:
        raise FerError(
            f"{path} is no model, and is not replaced", hint="name another file for the model"
        )
    return path


def _entry(content: bytes) -> Entry:
    return Entry(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write a zip that is the same for the same contents."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)


def read_model(path: Path, folder: Path) -> tuple[ModelRecord, Head]:
    """Read a model's file; no code in it is run.

    Names, sizes, compression and hashes are checked before anything is read, then the record, then
    what the head's file holds.

    Args:
        path: the file.
        folder: an empty folder, into which the head's file and the weights are unpacked.

    Raises:
        FerError: it is missing, damaged, or no model.
    """
    try:
        record = _unpack(path, folder)
        _check_features(record)
        file = folder / record.head_file
        return record, read_head(record.head, file, n_classes=len(record.classes))
    except FerError as error:
        raise FerError(f"{path}: {error.message}", hint=error.hint or _HINT) from error
    except OSError as error:
        raise FerError(f"{path} cannot be read: {reason_of(error)}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        reason = "its record is no JSON" if isinstance(error, json.JSONDecodeError) else error
        raise FerError(f"{path} is no model, or damaged: {reason}", hint=_HINT) from error


def _unpack(path: Path, folder: Path) -> ModelRecord:
    """The record of a model's file, whose head and weights are unpacked once they are checked.

    Raises:
        OSError: it cannot be read.
        ValueError: something is wrong with it.
        FerError: a newer version has written it.
    """
    with open_zip(path, lambda _: True, most_entries=MOST_FILES) as archive:
        record = decode_record(read_entry(archive, RECORD, most=LARGEST_RECORD))
        names = {record.head_file, record.weights_file or CARD, CARD}
        if set(record.files) != names or {RECORD, *names} != set(archive.namelist()):
            raise ValueError("its files are not those that it names")
        for name, entry in record.files.items():
            if archive.getinfo(name).file_size != entry.size:
                raise ValueError(f"its entry {name} is of another size than it says")
            content = read_entry(archive, name)
            if _entry(content) != entry:
                raise ValueError(f"its entry {name} is damaged: its SHA-256 is another")
            if name == record.weights_file:
                _check_weights(record, name, content)
            if name != CARD:
                Path(folder, name).write_bytes(content)
    return record


def _check_weights(record: ModelRecord, name: str, content: bytes) -> None:
    """Check weights that are inside a model: those of the record, and arrays if they are HDF5."""
    own = get_backbone(record.spec.backbone).imagenet if record.spec.weights == "imagenet" else None
    md5 = getattr(own, "md5", "")
    published = md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() == md5
    if not published and record.files[name].sha256 != record.spec.weights_sha256:
        raise ValueError("the weights inside are not those of the record")
    if name.endswith(".h5"):
        check_hdf5(content)


def _check_features(record: ModelRecord) -> None:
    """Check that the record's features can be computed here, without building the network.

    Raises:
        FerError: there is no such backbone or layer.
    """
    backbone = get_backbone(record.spec.backbone)
    backbone.check_size(record.spec.size)
    if backbone.layers:
        backbone.check_layers(record.layers, backbone.layers)
