import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_features.cli.extract import RESUMES
from fer_features.cli.fit import RUNS_KEPT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

LIMIT_S = 2.0

# What Ctrl-C may meet: a library that computes and gives no signal a chance, a wait that a signal
# ends, Python's own instructions, and a thread that Python would wait for at its end.
MOMENTS = {
    "in a library": "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)",
    "waiting": "threading.Event().wait(30)",
    "computing": "sum(1 for _ in iter(int, 1))",
    "with a running thread": "threading.Thread(target=time.sleep, args=(30,)).start()\n"
    "    time.sleep(30)",
}
# A shell that starts a job in the background has it ignore Ctrl-C; these processes must not.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
CHILD = f"""{LISTEN}
import hashlib, sys, threading, time
from fer_features.runtime.interrupt import prompt_interrupt
with prompt_interrupt("stopped; the same command resumes"):
    print("begun", flush=True)
    {{moment}}
"""


def start(program: list[str], *, until: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, *program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stream = process.stdout if until == "begun" else process.stderr
    assert stream is not None
    for line in stream:
        if until in line:
            break
    return process


def interrupt(process: subprocess.Popen[str]) -> tuple[float, str]:
    """Seconds until the process has ended, and its stderr."""
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, output = process.communicate(timeout=30)
    return time.monotonic() - begun, output


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_ends_within_two_seconds_with_one_line(moment: str) -> None:
    process = start(["-c", CHILD.format(moment=MOMENTS[moment])], until="begun")
    seconds, output = interrupt(process)
    assert seconds < LIMIT_S
    assert output == "stopped; the same command resumes\n"
    assert process.returncode == 130


def test_what_ends_by_itself_is_left_alone() -> None:
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", CHILD.format(moment="pass") + "print('after')"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "begun\nafter\n"
    assert done.stderr == ""


def test_an_interrupted_extraction_prints_how_to_resume(tmp_path: Path) -> None:
    """The real command; the network is made slow, so that Ctrl-C comes in the middle."""
    program = f"""{LISTEN}
import sys, time
sys.path.insert(0, sys.argv[1])
from conftest import TINY
from fer_features.backbones import BACKBONES
from fer_features.cli import app
from fer_features.engines import keras_engine
BACKBONES[TINY.name] = TINY
real, calls = keras_engine.KerasEngine.compute, []
def slow(engine, images):
    calls.append(1)
    if len(calls) == 2:
        print("the second batch", file=sys.stderr, flush=True)
    time.sleep(0.3)
    return real(engine, images)
keras_engine.KerasEngine.compute = slow
app(["extract", "--backbone", "tiny", "--weights", "random:0", "--engine", "keras",
     "--cache-dir", sys.argv[2]])
"""
    arguments = ["-c", program, str(Path(__file__).parents[1]), str(tmp_path)]
    process = start(arguments, until="the second batch")
    seconds, output = interrupt(process)
    assert seconds < LIMIT_S
    assert output.splitlines() == [RESUMES]
    assert process.returncode == 130
    assert [one.suffix for one in tmp_path.glob("*.part")] == [".part"]


# Ctrl-C before the first epoch and at a run's end; the function in which it comes.
FIT_MOMENTS = {
    "Keras is imported": "fer_features.runtime.keras_runtime.import_keras",
    "a step is traced": "fer_features.heads.keras_head.loss_and_metrics.<locals>",
    "a run is written": "fer_features.fit.fit.write_run",
}
FIT = f"""{LISTEN}
import os, sys
from importlib import import_module
from fer_features.cli import app
module, _, name = sys.argv[1].removesuffix(".<locals>").rpartition(".")
module = import_module(module)
real = getattr(module, name)
def pressed(*args, **named):
    os.kill(os.getpid(), signal.SIGINT)
    return real(*args, **named)
def traced(*args, **named):
    loss, *others = real(*args, **named)
    def swallowed(*given):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:  # as some libraries do
            pass
        return loss(*given)
    return swallowed, *others
setattr(module, name, traced if "<locals>" in sys.argv[1] else pressed)
app(["fit", sys.argv[2], "--head", "mlp", "--set", "epochs=200000", "--set", "patience=200000",
     "--runs-dir", sys.argv[3]])
"""


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("Keras is imported", marks=pytest.mark.long),
        "a step is traced",
        pytest.param("a run is written", marks=pytest.mark.long),
    ],
)
def test_ctrl_c_ends_a_fit_with_one_line(moment: str, tiny_cache: Path, tmp_path: Path) -> None:
    arguments = [FIT_MOMENTS[moment], str(tiny_cache), str(tmp_path / "runs")]
    program = FIT.replace("200000", "1") if moment == "a run is written" else FIT
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 130, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  epoch 1: ")]
    assert lines[1:] == [RUNS_KEPT]
    assert not list(tmp_path.glob("runs/*"))
