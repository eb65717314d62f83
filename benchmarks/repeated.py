"""A cache of as many rows as wanted, made by repeating another's with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fer_features.cache import Cache, Header, RowSelection, open_writer
from fer_features.data.twin_table import TwinTable, read_table, table_path, write_table
from fer_features.data.twins import Twins
from fer_features.errors import FerError

NOISE = 0.5
"""Standard deviation of the noise, in those of each feature."""

_BLOCK = 4096


def repeat_cache(source: Path, path: Path, *, rows: int, seed: int = 0) -> None:
    """Write a cache of `rows` rows: those of `source` in turn, their pooled features with noise.

    Its table of copies is written beside it, so that a fit does not search for them: all
    repetitions of a row are copies. Which rows the weights have learnt from is left out: scores of
    heads on the new cache mean nothing, only their time and memory do.

    Args:
        source: a cache with pooled features, and its table of copies beside it.
        path: the new cache, in a folder of its own.
        rows: rows of the new cache.
        seed: of the noise.

    Raises:
        FerError: the source cannot be used, or the new cache cannot be written.
    """
    with Cache(source) as cache:
        table = read_table(table_path(source.parent, str(cache.header.dataset["sha256"])))
        if table is None:
            raise FerError(f"no table of copies beside {source}", hint="fer extract makes one")
        selection = cache.selection()
        pooled = f"{selection.layers[-1]}/pooled"
        columns = {name: cache.columns[name] for name in ("image", pooled)}
        held = {name: cache.gather(name, np.arange(len(cache))) for name in columns}
        deviation = NOISE * held[pooled].std(axis=0)
        dataset = {**cache.header.dataset, "sha256": f"{rows:032x}{seed:032x}"}
        header = Header(cache.header.spec, dataset, cache.header.key)
        every, random = np.arange(rows, dtype=np.int64), np.random.default_rng(seed)
        place = every % len(cache)
        metadata = cache.rows
        with open_writer(path) as writer:
            with writer.journal(
                header=header,
                selection=RowSelection(selection.info, (pooled,), every),
                software=cache.software[0],
                columns=columns,
            ) as journal:
                for first in range(0, rows, _BLOCK):
                    some = place[first : first + _BLOCK]
                    batch = {name: array[some] for name, array in held.items()}
                    shape = batch[pooled].shape
                    batch[pooled] += deviation * random.standard_normal(shape, np.float32)
                    own = vars(metadata[some]) | {"source_row": every[first : first + _BLOCK]}
                    journal.append(type(metadata)(**own), batch)
            writer.compact()
        of_table = np.searchsorted(table.row, metadata.source_row)[place]
    groups = table.twins.groups[of_table]
    none = np.empty((0, 2), np.int64), np.empty(0, np.uint8), np.empty(0, np.float32)
    repeated = TwinTable(every, table.sha256[of_table], Twins(groups, *none))
    write_table(table_path(path.parent, dataset["sha256"]), repeated)
