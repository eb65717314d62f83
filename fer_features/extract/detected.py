"""Faces found in photographs and cropped as the models crop them, as a source of stage 1."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from itertools import islice, tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import only_writer
from fer_features.data import IMAGE_SIZE, FaceIndex, Faces, FaceSource
from fer_features.data.pictures import Photograph, PictureSource, read_photograph
from fer_features.detect import CROP_RULE, Detector, Face, crop_face
from fer_features.detect.boxes import only_largest
from fer_features.detect.crop import REFUSED_PX, side_of
from fer_features.errors import FerError
from fer_features.runtime.progress import Progress, no_progress

RECORD = np.dtype(
    [
        ("row", "<i8"),
        ("faces", "<i4"),
        ("reason", "S200"),
        ("image", "u1", (IMAGE_SIZE, IMAGE_SIZE)),
        ("crc32", "<u4"),
    ]
)
"""A picture in the file of crops: its row, how many faces it has, why it has no crop (empty if it
has one), the largest face, and the CRC-32 of all that."""

WORKERS = min(4, os.cpu_count() or 1)
"""Threads that decode pictures."""

NO_FACE = "no face was found"
SMALL = f"its largest face has less than {REFUSED_PX} px"


class DetectedFaces:
    """The largest face in each picture of a source, as `fer predict` crops it.

    Faces are looked for once in each picture, when the source is first indexed, and their crops are
    appended to ``faces-DIGEST.bin`` in the folder of the caches. `read` and further extractions,
    with any backbone, read that file; an interrupted search resumes where the file ends.

    Args:
        source: of pictures.
        folder: of the caches.
        skip_bad: leave out pictures that cannot be read or have no face of at least `REFUSED_PX`,
            instead of raising at the first.
        progress: progress callback, if faces have to be found.

    Raises:
        FerError: the source's rows are no picture files.
    """

    def __init__(
        self,
        source: FaceSource,
        folder: Path,
        skip_bad: bool = False,
        *,
        progress: Progress = no_progress,
    ) -> None:
        if not isinstance(source, PictureSource) or not source.has_pictures:
            raise FerError(
                f"{source.name} holds faces that are cut out already",
                hint="leave --detect out: it is for photographs, in class folders or Parquet files",
            )
        self._source, self._folder, self._skip_bad = source, Path(folder), skip_bad
        self._progress = progress
        self._detector = Detector()

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    @cached_property
    def settings(self) -> dict[str, Any]:
        """How faces are found and cropped, in JSON types; a part of the data set's identity."""
        rule = {"crop": CROP_RULE, "face": "largest", "least_px": REFUSED_PX}
        return {**self._detector.settings, **rule}

    def digest(self) -> str:
        """Hex SHA-256 of the source's digest and the settings."""
        return self._digest

    def index(self) -> FaceIndex:
        """Labels and row numbers of the pictures with a face; finds the faces at the first call.

        Raises:
            FerError: the source cannot be used, another process finds its faces, or, without
                ``skip_bad``, a picture cannot be read or has no face.
        """
        return self._index

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """The crops of `rows` (ascending row numbers of `index`), `batch_size` at a time.

        Raises:
            FerError: a row is not in the index, or the batch size is below 1.
        """
        index, records = self._index, self._records
        for places in index.batches(rows, batch_size=batch_size, name=self.name):
            found = records[np.searchsorted(self._rows, index.row[places])]
            yield index.faces(places, found["image"])

    @cached_property
    def _digest(self) -> str:
        text = json.dumps([self._source.digest(), self.settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """Row numbers of all pictures with a known label."""
        return self._source.index_without({}).row

    @cached_property
    def _index(self) -> FaceIndex:
        records = self._records
        bad = {}
        for record in records[records["reason"] != b""]:
            row = int(record["row"])
            bad[row] = self._source.reason(row, ValueError(_reason(record)))
        index = self._source.index_without(bad)
        return replace(index, notes=(*index.notes, *_notes(records)))

    @cached_property
    def _records(self) -> NDArray[Any]:
        """A record of each of `_rows`, mapped from the file; what it lacks is found and appended.

        Raises:
            FerError: as for `index`.
        """
        path = self._folder / f"faces-{self._digest[:16]}.bin"
        if len(_read(path, self._rows)) < len(self._rows):
            with only_writer(path):
                self._append(path, self._rows[len(_read(path, self._rows)) :])
        records = _read(path, self._rows)
        for record in records[records["reason"] != b""]:
            self._check(record)
        return records

    def _append(self, path: Path, rows: NDArray[np.int64]) -> None:
        """Find the faces of `rows`, and write their records behind those of the rows before."""
        kept = (len(self._rows) - len(rows)) * RECORD.itemsize
        with (
            self._progress("finding faces", len(rows), "pictures") as advance,
            path.open("r+b" if path.exists() else "xb") as file,
        ):
            file.truncate(kept)
            file.seek(kept)
            for record in self._find(rows):
                file.write(record.tobytes())
                advance(1)
                self._check(record)

    def _find(self, rows: NDArray[np.int64]) -> Iterator[Any]:
        """A record of each row; a few pictures are decoded, and a few searched, at once."""
        decoded, searched = tee(self._photographs(rows))
        pictures = (one.pixels for one in searched if isinstance(one, Photograph))
        found = self._detector.iter_detect(pictures)
        for row, picture in zip(rows.tolist(), decoded, strict=True):
            faces = next(found) if isinstance(picture, Photograph) else []
            yield _record(row, picture, faces)

    def _photographs(self, rows: NDArray[np.int64]) -> Iterator[Photograph | ValueError]:
        """The pictures of `rows`, decoded ahead by several threads, or why they cannot be."""
        files = self._source.files(rows)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="decode") as pool:
            ahead = deque(pool.submit(_decode, one) for one in islice(files, WORKERS + 1))
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(_decode, one) for one in islice(files, 1))

    def _check(self, record: Any) -> None:
        """Raise a `FerError` for a picture without a crop, unless such are left out."""
        if record["reason"] and not self._skip_bad:
            with self._source.errors(int(record["row"])):
                raise ValueError(_reason(record))


