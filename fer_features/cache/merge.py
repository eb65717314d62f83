"""Merging shards into the cache that an extraction in one piece would have written."""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fer_features.cache.cache import Cache, verify
from fer_features.cache.contents import Contents
from fer_features.cache.faults import unreadable
from fer_features.cache.folder import (
    SHARD_NAME,
    SUFFIX,
    cache_path,
    check_space,
    journal_path,
    list_caches,
    remember,
)
from fer_features.cache.format import to_json
from fer_features.cache.learnt import keys_of, save_keys
from fer_features.cache.lock import only_writer
from fer_features.cache.shard import whole_of
from fer_features.cache.spec import LABELS
from fer_features.cache.writer import new_file, sync_folder
from fer_features.errors import FerError
from fer_features.runtime.progress import Progress, no_progress


@dataclass(frozen=True)
class Merged:
    """The result of merging shards.

    Attributes:
        cache: the whole.
        rows: how many rows it has.
        shards: of how many shards.
        already_there: whether the file was there before, and is left as it was.
    """

    cache: Path
    rows: int
    shards: int
    already_there: bool


def merge_shards(
    paths: Sequence[Path], out: Path | None = None, *, progress: Progress = no_progress
) -> Merged:
    """Merge all shards of an extraction into one cache.

    The file is the same byte for byte as that of an extraction in one piece with the same options.
    Features are copied a chunk at a time, so memory does not grow with them. The shards are kept.

    Args:
        paths: the shards, in any order, or folders of them.
        out: the file to write; None for the one that the extraction in one piece would write, in
            the folder of the first shard.
        progress: progress callback.

    Raises:
        FerError: shards are missing, doubled, damaged, unfinished or of another extraction (the
            message names each), `out` is there and differs, or the disk is full.
    """
    shards = _open_all(_files(paths), progress)
    path = Path(out) if out is not None else cache_path(shards[0].path.parent, shards[0].header)
    if not path.name.endswith(SUFFIX):
        raise FerError(f"{path}: not the name of a cache", hint=f"--out takes a {SUFFIX} file")
    wholes = [whole_of(parts) for parts in zip(*(one.selections for one in shards), strict=True)]
    contents = Contents(shards, wholes)
    with ExitStack() as stack:
        for one in shards:
            stack.callback(one.close)
        stack.enter_context(only_writer(path))
        needed = sum(one.path.stat().st_size for one in shards)
        check_space(path.parent, needed, hint="make room, or name a file elsewhere with --out")
        already_there = _write(path, contents, shards[0].compression, progress)
    keys = keys_of(shards[0])
    if len(keys):
        save_keys(path.parent, str(contents.header.spec["weights_sha256"]), keys)
    remember(path, wholes[-1])
    return Merged(path, len(contents.rows), len(shards), already_there)


