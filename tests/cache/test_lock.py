import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_features.cache import only_writer, writer_of
from fer_features.errors import FerError

HOLD = """
import sys, time
from pathlib import Path
from fer_features.cache import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until it is killed."""
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_held_lock_is_an_error_and_that_of_an_ended_process_is_replaced(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sub" / "one.h5"
    other = hold(path)
    try:
        with pytest.raises(FerError, match=str(other.pid)), only_writer(path):
            pass
        assert str(other.pid) in str(writer_of(path))
    finally:
        other.kill()
        other.communicate()
    assert writer_of(path) is None
    begun = time.monotonic()
    with only_writer(path):
        pass
    assert time.monotonic() - begun < 10
    assert list(path.parent.iterdir()) == []


def test_one_process_cannot_write_twice_either(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    with (
        only_writer(path),
        pytest.raises(FerError, match=str(os.getpid())),
        only_writer(path),
    ):
        pass


def test_caches_are_locked_one_by_one(tmp_path: Path) -> None:
    with only_writer(tmp_path / "one.h5"), only_writer(tmp_path / "two.h5"):
        pass


def test_the_lock_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "one.h5.lock").write_text("12345\nanother-machine\n")
    with (
        pytest.raises(FerError, match=r"12345.*another-machine") as caught,
        only_writer(tmp_path / "one.h5"),
    ):
        pass
    assert "one.h5.lock" in caught.value.hint