def _decode(file: Path | bytes) -> Photograph | ValueError:
    try:
        return read_photograph(file)
    except ValueError as error:
        return error


def _record(row: int, picture: Photograph | ValueError, faces: list[Face]) -> Any:
    """The record of a picture, a scalar of type `RECORD`."""
    record = np.zeros((), RECORD)[()]
    record["row"], record["faces"] = row, len(faces)
    if isinstance(picture, ValueError):
        record["reason"] = str(picture).encode()
    elif not faces:
        record["reason"] = NO_FACE.encode()
    else:
        (face,) = only_largest(faces)
        if side_of(face) < REFUSED_PX:
            record["reason"] = SMALL.encode()
        else:
            record["image"] = crop_face(picture.pixels, face)
    record["crc32"] = _crc(record)
    return record


def _reason(record: Any) -> str:
    return bytes(record["reason"]).decode(errors="replace")


def _crc(record: Any) -> int:
    return zlib.crc32(record.tobytes()[: -RECORD["crc32"].itemsize])


def _read(path: Path, rows: NDArray[np.int64]) -> NDArray[Any]:
    """The records at the start of the file that are complete and of the first `rows`."""
    count = path.stat().st_size // RECORD.itemsize if path.exists() else 0
    if not count:
        return np.empty(0, RECORD)
    records = np.memmap(path, RECORD, mode="r", shape=(count,))
    for place, (record, row) in enumerate(zip(records, rows.tolist(), strict=False)):
        if record["row"] != row or record["crc32"] != _crc(record):
            return records[:place]
    return records[: len(rows)]


def _notes(records: NDArray[Any]) -> Iterator[str]:
    """How many pictures have several faces, and how many are left out and why."""
    many = int(((records["faces"] > 1) & (records["reason"] == b"")).sum())
    if many:
        yield f"pictures with more than one face, of which the largest is taken: {many:,}"
    reasons = Counter(records["reason"].tolist())
    none, small = reasons.pop(NO_FACE.encode(), 0), reasons.pop(SMALL.encode(), 0)
    unread = reasons.total() - reasons[b""]
    if none or small or unread:
        yield (
            f"pictures left out (--skip-bad): no face {none:,}, largest face of less than "
            f"{REFUSED_PX} px {small:,}, unreadable {unread:,}"
        )
