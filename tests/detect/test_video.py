import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_features.detect.video import frames_of, parse_every, read_frames
from fer_features.errors import FerError
from tests.model.fakes import write_video

TIMES = [0, 40, 80, 200, 240, 1000, 1040, 1500]
"""Milliseconds at which frames are shown: a variable frame rate."""


def grey(level: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.full((64, 96), level, np.uint8)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "v.mkv"
    return write_video(path, [grey(20 + 25 * number) for number in range(8)], TIMES)


def test_each_frame_comes_once_with_its_own_time(video: Path) -> None:
    frames = list(read_frames(video))
    assert [(one.number, one.time_s) for one in frames] == [
        (number, time / 1000) for number, time in enumerate(TIMES)
    ]
    levels = [one.pixels.mean() for one in frames if one.pixels is not None]
    assert levels == pytest.approx([20 + 25 * number for number in range(8)], abs=3)


@pytest.mark.parametrize("suffix", ["mp4", "ts", "avi"])
def test_times_count_from_the_start_in_every_container(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"v.{suffix}", [grey(99)] * 8, TIMES)
    assert [one.time_s for one in read_frames(path)] == [time / 1000 for time in TIMES]


@pytest.mark.parametrize(
    ("every", "numbers"), [("3", [0, 3, 6]), ("0.5s", [0, 5, 7]), ("0.1s", [0, 3, 5, 7])]
)
def test_every_so_many_frames_or_seconds(video: Path, every: str, numbers: list[int]) -> None:
    assert [one.number for one in read_frames(video, every=every)] == numbers


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "s", "0s", "1/0s", "2.5", "nans"])
def test_what_every_does_not_take(text: str) -> None:
    with pytest.raises(FerError, match="--every"):
        parse_every(text)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_frames_are_turned_as_the_file_says(tmp_path: Path, rotation: int) -> None:
    stored = grey(0)
    stored[:32, :48] = 200  # the upper left quarter
    path = write_video(tmp_path / "v.mp4", [stored], [0], rotation=rotation)
    (frame,) = read_frames(path)
    assert frame.pixels is not None
    turned = np.rot90(stored, rotation // 90)  # counterclockwise, as FFmpeg counts
    assert np.abs(frame.pixels[:, :, 1].astype(int) - turned).mean() < 5


def test_damaged_frames_are_told_and_keep_their_numbers(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    noise = [rng.integers(0, 255, (64, 96), np.uint8) for _ in range(40)]
    path = write_video(tmp_path / "v.mp4", noise, range(0, 1600, 40))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    frames = list(read_frames(path))
    assert [one.number for one in frames] == list(range(40))
    damaged = [one for one in frames if one.pixels is None]
    assert damaged
    assert all("damaged" in one.reason for one in damaged)


@pytest.mark.parametrize("suffix", ["mkv", "avi", "ts", "mpg"])
def test_a_shortened_file_has_a_last_row_that_tells(
    tmp_path: Path, rng: np.random.Generator, suffix: str
) -> None:
    noise = [rng.integers(0, 255, (64, 96), np.uint8) for _ in range(100)]
    path = write_video(tmp_path / f"v.{suffix}", noise, range(0, 4000, 40))
    assert all(one.pixels is not None for one in read_frames(path))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    *_, last = read_frames(path, every="7")
    if suffix in ("mkv", "avi"):  # the others do not tell how long they should be
        assert last.pixels is None
        assert re.fullmatch(r"the file ends early: 2\.\d of 4\.0 s are there", last.reason)
    else:
        *_, last = read_frames(path)
        assert (last.pixels, last.reason) == (None, "damaged")


def test_a_video_track_that_is_shorter_than_the_sound_is_whole(tmp_path: Path) -> None:
    import av

    path = tmp_path / "v.mkv"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey(99), format="gray")))
        container.mux(video.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 40_000), np.int16), layout="mono")
        tone.rate = 8000
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    assert [one.reason for one in read_frames(path)] == [""] * 10


@pytest.mark.parametrize("content", [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\nv.mkv\n"])
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^\w.*"):
        list(read_frames(path))
    with pytest.raises(ValueError, match=r"^\w.*"):
        frames_of(path)


def test_a_sound_file_has_no_video_track(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.rate = 8000
        for packet in stream.encode(sound):
            container.mux(packet)
    with pytest.raises(ValueError, match="no video track"):
        list(read_frames(path))


def test_about_how_many_frames_there_are(video: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [grey(99)] * 8, TIMES)
    assert frames_of(path) == 8
    assert frames_of(video) > 0


def test_without_pyav_the_extra_is_named(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FerError, match=r'pip install "av>=14\.1"'):
        next(read_frames(video))


@pytest.mark.long
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from fer_features.detect.video import read_frames\n"
        "n = sum(1 for _ in read_frames(Path(sys.argv[1])))\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    picture = np.full((480, 640), 99, np.uint8)
    most = {}
    for n in (50, 250):
        path = write_video(tmp_path / f"{n}.mp4", [picture] * n, range(0, 40 * n, 40))
        words = [sys.executable, "-c", program, str(path)]
        found = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603
        frames, most[n] = map(int, found.stdout.split())
        assert frames == n
    assert most[250] < most[50] + 20_000  # kB
