"""The cache file: created, filled, completed, read. It knows no network and no head.

The layout is described in ``docs/cache-format.md``. A cache is written under a temporary name and
renamed when every row is done, so that a file under its final name is always whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError

FORMAT_VERSION = 1
SUFFIX = ".h5"
PARTIAL_SUFFIX = ".h5.part"

_CHUNK_BYTES = 1 << 20
_ROW_FIELDS = {"emotion": "i1", "usage": "i1", "sha256": "S64", "source_row": "i8", "done": "?"}


@dataclass(frozen=True)
class Header:
    """What a cache says of itself.

    Attributes:
        spec: all that changes a feature's value (`FeatureSpec.to_dict`).
        dataset: which rows of which data (`DataChoice.to_dict`).
        key: the hash of both.
        software: versions, engine and device: what should not change a feature's value.
    """

    spec: dict[str, Any]
    dataset: dict[str, Any]
    key: str
    software: dict[str, str]


@dataclass(frozen=True)
class Rows:
    """Who the rows of a batch are; arrays of one length.

    Attributes:
        emotion: int8, a place in `EMOTIONS`.
        usage: int8, a place in `USAGES`, or -1.
        sha256: ``S64``, hex SHA-256 of the image's pixels.
        source_row: int64, the row's number in the source.
    """

    emotion: NDArray[np.int8]
    usage: NDArray[np.int8]
    sha256: NDArray[np.bytes_]
    source_row: NDArray[np.int64]


class CacheWriter:
    """Fill a new cache, batch after batch; use it as a context manager.

    Leaving the block without an exception completes the file and gives it its name; leaving it
    with one removes what was written.

    Args:
        path: the cache's final name.
        n_rows: how many rows it will hold.
        outputs: shape for one row and dtype of each output, by ``layer/pooled`` or ``layer/map``.
        header: what the cache says of itself.

    Raises:
        FerError: the folder cannot be written, or another process writes the same cache.
    """

    def __init__(
        self,
        path: Path,
        *,
        n_rows: int,
        outputs: Mapping[str, tuple[tuple[int, ...], str]],
        header: Header,
    ) -> None:
        self.path = path
        self._n_rows = n_rows
        self._partial = path.with_name(path.name.removesuffix(SUFFIX) + PARTIAL_SUFFIX)
        self._next = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = h5py.File(self._partial, "w", libver="v110")
        except OSError as error:
            if isinstance(error, BlockingIOError) or "already open" in str(error):
                raise FerError(
                    f"another extraction is writing {path}", hint="wait until it has finished"
                ) from error
            raise FerError(f"{path} cannot be written: {error.strerror or error}") from error
        self._create(outputs, header)

    def _create(self, outputs: Mapping[str, tuple[tuple[int, ...], str]], header: Header) -> None:
        attrs = self._file.attrs
        attrs["format_version"] = FORMAT_VERSION
        attrs["spec"] = json.dumps(header.spec, sort_keys=True)
        attrs["dataset"] = json.dumps(header.dataset, sort_keys=True)
        attrs["key"] = header.key
        attrs["software"] = json.dumps(header.software, sort_keys=True)
        attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")
        attrs["complete"] = False
        for name, (shape, dtype) in outputs.items():
            row_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
            rows_a_chunk = min(self._n_rows, max(1, _CHUNK_BYTES // row_bytes))
            self._file.create_dataset(
                f"features/{name}",
                shape=(self._n_rows, *shape),
                dtype=dtype,
                chunks=(rows_a_chunk, *shape),
                fletcher32=True,
            )
        for name, dtype in _ROW_FIELDS.items():
            self._file.create_dataset(f"rows/{name}", shape=(self._n_rows,), dtype=dtype)

    def write(self, rows: Rows, features: Mapping[str, NDArray[Any]]) -> None:
        """Append a batch.

        Args:
            rows: who its rows are.
            features: an array for each output, (len(batch), *shape).

        Raises:
            FerError: a feature is not a number, or the disk is full.
        """
        start, stop = self._next, self._next + len(rows.emotion)
        for name, array in features.items():
            _check_finite(name, array, rows)
        try:
            for name, array in features.items():
                self._file[f"features/{name}"][start:stop] = array
            for name in ("emotion", "usage", "sha256", "source_row"):
                self._file[f"rows/{name}"][start:stop] = getattr(rows, name)
            self._file["rows/done"][start:stop] = True
        except OSError as error:
            raise FerError(f"{self._partial} cannot be written: {error}") from error
        self._next = stop

    def _complete(self) -> None:
        if self._next != self._n_rows:
            raise RuntimeError(f"{self._next} of {self._n_rows} rows were written")
        self._file.attrs["complete"] = True
        self._file.close()
        with self._partial.open("rb") as file:
            os.fsync(file.fileno())
        self._partial.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._complete()
        finally:
            if self._file:
                self._file.close()
            self._partial.unlink(missing_ok=True)


def _check_finite(name: str, array: NDArray[Any], rows: Rows) -> None:
    finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    if not finite.all():
        row = int(rows.source_row[np.flatnonzero(~finite)[0]])
        raise FerError(
            f"{name} of row {row} is not a number",
            hint="the weights or the preprocessing do not fit the network",
        )


class Cache:
    """A complete cache, open for reading; use it as a context manager, or `close` it.

    Args:
        path: the file.

    Raises:
        FerError: there is no such file, it is no cache, it is not complete, or it was written by
            a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FerError(f"no such cache: {path}", hint="fer extract makes one")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise FerError(
                f"{path}: not a readable HDF5 file: {error}",
                hint="give a cache that fer extract wrote; if this was one, delete it",
            ) from error
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        attrs = self._file.attrs
        if "format_version" not in attrs or "spec" not in attrs:
            raise FerError(f"{self.path}: not a feature cache", hint="fer extract makes one")
        version = int(attrs["format_version"])
        if version > FORMAT_VERSION:
            raise FerError(
                f"{self.path}: cache format {version} is newer than this program's "
                f"{FORMAT_VERSION}",
                hint="pip install --upgrade fer-features",
            )
        if not attrs["complete"] or not self._file["rows/done"][:].all():
            raise FerError(f"{self.path}: not complete", hint="delete it and extract again")
        self.header = Header(
            spec=json.loads(attrs["spec"]),
            dataset=json.loads(attrs["dataset"]),
            key=str(attrs["key"]),
            software=json.loads(attrs["software"]),
        )
        self.created = str(attrs["created"])
        fields = {name: self._file[f"rows/{name}"][:] for name in _ROW_FIELDS if name != "done"}
        self.rows = Rows(**fields)

    def __len__(self) -> int:
        return len(self.rows.emotion)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the order they were asked for."""
        return tuple(self.header.spec["layers"])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each output, rows first, by ``layer/pooled`` or ``layer/map``."""
        return {
            f"{layer}/{output}": tuple(dataset.shape)
            for layer, outputs in self._file["features"].items()
            for output, dataset in outputs.items()
        }

    def read(self, layer: str, output: str, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Features of one layer.

        Args:
            layer: one of `layers`.
            output: ``pooled`` for (N, C) float32, ``map`` for (N, h, w, C) float16.
            rows: ascending places in the cache; None for all.

        Raises:
            FerError: the cache does not hold them, or a checksum does not match.
        """
        name = f"{layer}/{output}"
        if name not in self._file["features"]:
            raise FerError(
                f"{self.path} holds no {name}", hint=f"it holds {', '.join(self.shapes())}"
            )
        dataset = self._file["features"][name]
        try:
            if rows is None or len(rows) == len(self):
                return np.asarray(dataset[:])
            return _gather(dataset, rows)
        except OSError as error:
            raise FerError(
                f"{self.path}: {name} is damaged: {error}", hint="delete it and extract again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _gather(dataset: Any, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Pick rows a few chunks at a time: h5py's own indexing by lists is slow for many rows."""
    out = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
    step = dataset.chunks[0] * 16
    for start in range(0, len(dataset), step):
        first, last = np.searchsorted(rows, (start, start + step))
        if last > first:
            out[first:last] = dataset[start : start + step][rows[first:last] - start]
    return out


def check_same(cache: Cache, *, spec: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Make sure that a cache holds what is asked for.

    Raises:
        FerError: it does not; the message names the first field that differs.
    """
    found = {"spec": cache.header.spec, "dataset": cache.header.dataset}
    for part, asked in {"spec": spec, "dataset": dataset}.items():
        for name, value in asked.items():
            if found[part].get(name) != value:
                raise FerError(
                    f"{cache.path} holds other features: its {part}.{name} is "
                    f"{found[part].get(name)!r}, not {value!r}",
                    hint="move or delete that file",
                )


def list_caches(folder: Path) -> list[Path]:
    """Complete caches in a folder by their names, the one that was used last at the end."""
    return sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)


def latest_cache(folder: Path) -> Path:
    """The cache in a folder that was extracted, or asked for, last.

    Raises:
        FerError: there is none.
    """
    caches = list_caches(folder)
    if not caches:
        raise FerError(f"no cache in {folder}", hint="fer extract makes one")
    return caches[-1]
