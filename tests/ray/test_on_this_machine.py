"""A Ray that the command starts on this machine: what is printed, errors and interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray")

pytestmark = pytest.mark.ray

COMMAND = (sys.executable, "-m", "fer_features", "extract")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own program
        [*COMMAND, *words, "--cache-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_bytes_are_those_of_one_piece_and_then_nothing_is_to_do(tmp_path: Path) -> None:
    words = ("sample", "--backbone", "fernet", "--views", "flip", "--json")
    one = run(tmp_path / "one", *words)
    many = run(tmp_path / "many", *words, "--on", "ray", "--shards", "3")
    assert (one.returncode, many.returncode) == (0, 0), many.stderr
    alone, done = json.loads(one.stdout), json.loads(many.stdout)
    assert Path(done["cache"]).read_bytes() == Path(alone["cache"]).read_bytes()
    assert (done["rows"], done["engine"]) == (alone["rows"], alone["engine"])
    assert "3 shards on 1 workers" in many.stderr
    assert "ray" not in many.stdout.lower()
    again = run(tmp_path / "many", *words, "--on", "ray")
    assert json.loads(again.stdout)["reused"] is True
    other = run(tmp_path / "many", *words, "--task", "seven", "--on", "ray")
    assert other.returncode == 2
    assert "--on ray adds to no cache" in other.stderr


def test_a_mistake_is_two_lines(tmp_path: Path) -> None:
    data = tmp_path / "bad.csv"
    pixels = " ".join(["7"] * 2304)
    rows = [f"{3 + at % 2},{pixels if at != 11 else '7 8'},Training" for at in range(12)]
    data.write_text("\n".join(["emotion,pixels,Usage", *rows]), encoding="ascii")
    done = run(tmp_path / "cache", str(data), "--backbone", "hog", "--on", "ray")
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert "bad.csv, row 11" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interruption_ends_all_within_seconds(tmp_path: Path) -> None:
    process = subprocess.Popen(  # noqa: S603  our own program
        [
            *COMMAND,
            *["sample", "--backbone", "hog", "--on", "ray", "--shards", "40", "--cache-dir"],
            str(tmp_path),
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (locks := list(tmp_path.glob("*-shards/*-shard-*.lock"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    worker = int(locks[0].read_text(encoding="utf-8").split()[0])
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - begun < 10
    assert process.returncode == 130
    assert "the same command resumes" in stderr
    assert "Traceback" not in stderr
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the worker is still there")
