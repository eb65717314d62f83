"""Time and memory of reading rows out of ``fer2013.csv``: this package against pandas.

``python benchmarks/read_csv.py [PATH]``; without a path, on a file of random pixels made for it.

Each reader runs in a fresh process, the readers in turn, and the median of the runs is shown. The
clock starts after the imports. Ours makes the index, decodes the rows and hashes each image; the
second line also hashes the file, as an extraction does once to know its data again. The pandas
recipes give the pixels of the same rows and nothing else.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

# NumPy and pandas are imported in the readers only: a process's peak memory is to be its own.

FER2013_ROWS = 35_887


def read_ours(path: Path, rows: int) -> tuple[float, int]:
    """The seconds taken, and the sum of all pixels, by which the readers are compared."""
    import numpy as np

    from fer_features.data import open_faces

    begun = time.perf_counter()
    source = open_faces(path)
    index = source.index()
    checksum = sum(
        int(faces.images.sum(dtype=np.int64))
        for faces in source.read(index.row[_choose(len(index), rows)])
    )
    return time.perf_counter() - begun, checksum


def read_ours_and_hash(path: Path, rows: int) -> tuple[float, int]:
    """The same, and the SHA-256 of the file."""
    from fer_features.data import open_faces

    begun = time.perf_counter()
    open_faces(path).digest()
    hashed = time.perf_counter() - begun
    seconds, checksum = read_ours(path, rows)
    return hashed + seconds, checksum


def read_pandas_chosen(path: Path, rows: int) -> tuple[float, int]:
    """The usual recipe: read the table, then split the text of the chosen rows."""
    import numpy as np

    read_table = _import_pandas().read_csv
    begun = time.perf_counter()
    table = read_table(path)
    chosen = table.pixels.iloc[_choose(len(table), rows)]
    images = np.stack([np.array(text.split(), dtype="uint8") for text in chosen])
    return time.perf_counter() - begun, int(images.sum(dtype=np.int64))


def read_pandas_all(path: Path, rows: int) -> tuple[float, int]:
    """The same recipe as it is often found: split the text of all rows, then choose."""
    import numpy as np

    read_table = _import_pandas().read_csv
    begun = time.perf_counter()
    table = read_table(path)
    images = np.stack([np.array(text.split(), dtype="uint8") for text in table.pixels])
    images = images[_choose(len(table), rows)]
    return time.perf_counter() - begun, int(images.sum(dtype=np.int64))


READERS: dict[str, Callable[[Path, int], tuple[float, int]]] = {
    "fer_features": read_ours,
    "and the file's SHA-256": read_ours_and_hash,
    "pandas, chosen rows": read_pandas_chosen,
    "pandas, all rows": read_pandas_all,
}


def _import_pandas() -> Any:
    import pandas as pd

    return pd


def _choose(available: int, rows: int) -> Any:
    import numpy as np

    chosen = np.random.default_rng(0).choice(available, min(rows, available), replace=False)
    return np.sort(chosen)


def _peak_mib() -> float:
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def run_one(reader: str, path: Path, rows: int) -> None:
    """What a fresh process does: print one line of JSON."""
    seconds, checksum = READERS[reader](path, rows)
    print(json.dumps({"seconds": seconds, "mib": _peak_mib(), "checksum": checksum}))


def make_csv(path: Path, rows: int) -> None:
    """Write a file in FER2013's form with random pixels."""
    draw = random.Random(0)  # noqa: S311 - pixels are no secret
    numbers = [str(value) for value in range(256)]
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for row in range(rows):
            file.write(f"{row % 7},{' '.join(draw.choices(numbers, k=2304))},Training\n")


def compare(path: Path, *, rows: int, repeats: int) -> None:
    """Run the readers in turn and print their medians."""
    runs: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
    for _ in range(repeats):
        for reader in READERS:
            command = [sys.executable, __file__, str(path), f"--rows={rows}", f"--reader={reader}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - ours
            runs[reader].append(json.loads(done.stdout))
    if len({run["checksum"] for reader in runs.values() for run in reader}) != 1:
        raise SystemExit("the readers disagree on the pixels")
    ours = median(run["seconds"] for run in runs["fer_features"])
    print(f"{rows:,} rows of {path.name} ({path.stat().st_size / 1e6:.0f} MB), median of {repeats}")
    print(f"{'':24}{'seconds':>8}{'peak MiB':>10}{'ours is':>10}")
    for reader, measured in runs.items():
        seconds = median(run["seconds"] for run in measured)
        peak = median(run["mib"] for run in measured)
        print(f"{reader:24}{seconds:>8.2f}{peak:>10.0f}{seconds / ours:>9.1f}×")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path, help="a fer2013.csv; by default one made up")
    parser.add_argument("--rows", type=int, default=17_000, help="rows to read (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reader:
        run_one(given.reader, given.path, given.rows)
    elif given.path:
        compare(given.path, rows=given.rows, repeats=given.repeats)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random.csv"
            make_csv(path, FER2013_ROWS)
            compare(path, rows=given.rows, repeats=given.repeats)


if __name__ == "__main__":
    main()
