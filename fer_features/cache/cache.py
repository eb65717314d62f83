"""The cache file, open for reading. It knows no network and no head.

The layout is described in ``docs/cache-format.md``. A finished file is never changed: what adds to
it writes a new one and renames it (`fer_features.cache.compact`).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fer_features.cache.faults import FIRST_WORDS, damaged_hint, unreadable
from fer_features.cache.record import (
    ROW_DTYPES,
    SEEN,
    Header,
    HoldsFile,
    Rows,
    RowSelection,
    parallel,
    to_json,
)
from fer_features.errors import UPDATE, FerError, install_hint

FORMAT_VERSION = 2

COMPRESSIONS = ("none", "gzip", "zstd")
"""How features are packed: gzip is part of HDF5, zstd comes with the package hdf5plugin."""

USERBLOCK = 512
"""Bytes before the HDF5 content proper; they hold the SHA-256 of all that follows."""

_BLOCK = 4 << 20
_TEXTS = ("spec", "dataset", "key", "software", "outputs", "choices", "compression")


class Cache(HoldsFile):
    """A cache, open for reading; use it as a context manager, or `close` it.

    Opening it checks the header, the labels and what is noted of the rows against their SHA-256;
    reading features checks each chunk's Fletcher-32. `fer_features.cache.verify` checks every byte.

    Args:
        path: the file.

    Attributes:
        header: what the cache says of itself.
        rows: who its rows are, by ascending `Rows.source_row`.
        selections: what was asked for, in the order of the asking.
        software: versions, engine and device of each extraction that added to it.
        compression: how the features are packed, one of `COMPRESSIONS`.

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
            # systems, would guard nothing.
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise unreadable(self.path, error) from error
        try:
            self._read_header()
        except FerError:
            self._file.close()
            raise
        except Exception as error:  # h5py raises its own kinds for what HDF5 finds damaged
            self._file.close()
            told = error.args[0] if error.args else error  # a KeyError's text has quotes around it
            raise FerError(
                f"{self.path} is damaged: {told}", hint=damaged_hint(self.path)
            ) from error

    def _read_header(self) -> None:
        attrs = self._file.attrs
        if "format_version" not in attrs or "spec" not in attrs:
            raise FerError(f"{self.path}: not a feature cache", hint="fer extract makes one")
        self._check_version(int(attrs["format_version"]))
        text = {name: str(attrs[name]) for name in _TEXTS}
        rows = {name: self._file[f"rows/{name}"][:] for name in (*ROW_DTYPES, "done")}
        listed = json.loads(text["choices"])
        chosen = {one["id"]: self._file[f"choices/{one['id']}"][:] for one in listed}
        tables = {f"rows/{name}": array for name, array in rows.items()}
        tables |= {f"choices/{name}": array for name, array in chosen.items()}
        if header_digest(text, tables) != attrs["header_sha256"]:
            raise FerError(
                f"{self.path}: its header or labels are damaged", hint=damaged_hint(self.path)
            )
        self.header = Header(
            spec=json.loads(text["spec"]), dataset=json.loads(text["dataset"]), key=text["key"]
        )
        self.compression = text["compression"]
        filters(self.compression)  # zstd is known to HDF5 from here on
        self.software: list[dict[str, str]] = json.loads(text["software"])
        self._done = dict(zip(json.loads(text["outputs"]), rows.pop("done").T, strict=True))
        self.rows = Rows(**rows)
        self.selections = tuple(RowSelection.from_dict(one, chosen[one["id"]]) for one in listed)

    def _check_version(self, version: int) -> None:
        if version > FORMAT_VERSION:
            raise FerError(
                f"{self.path}: cache format {version} is newer than this program's "
                f"{FORMAT_VERSION}",
                hint=UPDATE,
            )
        if version < FORMAT_VERSION:
            raise FerError(
                f"{self.path}: cache format {version}, of an earlier version, is no longer read",
                hint="move it away, and extract again; the version that wrote it still reads it",
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, ``layer/pooled`` and ``layer/map``, sorted."""
        return tuple(self._done)

    def done(self, features: Sequence[str]) -> NDArray[np.bool_]:
        """Bool (N,): whether all of `features` of a row are there."""
        out = np.ones(len(self), bool)
        for name in features:
            out &= self._done.get(name, np.zeros(len(self), bool))
        return out

    def done_of(self, choice: RowSelection) -> NDArray[np.bool_]:
        """Bool (len(choice.rows),): whether all that was asked for of a row is there."""
        place = np.searchsorted(self.rows.source_row, choice.rows)
        held = np.isin(choice.rows, self.rows.source_row)
        held[held] = self.done(choice.features)[place[held]]
        return held

    @property
    def complete(self) -> bool:
        """Whether all that was ever asked for is there."""
        return bool(self.selections) and all(self.done_of(one).all() for one in self.selections)

    def selection(self, id_: str | None = None) -> RowSelection:
        """The choice with that id; without one, the last.

        Raises:
            FerError: there is no choice, or it has not been extracted whole.
        """
        found = [one for one in self.selections if id_ in (None, one.id)]
        if not found:
            raise FerError(f"{self.path} holds no choice {id_}", hint="fer extract makes one")
        done = self.done_of(found[-1])
        if not done.all():
            raise FerError(
                f"{self.path}: {done.sum():,} of {len(done):,} rows are there; the extraction was "
                "interrupted",
                hint="the same fer extract goes on where it stopped",
            )
        return found[-1]

    def places(self, choice: RowSelection) -> NDArray[np.int64]:
        """Where a choice's rows stand in the cache: int64, ascending."""
        return np.searchsorted(self.rows.source_row, choice.rows).astype(np.int64)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each feature, rows first."""
        return {name: tuple(self._file[f"features/{name}"].shape) for name in self.features}

    def specs(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape for one row and dtype of each feature."""
        return {
            name: (shape[1:], str(self._file[f"features/{name}"].dtype))
            for name, shape in self.shapes().items()
        }

    def read(self, layer: str, output: str, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Features of one layer.

        Args:
            layer: a layer's name.
            output: ``pooled`` for (N, C) float32, ``map`` for (N, h, w, C) float16; with
                ``_flip`` behind it, of the mirrored images.
            rows: ascending places in the cache; None for all.

        Raises:
            FerError: the cache does not hold them, or a checksum does not match.
        """
        name = f"{layer}/{output}"
        if name not in self.features:
            raise FerError(
                f"{self.path} holds no {name}",
                hint=f"it holds {', '.join(self.features)}; fer extract with --layer, --output and "
                "--views adds more",
            )
        done = self._done[name] if rows is None else self._done[name][rows]
        if not done.all():
            raise FerError(
                f"{self.path} holds {name} for {done.sum():,} of these {len(done):,} rows",
                hint="fer extract with the same task and --layer adds what is missing",
            )
        if rows is None or len(rows) == len(self):
            return self.read_slice(name, 0, len(self))
        return self._gather(name, rows)

    def images(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """The images themselves, uint8 (n, H, W), of ascending places in the cache.

        Raises:
            FerError: the cache does not hold them.
        """
        return self.read("faces", "image", rows)

    def seen(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8] | None:
        """Which images the weights have learnt from; None where they do not say.

        uint8 (n, 2) from weights that hold signatures, whose second column is 1 where a signature
        recognised it; else (n, 1).
        """
        return self.read("faces", "seen", rows) if SEEN in self.features else None

    def read_slice(self, name: str, first: int, last: int) -> NDArray[Any]:
        """Rows `first` to `last` (without it) of a feature, as they are in the file.

        Raises:
            FerError: a checksum does not match.
        """
        try:
            return np.asarray(self._file[f"features/{name}"][first:last])
        except (OSError, KeyError) as error:
            if isinstance(error, OSError) and "errno" in str(error):  # the disk, not the content
                raise unreadable(self.path, error) from error
            raise FerError(
                f"{self.path}: {name} is damaged: {error}", hint=damaged_hint(self.path)
            ) from error

    def _gather(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Pick rows a few chunks at a time: h5py's own indexing by lists is slow for many rows."""
        dataset = self._file[f"features/{name}"]
        out = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
        step = dataset.chunks[0] * 16
        for start in range(0, len(self), step):
            first, last = np.searchsorted(rows, (start, start + step))
            if last > first:
                part = self.read_slice(name, start, start + step)
                out[first:last] = part[rows[first:last] - start]
        return out


def filters(compression: str) -> dict[str, Any]:
    """What h5py is told of a dataset that is to be packed so.

    Raises:
        FerError: hdf5plugin is needed and not installed, or there is no such compression.
    """
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 1}
    if compression != "zstd":
        raise FerError(
            f"no such compression: {compression}", hint=f"known are {', '.join(COMPRESSIONS)}"
        )
    try:
        import hdf5plugin
    except ImportError as error:
        raise FerError(
            "features packed with zstd need the package hdf5plugin",
            hint=install_hint("zstd"),
        ) from error
    return {"shuffle": True, **hdf5plugin.Zstd(clevel=1)}


def header_digest(text: Mapping[str, str], tables: Mapping[str, NDArray[Any]]) -> str:
    """Hex SHA-256 of a cache's texts and tables, in the order of their names."""
    digest = hashlib.sha256(to_json(dict(text)).encode())
    for name, array in sorted(tables.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def content_digest(path: Path) -> str:
    """Hex SHA-256 of the SHA-256s of each 4 MiB of what stands behind the user block."""
    starts = range(USERBLOCK, path.stat().st_size, _BLOCK)
    blocks = parallel(functools.partial(_block_digest, path), starts)
    return hashlib.sha256(b"".join(blocks)).hexdigest()


def _block_digest(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.sha256(file.read(_BLOCK)).digest()


def userblock(digest: str) -> bytes:
    """What stands before the HDF5 content: a line on what the file is, and a line with its hash."""
    text = (
        f"{FIRST_WORDS}, HDF5 from byte {USERBLOCK} on\n"
        f"sha256 of the sha256s of each 4 MiB of that: {digest}\n"
    )
    return text.encode().ljust(USERBLOCK, b"\n")


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
                    hint="keep it, and name another folder with --cache-dir",
                )