class _Shard(Cache):
    """A shard whose file is open only while its rows are read: there may be thousands of them.

    Args:
        path: the shard.
        reading: the shard whose file is open, if any; shared by all.

    Attributes:
        part: which shard it is.

    Raises:
        FerError: it is no shard, unfinished or damaged.
    """

    def __init__(self, path: Path, reading: list[_Shard]) -> None:
        if journal_path(path).exists():
            raise FerError(f"{path} is unfinished: its extraction was interrupted, or still runs")
        verify(path)
        super().__init__(path)
        self.close()
        self._reading = reading
        if self.shard is None or not all("shard" in one.info for one in self.selections):
            raise FerError(f"{path} is not a shard")
        self.part = self.shard
        if not self.complete:
            raise FerError(f"{path} is unfinished: its extraction was interrupted")

    def gather(self, column: str, places: NDArray[np.int64]) -> NDArray[Any]:
        """As of `Cache`."""
        if self not in self._reading:
            while self._reading:
                self._reading.pop().close()
            try:
                self._file = h5py.File(self.path, "r", locking=False)
            except OSError as error:
                raise unreadable(self.path, error) from error
            self._reading.append(self)
        return super().gather(column, places)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and the shards, unfinished ones too, of the folders."""
    files = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(one for one in list_caches(path) if SHARD_NAME.search(one.name))
        if not inside:
            raise FerError(f"no shards in {path}", hint="fer extract --shard K/N makes them")
        files += inside
    if not files:
        raise FerError("no shards to merge", hint="name their files, or the folder they are in")
    return files


def _open_all(files: Sequence[Path], progress: Progress) -> list[_Shard]:
    """All shards of one extraction, in order.

    Raises:
        FerError: they are not that; the message names every file and shard that is amiss.
    """
    found: list[_Shard] = []
    problems: list[str] = []
    named: set[int] = set()
    reading: list[_Shard] = []
    with progress("checking", len(files), "shards") as advance:
        for path in files:
            try:
                found.append(_Shard(path, reading))
            except FerError as error:
                problems.append(error.message)
                name = SHARD_NAME.search(path.name)
                named |= {int(name[1])} if name else set()
            advance(1)
    shards = _of_one_extraction(found, problems)
    numbers = [one.part.number for one in shards]
    for number, times in Counter(numbers).items():
        if times > 1:
            same = [str(one.path) for one in shards if one.part.number == number]
            problems.append(f"shard {number} is there {times} times: {', '.join(same)}")
    if shards:
        count = shards[0].part.count
        missing = sorted(set(range(1, count + 1)) - set(numbers) - named)
        if missing:
            problems.append(f"of {count} shards these are missing: {_ranges(missing)}")
    if problems:
        raise FerError(
            "; ".join(problems),
            hint="fer extract --shard makes, or resumes, those that are missing or unfinished; "
            "name each shard of one extraction once, and no other file",
        )
    return sorted(shards, key=lambda one: one.part)


def _of_one_extraction(found: Sequence[_Shard], problems: list[str]) -> list[_Shard]:
    """Those of the extraction of most files; what the others are is added to `problems`."""
    facts = [_facts(one) for one in found]
    texts = [to_json(one) for one in facts]
    if not texts:
        return []
    most = texts.index(Counter(texts).most_common(1)[0][0])
    for shard, own in zip(found, facts, strict=True):
        if own != facts[most]:
            problems.append(f"{shard.path} is of another extraction: {_differ(own, facts[most])}")
    return [one for one, text in zip(found, texts, strict=True) if text == texts[most]]


def _facts(shard: _Shard) -> dict[str, Any]:
    """All that the shards of one extraction have in common."""
    facts = {k: v for k, v in shard.header.spec.items() if k not in LABELS}
    facts["data"] = shard.header.dataset["sha256"]
    facts["number of shards"] = shard.part.count
    for place, one in enumerate(shard.selections):
        info = {**one.to_dict(), "id": one.info["whole"]["id"], "rows": one.info["whole"]["rows"]}
        del info["shard"], info["whole"]
        which = f" of selection {place + 1}" if place else ""
        facts |= {f"{k}{which}": v for k, v in sorted(info.items(), key=_id_last)}
    return facts | {"columns": list(shard.columns), "compression": shard.compression}


def _id_last(item: tuple[str, Any]) -> bool:
    """A hash explains nothing while another field differs too."""
    return item[0] == "id"


def _differ(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first of the facts that differ, as text."""
    names = [name for name in {**other, **own} if own.get(name) != other.get(name)]
    return f"its {names[0]} is {own.get(names[0])!r}, not {other.get(names[0])!r}"


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as a job array takes them: ``1,3-5``."""
    groups: list[list[int]] = []
    for one in numbers:
        if groups and one == groups[-1][-1] + 1:
            groups[-1] = [groups[-1][0], one]
        else:
            groups.append([one])
    return ",".join("-".join(map(str, group)) for group in groups)


def _write(path: Path, contents: Contents, compression: str, progress: Progress) -> bool:
    """Write the whole; returns whether the same file was there already.

    Raises:
        FerError: another file is there, or nothing can be written.
    """
    differs = FerError(
        f"{path} is there already, and differs from what these shards make",
        hint="move it away, or name another file with --out",
    )
    there = path.exists()
    if there:
        with Cache(path) as cache:
            if _description(cache) != _description(contents) or cache.compression != compression:
                raise differs
    cells = len(contents.columns) * len(contents.rows)
    hint = "make room there, and the same command merges the shards, which are kept"
    with (
        progress("merging", cells, "cells") as advance,
        new_file(path, contents, compression, hint=hint, advance=advance) as new,
    ):
        if not there:
            new.replace(path)
        elif not filecmp.cmp(new, path, shallow=False):
            raise differs
    sync_folder(path.parent)
    return there


def _description(one: Cache | Contents) -> list[Any]:
    """All of a file but its rows' values."""
    selections = [selection.to_dict() for selection in one.selections]
    return [one.header, one.software, list(one.columns), selections, len(one.rows)]
