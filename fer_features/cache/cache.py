"""The cache file, open for reading.

The layout is described in ``docs/cache-format.md``. A finished file is never changed: adding to it
writes a new file that replaces it (`fer_features.cache.writer`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fer_features.cache import format as file_format
from fer_features.cache.faults import damaged, unreadable
from fer_features.cache.record import ROW_DTYPES, Columns, Header, Rows, RowSelection
from fer_features.cache.shard import part_only, shard_of
from fer_features.errors import UPDATE, FerError
from fer_features.runtime.memory import new_array

_MOST_CHUNKS = 16
"""Chunks that are read at once when rows are gathered."""

_FORMAT_2 = {"faces/image": "image", "faces/seen": "seen"}
"""Columns that format 2 stored as features."""


class Cache(file_format.OpenFile):
    """A cache of format 2 or 3, open for reading; use it as a context manager, or `close` it.

    Opening it checks the header, labels and row metadata against their SHA-256; reading features
    checks each chunk's Fletcher-32 checksum. `verify` checks every byte.

    Args:
        path: the file.

    Attributes:
        header: spec, data set and key.
        rows: metadata of the rows, by ascending `Rows.source_row`.
        selections: the selections of rows, in the order they were requested.
        columns: shape of one row and dtype of all that is stored per row: features, ``image`` and
            ``seen``.
        shard: the shard that it is; None if it is a whole.
        software: versions, engine and device of each extraction that added to it.
        compression: one of `COMPRESSIONS`.

    Raises:
        FerError: there is no such file, it is no cache, it is damaged, or it was written by a
            newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FerError(f"no such cache: {path}", hint="fer extract makes one")
        try:
            # Finished files never change, so HDF5's locks, which fail on some network file
            # systems, would protect nothing.
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise unreadable(self.path, error) from error
        try:
            self._read_header()
        except Exception as error:  # h5py raises its own kinds for what HDF5 finds damaged
            self._file.close()
            if isinstance(error, FerError):
                raise
            raise damaged(self.path, str(error).strip("'\"")) from error  # a KeyError's quotes

    def _read_header(self) -> None:
        attrs = self._file.attrs
        if "format_version" not in attrs or "spec" not in attrs:
            raise FerError(f"{self.path}: not a feature cache", hint="fer extract makes one")
        version = int(attrs["format_version"])
        oldest, newest = file_format.OLDEST_READ, file_format.FORMAT_VERSION
        if not oldest <= version <= newest:
            older = "move it away, and extract again; the version that wrote it can read it"
            raise FerError(
                f"{self.path}: cache format {version}, neither {oldest} nor {newest}",
                hint=UPDATE if version > newest else older,
            )
        text = {name: str(attrs[name]) for name in file_format.TEXTS}
        listed = json.loads(text["choices"])
        tables = {f"rows/{name}": self._file[f"rows/{name}"][:] for name in (*ROW_DTYPES, "done")}
        tables |= {f"choices/{one['id']}": self._file[f"choices/{one['id']}"][:] for one in listed}
        if file_format.header_digest(text, tables) != attrs["header_sha256"]:
            raise damaged(self.path, "its header or labels are not as they were written")
        self.compression = text["compression"]
        file_format.filters(self.compression)  # registers zstd with HDF5
        spec, dataset = json.loads(text["spec"]), json.loads(text["dataset"])
        self.header = Header(spec=spec, dataset=dataset, key=text["key"])
        self.software: list[dict[str, str]] = json.loads(text["software"])
        self.rows = Rows(**{name: tables[f"rows/{name}"] for name in ROW_DTYPES})
        for one in listed:
            one["features"] = [name for name in one["features"] if name not in _FORMAT_2]
        self.selections = tuple(
            RowSelection.from_dict(one, tables[f"choices/{one['id']}"]) for one in listed
        )
        self.shard = shard_of(self.selections)
        self._done, self._datasets = {}, {}
        for stored, done in zip(json.loads(text["outputs"]), tables["rows/done"].T, strict=True):
            name = _FORMAT_2.get(stored, stored)
            self._done[name] = done
            self._datasets[name] = f"features/{stored}" if "/" in stored else f"rows/{stored}"
        self.columns: Columns = {
            name: (self._file[path].shape[1:], str(self._file[path].dtype))
            for name, path in self._datasets.items()
        }

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, ``layer/pooled`` and ``layer/map``, sorted."""
        return tuple(name for name in self.columns if "/" in name)

    def done(self, columns: Sequence[str]) -> NDArray[np.bool_]:
        """Whether a row has all of `columns`: bool (N,)."""
        found = np.ones(len(self), bool)
        for name in columns:
            found &= self._done.get(name, False)
        return found

    def holds(self, source_rows: NDArray[np.int64], columns: Sequence[str]) -> NDArray[np.bool_]:
        """Whether the cache has all of `columns` of rows of the source: bool (M,)."""
        held = np.isin(source_rows, self.rows.source_row)
        places = np.searchsorted(self.rows.source_row, source_rows[held])
        held[held] = self.done(columns)[places]
        return held

    @property
    def complete(self) -> bool:
        """Whether all that was ever requested is there."""
        return bool(self.selections) and all(
            self.holds(one.rows, one.features).all() for one in self.selections
        )

    def selection(self, id_: str | None = None) -> RowSelection:
        """The selection with that id; without one, the last.

        Raises:
            FerError: there is no such selection, features of it are missing, or the cache is a
                shard: what is fitted to a part must not pass for a result on the whole.
        """
        if self.shard is not None:
            raise part_only(self.path, self.shard)
        found = [one for one in self.selections if id_ in (None, one.id)]
        if not found:
            raise FerError(f"{self.path} holds no selection {id_}", hint="fer extract makes one")
        done = self.holds(found[-1].rows, found[-1].features)
        if not done.all():
            raise FerError(
                f"{self.path}: {done.sum():,} of {len(done):,} rows are there; the extraction was "
                "interrupted",
                hint="the same fer extract resumes it",
            )
        return found[-1]

    def places(self, selection: RowSelection) -> NDArray[np.int64]:
        """Indices of a selection's rows in the cache: int64, ascending."""
        return np.searchsorted(self.rows.source_row, selection.rows).astype(np.int64)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each feature, rows first."""
        return {name: (len(self), *self.columns[name][0]) for name in self.features}

    def read(self, layer: str, output: str, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Features of one layer.

        Args:
            layer: a layer's name.
            output: ``pooled`` for (N, C) float32, ``map`` for (N, h, w, C) float16; with a
                suffix ``_flip``, of the mirrored images.
            rows: ascending indices of rows in the cache; None for all.

        Raises:
            FerError: the cache does not hold them, or a checksum does not match.
        """
        return self._read(f"{layer}/{output}", rows)

    def dataset(self, **options: Any) -> Any:
        """Features, labels and groups of copies: `fer_features.fit.features.labelled_features`.

        Imported by name when called: this package does not depend on `fit`.
        """
        return resolve_name("fer_features.fit.features:labelled_features")(self, **options)

    def images(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """The images, uint8 (n, H, W); arguments and errors as for `read`."""
        return self._read("image", rows)

    def seen(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8] | None:
        """Which images the weights were trained on; None if unknown.

        uint8 (n, 2) for weights that hold signatures, the second column 1 where a signature
        matched; else (n, 1). Arguments and errors as for `read`.
        """
        return self._read("seen", rows) if "seen" in self.columns else None

    def _read(self, column: str, rows: NDArray[np.int64] | None) -> NDArray[Any]:
        if column not in self.columns and column == "image":
            raise FerError(
                f"{self.path} does not hold its images",
                hint="the same fer extract adds them, without running the network",
            )
        if column not in self.columns:
            raise FerError(
                f"{self.path} holds no {column}",
                hint=f"it holds {', '.join(self.columns)}; fer extract with --layer, --output and "
                "--views adds more",
            )
        places = np.arange(len(self)) if rows is None else rows
        done = self._done[column][places]
        if not done.all():
            raise FerError(
                f"{self.path} holds {column} for {done.sum():,} of these {len(done):,} rows",
                hint="fer extract with the same task and --layer adds what is missing",
            )
        return self.gather(column, places)

    def gather(self, column: str, places: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a column at ascending indices, whether they have been computed or not.

        A few chunks are read at a time: h5py's own indexing by lists is slow for many rows.

        Raises:
            FerError: a checksum does not match, or memory does not hold them.
        """
        try:
            dataset = self._file[self._datasets[column]]
            shape = len(places), *dataset.shape[1:]
            out = new_array(shape, dataset.dtype, f"{len(places):,} rows of {column}")
            if len(places) == len(self):
                dataset.read_direct(out)
                return out
            chunk, steps = dataset.chunks[0], np.diff(places)
            apart = (steps > chunk) | (np.diff(places // (chunk * _MOST_CHUNKS)) > 0)
            edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(places)]
            for start, stop in pairwise(edges):
                if stop > start:
                    first = places[start]
                    part = dataset[first : places[stop - 1] + 1]
                    out[start:stop] = part[places[start:stop] - first]
        except (OSError, KeyError) as error:
            if isinstance(error, OSError) and "errno" in str(error):  # the disk, not the content
                raise unreadable(self.path, error) from error
            raise damaged(self.path, f"{column} cannot be read: {error}") from error
        return out


def check_same(cache: Cache, *, spec: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Make sure that a cache holds features of this spec and data set.

    Raises:
        FerError: it does not; the message names the first field that differs.
    """
    for part, wanted in {"spec": spec, "dataset": dataset}.items():
        found = getattr(cache.header, part)
        for name, value in wanted.items():
            if found.get(name) != value:
                raise FerError(
                    f"{cache.path} holds other features: its {part}.{name} is "
                    f"{found.get(name)!r}, not {value!r}",
                    hint="keep it, and name another folder with --cache-dir",
                )


def verify(path: Path) -> int:
    """Read a cache from end to end and compare it with the SHA-256 that it carries.

    Returns:
        How many bytes were read.

    Raises:
        FerError: there is no such cache, or a byte of it has changed; the message names the
            first column that can no longer be read, if any.
    """
    if not path.is_file():
        raise FerError(f"no such cache: {path}", hint="fer extract makes one")
    with path.open("rb") as file:
        block = file.read(file_format.USERBLOCK)
    expected = file_format.userblock(file_format.content_digest(path))
    with Cache(path) as cache:
        if block == expected:
            return path.stat().st_size
        for column in cache.columns:
            for places in np.array_split(np.arange(len(cache)), len(cache) // 256 + 1):
                cache.gather(column, places)
    raise damaged(path, "its bytes are not as they were written")
