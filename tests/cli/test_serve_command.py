"""`fer serve` as a command: what it asks for, what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from fer_features.cli import app
from fer_features.cli import serve as command


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    found = CliRunner().invoke(app, ["serve"])
    assert found.exit_code == 2
    assert "fer serve needs fastapi and uvicorn, not installed" in found.stderr
    assert 'pip install "fastapi>=0.115" "uvicorn>=0.32"' in found.stderr


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = CliRunner().invoke(app, ["serve", "--port", str(port)])
    assert found.exit_code == 2
    assert f"127.0.0.1:{port} cannot be listened on" in found.stderr


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_it_warns_answers_and_ends_with_ctrl_c() -> None:
    words = [sys.executable, "-m", "fer_features", "serve", "--port", "0", "--host", "0.0.0.0"]  # noqa: S104
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stderr is not None
        assert "there is no password and no TLS" in server.stderr.readline()
        line = server.stderr.readline()
        assert line.startswith("fernet answers at http://")
        port = line.split()[3].rstrip("/").rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert page.status == 200
        server.send_signal(signal.SIGINT)
        assert server.stderr.read() == "stopped\n"
        assert server.wait() == 130
