"""The copies of a data set, found once and kept beside its caches."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.config import NEAR, REGISTERED
from fer_features.data.faces import Faces, FaceSource, read_all
from fer_features.data.twins import Groups, Twins, find_twins
from fer_features.errors import FerError
from fer_features.runtime.files import atomic_path
from fer_features.runtime.progress import Progress, no_progress

VERSION = 1
"""Version of the search: tables of another one are made again."""


@dataclass(frozen=True, eq=False)
class TwinTable:
    """The copies among the rows of a data set.

    Attributes:
        row: int64 (N,), row numbers in the source, ascending.
        sha256: ``S64`` (N,), hashes of the images' bytes.
        twins: what was found; its places are places in `row`.
    """

    row: NDArray[np.int64]
    sha256: NDArray[np.bytes_]
    twins: Twins

    def holds(self, rows: NDArray[np.int64]) -> bool:
        """Whether all of these rows of the source were searched."""
        return bool(np.isin(rows, self.row).all())

    def groups(self, rows: NDArray[np.int64]) -> Groups:
        """Groups of these rows of the source, linked through rows that are not among them too."""
        return self.twins.groups[np.searchsorted(self.row, rows)]

    def copied(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows are a copy, of any kind, of a marked one, or marked: bool (N,)."""
        linked = self.twins.groups.linked
        copied: NDArray[np.bool_] = np.isin(linked, linked[marked])
        return copied


def twin_table(
    source: FaceSource,
    folder: Path,
    *,
    faces: Faces | None = None,
    progress: Progress = no_progress,
) -> TwinTable:
    """The copies among all usable rows of a source: read from the folder, or found and kept there.

    Args:
        source: of the images.
        folder: of caches; the table is ``twins-DIGEST.npz`` in it.
        faces: all of the source's usable rows, if they have been read already.
        progress: progress bar, if the table has to be made.

    Raises:
        FerError: a row cannot be read.
    """
    path = table_path(folder, source.digest())
    rows = source.index().row
    table = read_table(path)
    if table is not None and np.array_equal(table.row, rows):
        return table
    if faces is None:
        with progress("reading", len(rows), "images") as advance:
            faces = read_all(source, advance=advance)
    return make_table(
        path, faces.row, faces.images, sha256=faces.sha256, family=faces.family, progress=progress
    )


def table_of_rows(
    path: Path,
    row: NDArray[np.int64],
    images: Callable[[], NDArray[np.uint8]],
    *,
    sha256: NDArray[np.bytes_],
    wanted: NDArray[np.int64] | None = None,
    progress: Progress,
) -> TwinTable:
    """The table at `path` if it holds some rows of a source; else one of the rows at hand.

    Args:
        path: of the table.
        row: (N,), the rows at hand, as numbers in their source.
        images: reads their images.
        sha256: (N,), of the images.
        wanted: the rows that a stored table must hold; None for all at hand.
        progress: progress bar of the search.
    """
    table = read_table(path)
    if table is not None and table.holds(row if wanted is None else wanted):
        return table
    return make_table(path, row, images(), sha256=sha256, progress=progress)


def make_table(
    path: Path,
    row: NDArray[np.int64],
    images: NDArray[np.uint8],
    *,
    sha256: NDArray[np.bytes_],
    family: NDArray[np.int64] | None = None,
    progress: Progress,
) -> TwinTable:
    """Search images for copies, and keep what is found at `path`."""
    twins = find_twins(images, sha256=sha256, family=family, progress=progress)
    # a plain dtype: that of HDF5 carries metadata, which NumPy does not save
    table = TwinTable(row=row, sha256=np.array(sha256.tolist(), "S64"), twins=twins)
    with suppress(FerError):  # where nothing can be written, the search is repeated next time
        write_table(path, table)
    return table


def write_table(path: Path, table: TwinTable) -> None:
    """Keep a table at `path`.

    Raises:
        FerError: nothing can be written there.
    """
    found = {name: array for name, array in vars(table.twins).items() if name != "groups"}
    arrays = {"row": table.row, "sha256": table.sha256, **vars(table.twins.groups), **found}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about())), **arrays)


def table_path(folder: Path, digest: str) -> Path:
    """Where the table of the data set with that SHA-256 is kept."""
    return Path(folder) / f"twins-{digest[:16]}.npz"


def read_table(path: Path) -> TwinTable | None:
    """The table at `path`; None if there is none of this version, or it is damaged."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if json.loads(str(file["about"])) != about():
                return None
            groups = Groups(**{name: file[name] for name in ("exact", "near", "linked")})
            found = {name: file[name] for name in ("pairs", "kind", "correlation")}
            indexed = "indexed" in file and bool(file["indexed"])
            twins = Twins(groups=groups, **found, indexed=indexed)
            table = TwinTable(file["row"], file["sha256"], twins)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    same = {len(table.row), len(table.sha256), *map(len, vars(groups).values())}
    return table if len(same) == 1 else None


def about() -> dict[str, float]:
    """The settings of the search, by which tables of another one are recognised."""
    return {"version": VERSION, "near": NEAR, "registered": REGISTERED}
