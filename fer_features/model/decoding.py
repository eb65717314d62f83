"""Pictures of files, videos and arrays, decoded a few ahead by several threads, in order."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.data.pictures import read_photograph, read_picture
from fer_features.detect.sources import is_video
from fer_features.detect.video import parse_every, read_frames
from fer_features.errors import FerError
from fer_features.model.faces import as_faces

Source = Path | bytes | NDArray[np.uint8]
"""A file, a picture file's content, or a picture uint8 (H, W) or (H, W, 3)."""

Region = tuple[int, int, int, int]
"""Left, top, width and height in a picture's pixels."""


@dataclass(frozen=True)
class Options:
    """What is looked for in pictures.

    Attributes:
        whole: each picture is a face; none are looked for.
        largest: keep only the largest face of a picture.
        region: look only at this part of each picture.
        every: of a video, take each so many frames (``10``) or seconds (``0.5s``).
    """

    whole: bool = False
    largest: bool = False
    region: Region | None = None
    every: str = "1"

    def __post_init__(self) -> None:
        """Refuse values that cannot be used, with a `FerError`."""
        parse_every(str(self.every))
        region = self.region
        if region is not None and (len(region) != 4 or min(region) < 0 or 0 in region[2:]):
            raise FerError(f"no such region: {region}", hint="x, y, width, height in pixels")


@dataclass(frozen=True)
class Picture:
    """A decoded picture or frame, or the reason why there is none.

    Attributes:
        source: as in `Prediction`, as are `frame`, `time_s` and `reason`.
        pixels: uint8 (H, W) or (H, W, 3); None if it could not be read.
        scale: pixels of the picture in one of `pixels`, which are fewer if the picture is huge.
        face: uint8 (48, 48), where the whole picture is a face.
        ends: it is the last of its source.
    """

    source: str
    frame: int | None = None
    time_s: float | None = None
    pixels: NDArray[np.uint8] | None = None
    reason: str = ""
    scale: float = 1.0
    face: NDArray[np.uint8] | None = None
    ends: bool = True


@dataclass
class Seconds:
    """Time spent waiting for each step."""

    decode: float = 0.0
    detect: float = 0.0
    predict: float = 0.0

    def add(self, step: str, begun: float) -> None:
        """Add the time since `begun` to a step's."""
        setattr(self, step, getattr(self, step) + time.perf_counter() - begun)


def decode(
    sources: Iterable[Source], options: Options, workers: int, seconds: Seconds
) -> Iterator[Picture]:
    """The pictures of all sources in order, decoded ahead; a video's when they are asked for."""
    numbered = enumerate(sources)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    ahead = deque(pool.submit(_open, *one, options) for one in islice(numbered, workers + 1))
    try:
        while ahead:
            begun = time.perf_counter()
            opened = ahead.popleft().result()
            ahead.extend(pool.submit(_open, *one, options) for one in islice(numbered, 1))
            for picture in opened:
                seconds.add("decode", begun)
                yield picture
                begun = time.perf_counter()
    finally:
        pool.shutdown(cancel_futures=True)


def _open(number: int, source: Source, options: Options) -> Iterable[Picture]:
    if isinstance(source, np.ndarray):
        return [_with_face(Picture(str(number), pixels=source), options)]
    if isinstance(source, Path) and is_video(source):
        return _frames(source, options)
    name = str(source) if isinstance(source, Path) else str(number)
    try:
        photograph = read_photograph(source)
        pixels, scale = photograph.pixels, 1 / photograph.scale
        reduced = options.whole and options.region is None and scale > 1
        if reduced and isinstance(source, Path):
            return [Picture(name, pixels=pixels, scale=scale, face=read_picture(source))]
        return [_with_face(Picture(name, pixels=pixels, scale=scale), options)]
    except (OSError, ValueError) as error:
        return [Picture(name, reason=str(error))]


def _with_face(picture: Picture, options: Options) -> Picture:
    """With the face, where the whole picture is one: as for the cache, to the bit."""
    if options.whole and picture.pixels is not None:
        part = part_of(picture, options.region)
        return replace(picture, face=as_faces([part])[0] if part.size else None)
    return picture


def _frames(source: Path, options: Options) -> Iterator[Picture]:
    """A video's pictures; one that cannot be read, or has no frame, has one without pixels."""
    last = Picture(str(source), reason="it has no frames")
    started = False
    try:
        for frame in read_frames(source, every=options.every):
            if started:
                yield last
            started = True
            last = Picture(str(source), frame.number, frame.time_s, frame.pixels, frame.reason)
            last = replace(_with_face(last, options), ends=False)
    except (FerError, OSError, ValueError) as error:
        if started:
            yield last
        last = Picture(str(source), reason=str(error))
    yield replace(last, ends=True)


def part_of(picture: Picture, region: Region | None) -> NDArray[np.uint8]:
    """The pixels of a region of a picture; none if it is outside, or could not be read."""
    pixels = picture.pixels
    if pixels is None:
        return np.empty((0, 0), np.uint8)
    if region is None:
        return pixels
    left, top = corner_of(picture, region)
    right, bottom = ((region[i] + region[i + 2]) / picture.scale for i in (0, 1))
    return pixels[top : max(math.ceil(bottom), 0), left : max(math.ceil(right), 0)]


def corner_of(picture: Picture, region: Region | None) -> tuple[int, int]:
    """The upper left corner of a region in a picture's `pixels`."""
    return (
        (max(int(region[0] / picture.scale), 0), max(int(region[1] / picture.scale), 0))
        if region
        else (0, 0)
    )
