"""Heads' files from strangers: what is in them is checked before a head is read."""

from __future__ import annotations

import io
import json
import math
import tempfile
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.errors import FerError
from fer_features.heads import HEADS, head_class, load_head
from fer_features.model.zip_file import open_zip, read_entry
from fer_features.runs.record import check_values
from fer_features.runtime.text import plain_text, shortened

LARGEST_JSON = 16 << 20
"""Bytes of a JSON file in a head's file; those of a long training have some 100,000."""

MOST_FEATURES = 1 << 24
"""Most features of a head, all places of a map together."""

DEEPEST = 40
"""How deeply the objects of a skops file may be nested."""

MOST_GROUPS = 10_000
SPARSEST = 4
"""How much larger than the file the arrays of an HDF5 file may be."""

SKOPS_TYPES = {
    "ObjectNode": {
        "fer_features.heads.logreg.LogisticRegressionHead",
        "fer_features.heads.svm.SupportVectorHead",
        "fer_features.heads.ridge.RidgeHead",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.preprocessing._data.StandardScaler",
    },
    "NdArrayNode": {
        "numpy.ndarray",
        *(f"numpy.{kind}" for kind in ("bool", "int32", "int64", "float32", "float64")),
    },
    "DictNode": {"builtins.dict"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "JsonNode": {"builtins.str"},
    "TypeNode": {"builtins.str"},
}
"""The types that a head's skops file may hold, by the loader of skops that makes them."""

KERAS_ENTRIES = {"metadata.json", "config.json", "model.weights.h5", "head.json"}


def read_head(name: str, path: Path, *, n_classes: int) -> Any:
    """Read a stranger's head file.

    Args:
        name: the head's name.
        path: the file.
        n_classes: how many classes it must have.

    Raises:
        FerError: it is damaged, holds what no head's file holds, or is of other classes.
    """
    try:
        check_head_file(name, path)
        head = load_head(name, path)
        _check_head(head, n_classes)
    except Exception as error:  # anything may be wrong with a file that is not what it seems
        text = error.message if isinstance(error, FerError) else str(error)
        line = shortened(plain_text(next(iter(text.splitlines()), type(error).__name__)), 200)
        raise FerError(f"the model's head cannot be read: {line}") from error
    return head


def check_head_file(name: str, path: Path, *, inside: bool = False) -> None:
    """Check a head's file without reading a head from it.

    Raises:
        FerError: there is no such head.
        ValueError: the file holds what no head's file holds.
    """
    suffix = head_class(name).suffix
    if path.suffix != suffix:
        raise ValueError(f"the {name} head's file is no {path.suffix} file")
    if suffix == ".skops":
        _check_skops(name, path)
    elif suffix == ".keras":
        _check_keras(path)
    elif inside:
        raise ValueError("an ensemble in an ensemble")
    else:
        _check_ensemble(path)


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    content = read_entry(archive, name, most=LARGEST_JSON)
    return json.loads(content, parse_constant=lambda _: math.nan)


def _check_skops(name: str, path: Path) -> None:
    """Check that a skops file holds arrays, and only the objects that heads are made of."""

    def expected(entry: str) -> bool:
        return entry == "schema.json" or (entry.endswith(".npy") and entry[:-4].isdigit())

    with open_zip(path, expected) as archive:
        schema = _json(archive, "schema.json")
        for entry in archive.namelist():
            if entry.endswith(".npy"):
                _check_array(archive, entry)
    own = head_class(name)
    if f"{schema['__module__']}.{schema['__class__']}" != f"{own.__module__}.{own.__qualname__}":
        raise ValueError(f"it is no {name} head")
    waiting = [(schema, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if isinstance(value, dict):
            waiting += [(one, depth + 1) for one in value.values()]
            if "__loader__" in value or "__class__" in value:
                kind = f"{value.get('__module__')}.{value.get('__class__')}"
                if kind not in SKOPS_TYPES.get(str(value.get("__loader__")), ()):
                    raise ValueError(f"it holds {kind[:80]}, which is no part of a head")
        elif isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]


def _check_array(archive: zipfile.ZipFile, entry: str) -> None:
    """Check that an array is as large as its file, and of numbers."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, _, dtype = read(file)
    n = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biufU" or n > archive.getinfo(entry).file_size:
        raise ValueError("one of its arrays is not as large as it says, or not of numbers")


def _check_keras(path: Path) -> None:
    """Check that a Keras file's weights are plain arrays, as many as the network will have."""
    with open_zip(path, KERAS_ENTRIES.__contains__) as archive:
        entry = _json(archive, "head.json")
        stored = check_hdf5(read_entry(archive, "model.weights.h5"))
    check_values(entry)
    n_features = _n_features(entry["features"], entry["map_shape"])
    moments, units = entry["moments"], entry["parameters"]["units"]
    if moments is not None and [len(one) for one in moments] != [n_features, n_features]:
        raise ValueError("its moments are of other features")
    sizes = [entry["parameters"].get("filters", n_features), *units]
    if not all(isinstance(one, int) and 0 < one <= MOST_FEATURES for one in sizes):
        raise ValueError("its layers have no possible sizes")
    if entry["map_shape"]:
        height, width, channels = entry["map_shape"]
        needed = 9 * channels * sizes[0]
        sizes[0] *= math.ceil(height / 2) * math.ceil(width / 2)
    else:
        needed = 0
    needed += sum(a * b for a, b in pairwise(sizes))
    if needed > stored:
        raise ValueError("its network has more weights than the file")


def check_hdf5(content: bytes) -> int:
    """How many numbers the arrays of an HDF5 file hold.

    Raises:
        ValueError: it is damaged, has parts in other files, or arrays that are much larger than it.
    """
    import h5py

    numbers = size = 0
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            groups = [file]
            while groups:
                group = groups.pop()
                for name in group:
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        raise ValueError("its weights are partly in another file")
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        groups.append(item)
                        if len(groups) > MOST_GROUPS or item.name.count("/") > DEEPEST:
                            raise ValueError("its weights are nested too deeply")
                        continue
                    if item.is_virtual or item.external or item.dtype.kind not in "fiuS":
                        raise ValueError("its weights are no plain arrays")
                    numbers += item.size
                    size += item.size * item.dtype.itemsize
    except (OSError, RuntimeError, KeyError, TypeError) as error:  # h5py's for damaged files
        raise ValueError(f"its weights are damaged: {error}") from error
    if size > SPARSEST * len(content):
        raise ValueError("its weights would unpack to much more than the file")
    return numbers


def _check_ensemble(path: Path) -> None:
    """Check an ensemble's file, and the members' files in it."""
    suffixes = (".skops", ".keras")

    def expected(entry: str) -> bool:
        stem, _, suffix = entry.rpartition(".")
        return entry == "head.json" or (stem in HEADS and f".{suffix}" in suffixes)

    with open_zip(path, expected) as archive, tempfile.TemporaryDirectory() as folder:
        entry = _json(archive, "head.json")
        check_values(entry)
        _n_features(entry["features"], entry["map_shape"])
        files = entry["files"]
        if not files or {"head.json", *files.values()} != set(archive.namelist()):
            raise ValueError("its members are not those that it names")
        for name, file in files.items():
            member = Path(folder, file)
            member.write_bytes(read_entry(archive, file))
            check_head_file(name, member, inside=True)


def _n_features(features: Any, map_shape: Any) -> int:
    """A head's number of features, of one place of a map."""
    shape = [features] if map_shape is None else [*map_shape, features]
    if not all(isinstance(one, int) and one > 0 for one in shape) or len(shape) not in (1, 4):
        raise ValueError("it has no possible number of features")
    if map_shape is not None and shape[2] != features:
        raise ValueError("its maps have another number of channels")
    if math.prod(shape[:3]) > MOST_FEATURES:
        raise ValueError("it has too many features")
    return int(features)


def _check_head(head: Any, n_classes: int) -> None:
    """Check that a head that was read has the classes, and gives probabilities."""
    if not np.array_equal(head.classes_, np.arange(n_classes)):
        raise ValueError("it is of other classes than the model")
    map_shape = getattr(head, "map_shape_", None) if head.needs == "map" else None
    _n_features(int(head.n_features_in_), list(map_shape) if map_shape else None)
    shape = map_shape or (head.n_features_in_,)
    head.predict_proba(np.zeros((1, *shape), np.float16 if map_shape else np.float32))
