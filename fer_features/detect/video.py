"""Frames of video files, one at a time, with the time at which a player shows each (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError, install_hint

_SUFFIXES = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv"
VIDEO_SUFFIXES = frozenset(_SUFFIXES.split())

MAX_FRAME_PIXELS = 100_000_000

MICROSECONDS = 1_000_000
"""FFmpeg's unit of a file's own start and duration, in a second."""

SLACK_S = 1.0
"""Seconds by which a whole file may end before its header says."""

_NO_OTHER_FILES = {"protocol_whitelist": "none"}
"""A playlist that is called a video cannot have other files or addresses opened."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        number: its place among all frames of the video, in the order shown, from 0.
        time_s: seconds from the start of the video; None if the file does not tell.
        pixels: uint8 (H, W, 3), turned as the file says; None if it could not be decoded.
        reason: why it could not be decoded.
    """

    number: int
    time_s: float | None
    pixels: NDArray[np.uint8] | None = None
    reason: str = ""


def parse_every(text: str) -> tuple[int, Fraction | None]:
    """What ``--every`` says: each so many frames, or a frame each so many seconds (``0.5s``).

    Returns:
        The step in frames, and the step in seconds or None.

    Raises:
        FerError: it is neither.
    """
    try:
        if text.endswith("s"):
            step = Fraction(text.removesuffix("s"))
            if step > 0:
                return 1, step
        elif int(text) > 0:
            return int(text), None
    except (ValueError, ZeroDivisionError):
        pass
    raise FerError(
        f"--every {text}: neither a number of frames nor of seconds",
        hint="--every 10 takes each tenth frame, --every 0.5s one each half second",
    )


def check_video_support() -> None:
    """Raise a `FerError` if PyAV is not installed."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise FerError("videos need PyAV", hint=install_hint("video")) from error


def read_frames(path: Path, *, every: str = "1") -> Iterator[Frame]:
    """Decode a video's frames in the order shown, with one of them in memory.

    Times are the file's own, so that frames of varying length are right. A packet that cannot be
    decoded counts as a frame, which has a reason instead of pixels; so has a last one if the file
    ends early, as far as its container tells how long it should be (MP4, Matroska, WebM, AVI).

    Args:
        path: the file; its first video track is read.
        every: take each so many frames (``10``), or the first frame from each so many seconds on
            (``0.5s``).

    Raises:
        FerError: PyAV is not installed, or `every` is not of this form.
        ValueError: the file is no video that can be decoded; the message says why.
    """
    step, seconds = parse_every(every)
    due = Fraction(0)
    number = -1
    with _opened(path) as container:
        packets = _Packets(container)
        for number, (shown_at, frame, reason) in enumerate(_decoded(packets)):
            if number % step or (seconds and shown_at is not None and shown_at < due):
                continue
            if seconds and shown_at is not None:
                due = (shown_at // seconds + 1) * seconds
            time_s = None if shown_at is None else round(float(shown_at), 6)
            pixels = None if frame is None else _pixels(frame)
            yield Frame(number, time_s, pixels, reason)
        if reason := _ends_early(packets, number + 1):
            yield Frame(number + 1, None, None, reason)


def frames_of(path: Path) -> int:
    """About how many frames a video has, from its header; 0 if the file does not tell."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        seconds = (container.duration or 0) / MICROSECONDS
        by_rate = round(seconds * float(stream.average_rate or 0))
        return stream.frames if "mp4" in container.format.name and stream.frames else by_rate


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open video; whatever FFmpeg or the system raises becomes a `ValueError` of one line."""
    check_video_support()
    import av

    try:
        with path.open("rb") as file, av.open(file, options=_NO_OTHER_FILES) as container:
            if not container.streams.video:
                raise ValueError("it has no video track")
            yield container
    except (OSError, av.error.FFmpegError) as error:
        raise ValueError(getattr(error, "strerror", None) or str(error)) from error


class _Packets:
    """The packets of a video's first video track.

    Attributes:
        container: the open video.
        end: seconds at which the last packet that was read ends, of whatever track.
    """

    def __init__(self, container: Any) -> None:
        self.container = container
        self.end = 0.0

    def __iter__(self) -> Iterator[Any]:
        stream = self.container.streams.video[0]
        stream.thread_type = "AUTO"
        for packet in self.container.demux():
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                self.end = max(self.end, float(end))
            if packet.stream is stream:
                yield packet


def _decoded(packets: _Packets) -> Iterator[tuple[Fraction | None, Any, str]]:
    """Time, frame (None if it could not be decoded) and reason of each frame of a video."""
    import av

    start = Fraction(packets.container.start_time or 0, MICROSECONDS)
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            yield _time(packet, start), None, f"damaged: {error.strerror}"
            continue
        for frame in frames:
            if frame.is_corrupt:
                yield _time(frame, start), None, "damaged"
            elif frame.width * frame.height > MAX_FRAME_PIXELS:
                yield _time(frame, start), None, "it has more than 100 million pixels"
            else:
                yield _time(frame, start), frame, ""


def _time(one: Any, start: Fraction) -> Fraction | None:
    return None if one.pts is None else Fraction(one.pts * one.time_base) - start


def _pixels(frame: Any) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _ends_early(packets: _Packets, found: int) -> str:
    """Why there is less than there should be, where the container tells how much that is."""
    container, stream = packets.container, packets.container.streams.video[0]
    if "mp4" in container.format.name and found < stream.frames:
        return f"the file ends early: {found:,} of {stream.frames:,} frames are there"
    declared = 0.0
    if "matroska" in container.format.name:
        declared = (container.duration or 0) / MICROSECONDS
    elif container.format.name == "avi":  # its duration is what is left of a shortened file's
        declared = float(stream.frames * stream.time_base)
    if packets.end + SLACK_S < declared:
        return f"the file ends early: {packets.end:.1f} of {declared:.1f} s are there"
    return ""
