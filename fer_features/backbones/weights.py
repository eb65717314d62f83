"""Where a backbone's weights come from: ImageNet, this package, a local file, or a seed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer_features.backbones.backbone import BACKBONES, Backbone, PretrainedFile
from fer_features.backbones.descriptors import recipes_sha256
from fer_features.backbones.weights_file import Seen, assign, is_weights_file, read_weights
from fer_features.config import MAX_SEED
from fer_features.errors import FerError, install_hint
from fer_features.runtime.keras_runtime import import_keras, keras_home

DOWNLOAD_TIMEOUT_S = 10.0
"""How long a download may stand still before it is given up."""

FILE_SUFFIXES = (".h5", ".keras")  # ".weights.h5" ends in ".h5"


@dataclass(frozen=True)
class Weights:
    """Weights that have been named and identified, but not loaded yet.

    Attributes:
        kind: ``imagenet``, ``shipped``, ``file``, ``random``, or ``none`` for descriptors.
        label: what a person calls them: ``imagenet``, ``shipped``, ``random:0``, ``none`` or a
            file's name.
        sha256: hex SHA-256 of the file; of the seed and the recipe for random weights; of the
            recipes for descriptors.
        path: the local file, for the kinds ``file`` and ``shipped``.
        seed: the seed, for kind ``random``.
    """

    kind: Literal["imagenet", "shipped", "file", "random", "none"]
    label: str
    sha256: str
    path: Path | None = None
    seed: int | None = None


def resolve_weights(text: str | None, backbone: Backbone) -> Weights:
    """Say which weights `text` means, without building a network or downloading anything.

    Args:
        text: ``imagenet``, ``shipped``, ``random:SEED``, or the path of a ``.h5``,
            ``.weights.h5`` or ``.keras`` file; None for the backbone's own.
        backbone: the network they are for.

    Raises:
        FerError: the text means none of these, the file does not exist, or the package's own is
            not what it was.
    """
    text = text or backbone.default_weights
    if backbone.descriptors is not None:
        if text != "none":
            raise FerError(f"{backbone.name} takes no weights", hint="leave --weights out")
        return Weights("none", "none", recipes_sha256(backbone.descriptors))
    if text == "imagenet":
        if backbone.imagenet is None:
            raise FerError(f"{backbone.name} has no ImageNet weights")
        return Weights(kind="imagenet", label="imagenet", sha256=backbone.imagenet.sha256)
    if text == "shipped":
        return _shipped(backbone)
    if text == "random" or text.startswith("random:"):
        seed = text.removeprefix("random").removeprefix(":")
        if not (seed.isascii() and seed.isdigit()):
            raise FerError(f"no seed in --weights {text}", hint="write random:0, say")
        if len(seed) > 10 or int(seed) > MAX_SEED:
            raise FerError(f"--weights random:{seed[:20]}: seeds are 0 to {MAX_SEED}")
        recipe = f"glorot_uniform numpy.PCG64 seed={int(seed)}"
        return Weights(
            kind="random",
            label=f"random:{int(seed)}",
            sha256=hashlib.sha256(recipe.encode()).hexdigest(),
            seed=int(seed),
        )
    path = Path(text).expanduser()
    if not path.is_file():
        raise FerError(
            f"no such weights: {text}",
            hint="give imagenet, shipped, random:SEED, or the path of a .h5, .weights.h5 or .keras "
            "file",
        )
    if path.suffix not in FILE_SUFFIXES:
        raise FerError(
            f"{path}: not a weights file", hint=f"known suffixes are {', '.join(FILE_SUFFIXES)}"
        )
    _check_file(path)
    return Weights(kind="file", label=path.name, sha256=file_sha256(path), path=path)


def _check_file(path: Path) -> None:
    """Make sure that a file is what its suffix says, and complete, before a network is built.

    Raises:
        FerError: it is not.
    """
    if is_weights_file(path):
        read_weights(path)
        return
    import h5py

    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
                if damaged or "config.json" not in archive.namelist():
                    raise ValueError(f"{damaged} is damaged" if damaged else "it holds no model")
        else:
            with h5py.File(path, "r") as file:
                arrays = file.visititems(lambda _, item: isinstance(item, h5py.Dataset) or None)
                if not arrays:
                    raise ValueError("it holds no array")
    except PermissionError:
        raise
    except Exception as error:  # zipfile, zlib and h5py each raise their own kinds
        kind = "Keras model" if path.suffix == ".keras" else "HDF5 file"
        raise FerError(
            f"{path} is no complete {kind}: {_first_line(error)}", hint="get the file again"
        ) from error


def _shipped(backbone: Backbone) -> Weights:
    file = backbone.shipped
    if file is None:
        raise FerError(
            f"no weights of {backbone.name} come with this package",
            hint=", ".join(one.name for one in BACKBONES.values() if one.shipped) + " has some",
        )
    if not file.path.is_file() or file_sha256(file.path) != file.sha256:
        raise FerError(
            f"{file.path} is missing or damaged",
            hint=f"{install_hint()} --force-reinstall --no-deps",
        )
    return Weights(kind="shipped", label="shipped", sha256=file.sha256, path=file.path)


def seen_images(weights: Weights) -> Seen | None:
    """The images that weights have learnt from; None where it is not known.

    Files that `fer pretrain` wrote say it.

    Raises:
        FerError: the file cannot be read.
    """
    if weights.path is None or not is_weights_file(weights.path):
        return None
    content = read_weights(weights.path)
    return Seen(content.seen, content.signatures)


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_weights(weights: Weights, backbone: Backbone) -> Path | None:
    """The local file that holds `weights`, downloaded by Keras if need be; None if random.

    Worth calling before a network is built: what can fail, fails here.

    Raises:
        FerError: the file is not there and cannot be downloaded.
    """
    if weights.kind == "imagenet" and backbone.imagenet is not None:
        return _download(backbone.imagenet)
    return weights.path


def load_weights(model: Any, weights: Weights, path: Path | None) -> None:
    """Put weights into `model`, a network without its top, and freeze it.

    Args:
        model: the network that the weights' backbone built.
        weights: which weights.
        path: their file, as `fetch_weights` gives it.

    Raises:
        FerError: the file is not of this network.
    """
    if path is not None:
        _load_file(model, path)
    elif weights.seed is not None:
        _draw(model, seed=weights.seed)
    else:
        raise ValueError(f"weights {weights.label} have neither a file nor a seed")
    model.trainable = False


def _draw(model: Any, *, seed: int) -> None:
    """Glorot-uniform kernels from NumPy, so that every Keras backend gets the same numbers.

    What is no kernel keeps the constant that Keras starts it with (batch normalisation: mean 0,
    variance 1, offset 0).
    """
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    for place, kernel in enumerate(kernels):
        shape = tuple(kernel.shape)
        receptive = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
        rng = np.random.default_rng([seed, place])
        kernel.assign((rng.random(shape, dtype=np.float32) * 2 - 1) * np.float32(limit))


def _download(file: PretrainedFile) -> Path:
    """The file in Keras's own cache folder, downloaded by Keras if need be, hash checked."""
    keras = import_keras()
    home = keras_home()
    usual = Path(os.path.expanduser("~/.keras"))  # noqa: PTH111  which raises nothing without a home
    if "KERAS_HOME" not in os.environ and (usual / "models" / file.file_name).is_file():
        home = usual  # read-only, perhaps: Keras would look elsewhere
    folder = home / "models"
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras draws its progress bar on stdout
            return Path(
                keras.utils.get_file(
                    file.file_name,
                    file.url,
                    cache_dir=os.fspath(home),
                    cache_subdir="models",
                    file_hash=file.sha256,
                    hash_algorithm="sha256",
                )
            )
    except Exception as error:  # get_file raises bare Exceptions of several kinds
        raise FerError(
            f"the ImageNet weights are not in {folder} and could not be downloaded: "
            f"{_short(error)}",
            hint=f"fetch {file.url} ({file.size / 1e6:.0f} MB, SHA-256 {file.sha256}) elsewhere "
            f"and put it in {folder}; or name another file with --weights FILE; or try the "
            "machinery without them with --weights random:0",
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _short(error: Exception) -> str:
    """The last part of Keras's message, which holds the cause."""
    return str(error).splitlines()[-1].split(" -- ")[-1] if str(error) else type(error).__name__


def _load_file(model: Any, path: Path) -> None:
    """Load a `.h5`, `.weights.h5` or `.keras` file, every array of it or none."""
    keras = import_keras()
    try:
        if is_weights_file(path):
            assign(model.weights, read_weights(path).network)
        elif path.suffix == ".keras":
            whole = keras.saving.load_model(path, compile=False)
            found = [tuple(w.shape) for w in whole.weights]
            expected = [tuple(w.shape) for w in model.weights]
            if found != expected:
                raise ValueError(f"it holds {len(found)} arrays, the network {len(expected)}")
            model.set_weights(whole.get_weights())
        else:
            model.load_weights(os.fspath(path))
    except Exception as error:  # h5py, zipfile and Keras each raise their own kinds
        raise FerError(
            f"{path}: not weights of {model.name} without its top: {_first_line(error)}",
            hint="save them from keras.applications with include_top=False"
            if model.name != "fernet"
            else "fer pretrain writes them",
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
