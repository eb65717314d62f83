import io

import pytest

from fer_features.runtime import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_elsewhere_than_on_a_terminal_it_is_a_line_every_ten_seconds(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.show_progress("extracting", 100, "images") as advance:
        for second in range(1, 26):
            clock[0] = second
            advance(2)
    assert capsys.readouterr().err.splitlines() == [
        "extracting: 20 of 100 images, 2.0 images/s, 0:40 left",
        "extracting: 40 of 100 images, 2.0 images/s, 0:30 left",
    ]


def test_the_first_batch_which_waits_for_the_compiler_does_not_count(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.show_progress("extracting", 7232, "images") as advance:
        clock[0] = 500  # half a minute would be long; this cannot be overlooked
        advance(32)
        clock[0] = 510
        advance(100)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "extracting: 32 of 7232 images"
    assert second == "extracting: 132 of 7232 images, 10.0 images/s, 11:50 left"


def test_batches_computed_beside_the_first_do_not_count(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """Four are computed at once, in 8 s: they follow each other at once, every 8 s."""
    with progress.show_progress("extracting", 640, "images") as advance:
        for clock[0] in (9, 9.1, 9.2, 9.3, 17, 17.1, 17.2, 17.3):
            advance(32)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "extracting: 160 of 640 images, 4.2 images/s, 1:55 left"


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    with progress.show_progress("extracting", 10, "images") as advance:
        advance(5)
        advance(5)
    assert "10/10" in out.getvalue()
    assert "images/s" in out.getvalue()
