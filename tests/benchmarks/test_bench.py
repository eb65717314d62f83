import json
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import worker as worker_module
from benchmarks.__main__ import app
from benchmarks.config import PrecisionConfig, ShardsConfig, SpeedConfig, WholeConfig
from benchmarks.contenders import (
    EngineContender,
    NaiveContender,
    images_for,
    whole_batches,
)
from benchmarks.machine import cpu_name
from benchmarks.peers import timm_network
from benchmarks.precision import cosine, measure_precision
from benchmarks.protocol import LeftOut, Message
from benchmarks.results import (
    Line,
    Measured,
    Products,
    Round,
    Speed,
    Spread,
    best_products,
    ratios,
)
from benchmarks.shards import measure_shards, show_shards
from benchmarks.speed import list_entries, measure_speed, take_turns
from benchmarks.tables import show_precision, show_speed, show_whole
from benchmarks.whole import Whole, WholeRound, measure_whole
from benchmarks.whole_child import config_from_job, config_to_job
from benchmarks.worker import Worker
from fer_features.backbones import Backbone, get_backbone
from fer_features.config import ExtractConfig
from fer_features.errors import FerError

# A child that speaks the protocol by our own `serve`, and does what its job says.
FAKE = """
import os, sys, time
from benchmarks.protocol import LeftOut, serve
from fer_features.errors import FerError

class Fake:
    def __init__(self, job):
        self.job, self.rounds = job, 0
        print("chatter on stdout")  # must not get between the answers
        if "left_out" in job: raise LeftOut(job["left_out"])
        if "error" in job: raise FerError(job["error"], hint="do this")
    def describe(self):
        return {"pid": os.getpid()}
    def run(self):
        self.rounds += 1
        if self.job.get("dies"):
            sys.stderr.write("a warning\\nRuntimeError: out of luck\\n\\n")
            sys.stderr.flush()
            os._exit(3)
        if "mistaken" in self.job: raise FerError(self.job["mistaken"])
        if self.job.get("hangs"):
            time.sleep(600)
        return {"images": 10 * self.rounds, "seconds": 2.0}

serve(Fake)
"""


def fake(**job: object) -> Worker:
    return Worker("the fake", dict(job), command=(sys.executable, "-c", FAKE))


def is_alive(pid: int) -> bool:
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return bool(state) and not state.startswith("Z")


def wait_until_gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(pid)


# --- the talk with a child ---


def test_a_child_answers_its_job_and_each_round() -> None:
    with fake() as worker:
        assert worker.start()["pid"] > 0
        first, second = worker.run(), worker.run()
        assert (first["images"], second["images"]) == (10, 20)
        assert second["idle_cpu_s"] < 0.1
        assert worker.finish() > 0


def test_a_child_is_gone_with_its_worker() -> None:
    with fake() as worker:
        pid = worker.start()["pid"]
        assert is_alive(pid)
    assert not is_alive(pid)


def test_a_child_that_is_busy_ends_when_its_parent_is_killed() -> None:
    parent = (
        "import sys; from benchmarks.worker import Worker\n"
        "worker = Worker('x', {'hangs': True}, command=(sys.executable, '-c', sys.argv[1]))\n"
        "print(worker.start()['pid'], flush=True); worker.run()"
    )
    command = [sys.executable, "-c", parent, FAKE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_alive(pid)
        process.kill()
    assert wait_until_gone(pid)


def test_what_is_not_to_be_had_is_an_answer() -> None:
    with fake(left_out="no such hardware") as worker, pytest.raises(LeftOut, match="no such hardw"):
        worker.start()


def test_a_callers_mistake_comes_through() -> None:
    with fake(error="no such weights") as worker, pytest.raises(FerError) as caught:
        worker.start()
    assert (caught.value.message, caught.value.hint) == ("no such weights", "do this")


def test_a_callers_mistake_in_a_round_comes_through_too() -> None:
    with fake(mistaken="no such row") as worker:
        worker.start()
        with pytest.raises(FerError, match="no such row"):
            worker.run()


def test_a_child_that_ends_early_is_an_error_with_its_last_line() -> None:
    with fake(dies=True) as worker:
        worker.start()
        with pytest.raises(FerError) as caught:
            worker.run()
        message = caught.value.message
        assert message.endswith("RuntimeError: out of luck")
        with pytest.raises(FerError, match="out of luck"):
            worker.run()  # nobody is there to hear it


def test_a_killed_child_is_an_error_with_its_signal() -> None:
    command = (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    with Worker("the fake", {}, command=command) as worker, pytest.raises(FerError) as caught:
        worker.start()
    assert re.search(r"the fake .*SIGKILL", caught.value.message)
    assert "memory" in caught.value.hint


def test_all_take_their_turns_in_each_round() -> None:
    with fake() as one, fake() as other:
        for worker in (one, other):
            worker.start()
        answers = take_turns([one, other], rounds=2)
    assert [[answer["images"] for answer in each] for each in answers] == [[10, 20], [10, 20]]


# --- the arithmetic ---


def measured(name: str, precision: str, *rates: float) -> Measured:
    rounds = [Round(images=round(rate * 2), seconds=2.0) for rate in rates]
    return Measured(name, f"{name} on CPU", "CPU", precision, 32, rounds)


SPEED = Speed(
    backbone="inception_resnet_v2",
    size=139,
    gflop=4.0,
    exact=True,
    machine={"cpu": "A CPU", "cores": 2, "gpu": None, "load_before": 0.5, "system": "Linux"},
    contenders=[
        measured("naive", "float32", 10, 5, 10),
        measured("openvino bfloat16", "bfloat16", 100, 20, 70),
    ],
    products=[
        Products("slow", "CPU", "bfloat16", 2048, [400.0, 100.0, 100.0]),
        Products("fast", "CPU", "bfloat16", 2048, [800.0, 160.0, 800.0]),
        Products("on the GPU", "GPU", "float32", 8192, [9e5, 9e5, 9e5]),
    ],
    left_out={"keras bfloat16": "Keras would only emulate it"},
)


def test_ratios_are_pair_by_pair() -> None:
    assert ratios([100, 20, 70], [10, 5, 10]) == [10, 4, 7]
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])


def test_a_spread_has_the_median_of_the_rounds() -> None:
    assert Spread.of([100, 20, 70]) == Spread(median=70, least=20, greatest=100)


def test_the_best_products_are_chosen_by_device_and_precision() -> None:
    best = best_products(SPEED.products)
    assert {key: one.library for key, one in best.items()} == {
        ("CPU", "bfloat16"): "fast",
        ("GPU", "float32"): "on the GPU",
    }


def test_a_line_of_the_table() -> None:
    naive, ours = SPEED.lines()
    assert ours == Line(
        measured=SPEED.contenders[1],
        rate=Spread(70, 20, 100),
        to_naive=None,  # the usual recipe was not measured in bfloat16
        across=Spread(7, 4, 10),  # 100/10, 20/5, 70/10; not 70/10 of the medians
        gflops=280,
        share=0.5,  # 400/800, 80/160, 280/800
    )
    assert (naive.to_naive, naive.across) == (Spread(1, 1, 1), None)
    assert naive.share is None  # no products in float32 on this device


def test_a_ratio_is_within_one_precision() -> None:
    contenders = [
        measured("naive", "float32", 10),
        measured("naive bfloat16", "bfloat16", 40),
        measured("openvino float32", "float32", 25),
        measured("openvino bfloat16", "bfloat16", 100),
    ]
    lines = Speed(**{**vars(SPEED), "contenders": contenders, "products": []}).lines()
    assert [(one.measured.name, one.to_naive, one.across) for one in lines] == [
        ("naive", Spread(1, 1, 1), None),
        ("openvino float32", Spread(2.5, 2.5, 2.5), None),
        ("naive bfloat16", Spread(1, 1, 1), Spread(4, 4, 4)),
        ("openvino bfloat16", Spread(2.5, 2.5, 2.5), Spread(10, 10, 10)),
    ]


def test_without_a_count_of_operations_there_are_no_gflops() -> None:
    unknown = Speed(**{**vars(SPEED), "gflop": None})
    assert [(line.gflops, line.share) for line in unknown.lines()] == [(None, None)] * 2


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_speed(SPEED)
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith(" openvino"))
    assert row.split()[:8] == ["openvino", "bfloat16", "70.0", "20.0", "–", "100", "–", "280"]
    assert "across precisions: openvino bfloat16 is 7.00 times naive" in " ".join(lines)
    assert "4.00 GFLOP an image, a multiplication with its addition as two" in lines
    assert "left out: keras bfloat16: Keras would only emulate it" in lines
    assert lines[-1].startswith("machine: A CPU, 2 cores; Linux; load 0.50")
    assert not any("did not sleep" in line for line in lines)


def test_a_busy_waiting_process_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    restless = measured("timm", "bfloat16", 1, 1, 1)
    restless.rounds = [Round(2, 2.0, idle_cpu_s=3.0)] * 3
    show_speed(Speed(**{**vars(SPEED), "contenders": [*SPEED.contenders, restless]}))
    assert "! timm did not sleep while others worked" in capsys.readouterr().out


def test_the_json_has_every_round() -> None:
    found = json.loads(json.dumps(SPEED.to_dict(), allow_nan=False))
    ours = found["contenders"][1]
    assert [turn["images"] for turn in ours["rounds"]] == [200, 40, 140]
    assert ours["images_per_s"] == {"median": 70, "least": 20, "greatest": 100}
    assert ours["to_naive"] is None
    assert ours["to_naive_float32_across_precisions"]["median"] == 7
    assert ours["share_of_matrix_products"] == 0.5
    assert found["matrix_products"][0]["gflops"] == [400, 100, 100]


def test_a_round_is_full_batches_that_take_about_three_seconds() -> None:
    assert [whole_batches(n, 32) for n in (1, 32, 33)] == [32, 32, 64]
    assert images_for(1.0, of=64, step=64) == 192
    assert images_for(10.0, of=64, step=64) == 64  # one step, however slow
    assert images_for(1.0, of=70, step=64) == 256  # 210 made whole


def test_operations_grow_with_the_area() -> None:
    network = get_backbone("inception_resnet_v2")
    assert network.gflop_at(139) == 4.52
    assert network.gflop_at(278) == pytest.approx(4 * 4.52)


def test_operations_that_are_not_counted(tiny: Backbone) -> None:
    assert tiny.gflop_at(12) is None


def test_the_processors_name(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name : x\n")
    assert cpu_name(path) == "Some CPU @ 2 GHz"
    assert cpu_name(tmp_path / "nothing")


# --- what the caller gets wrong ---


def mistake(**config: object) -> FerError:
    with pytest.raises(FerError) as caught:
        list_entries(SpeedConfig(**config), get_backbone("inception_resnet_v2"))  # type: ignore[arg-type]
    return caught.value


def test_a_missing_peer_gives_the_pip_command_before_anything_runs(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho torch timm\n")  # what the question of what is missing gives
    python.chmod(0o755)
    error = mistake(peer="timm", peer_python=python)
    assert str(python) in error.message
    assert error.hint.startswith("pip install torch timm")


def test_a_peer_that_cannot_be(tmp_path: Path) -> None:
    assert "timm" in mistake(peer="nosuch").hint
    assert "--peer timm" in mistake(peer_python=tmp_path).hint
    assert str(tmp_path / "no") in mistake(peer="timm", peer_python=tmp_path / "no").message
    assert re.search(r"\b75\b.*\b20\b", mistake(size=20).message)
    assert all(name in mistake(engines=("tpu",)).hint for name in ("keras", "openvino"))


def test_a_peer_is_started_with_its_own_python(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")  # nothing is missing
    python.chmod(0o755)
    config = SpeedConfig(peer="timm", peer_python=python, engines=("openvino",))
    entries = list_entries(config, get_backbone("inception_resnet_v2"))
    assert [one.name for one in entries] == [
        "naive",
        "naive bfloat16",
        "openvino float32",
        "openvino bfloat16",
        "timm float32",
        "timm bfloat16",
        "matrix products by openvino",
        "matrix products by keras",
        "matrix products by torch",
    ]
    peer = next(one for one in entries if one.name == "timm bfloat16")
    assert (peer.job["precision"], peer.job["batch_size"]) == ("bfloat16", None)
    assert peer.command is not None
    assert peer.command[0] == str(python)
    assert Path(peer.command[1]).is_file()


def test_the_peers_script_needs_nothing_of_ours() -> None:
    script = Path(worker_module.__file__).parent / "peers" / "timm_network.py"
    text = script.read_text(encoding="utf-8")
    assert "import fer_features" not in text
    assert "from fer_features" not in text


@pytest.fixture
def stub_torch(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """As much of PyTorch as the peer's script needs to choose its batch size on a CPU."""
    random = np.random.default_rng(0)
    stub = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: False, is_bf16_supported=lambda: False),
        device=str,
        uint8=np.uint8,
        Generator=lambda: SimpleNamespace(manual_seed=lambda _: random),
        randint=lambda low, high, shape, dtype, generator: generator.integers(
            low, high, shape, dtype
        ),
        __version__="stub",
    )
    monkeypatch.setitem(sys.modules, "torch", stub)
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(__version__="stub"))
    return stub


PEER_JOB = {"size": 139, "precision": "float32", "batch_size": None, "images": None}


@pytest.mark.long
@pytest.mark.usefixtures("stub_torch")
def test_the_peer_takes_the_batch_size_that_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {8: 1.0, 16: 1.0, 32: 4.0, 64: 8.0}  # 8, 16, 8 and 8 images a second
    compiled: list[tuple[int, str]] = []

    def take(self: timm_network.Network, batches: int) -> float:
        assert len(self._images) >= batches
        assert len(np.unique(self._images, axis=0)) == len(self._images)  # each another one
        return batches * seconds[self._batch_size]

    monkeypatch.setattr(timm_network.Network, "_pass", take)
    monkeypatch.setattr(
        timm_network, "make_graph", lambda size, _, precision: compiled.append((size, precision))
    )
    peer = timm_network.Network(PEER_JOB)
    about = peer.describe()
    assert (about["batch_size"], about["precision"]) == (16, "float32")
    assert about["tried"] == {"8": 8.0, "16": 16.0, "32": 8.0, "64": 8.0}
    assert compiled == [(139, "float32")] * 5  # each once, and the best again
    assert peer.run() == {"images": 48, "seconds": 3.0}  # about three seconds
    requested = timm_network.Network({**PEER_JOB, "batch_size": 32, "images": 40})
    assert (requested.describe()["tried"], requested.run()["images"]) == ({}, 64)


def test_a_precision_that_the_peer_would_emulate_is_left_out(
    stub_torch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_torch.cuda.is_available = lambda: True
    with pytest.raises(timm_network.LeftOut):
        timm_network.Network({**PEER_JOB, "precision": "bfloat16"})
    stub_torch.cuda.is_bf16_supported = lambda: True
    assert timm_network.has_bfloat16(stub_torch)


def test_the_peers_script_reports_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(
        "class cuda:\n    is_available = lambda: True\n    is_bf16_supported = lambda: False\n"
        "device = str\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = (sys.executable, timm_network.__file__)
    job = {**PEER_JOB, "kind": "network", "precision": "bfloat16"}
    with Worker("timm bfloat16", job, command=command) as worker, pytest.raises(LeftOut):
        worker.start()


@pytest.mark.parametrize("args", [["speed"], ["extract"], ["precision"], ["heads"]])
def test_every_command_explains_itself(args: list[str]) -> None:
    result = CliRunner().invoke(app, [*args, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_an_unknown_peer_is_a_mistake() -> None:
    result = CliRunner().invoke(app, ["speed", "--peer", "nosuch"])
    assert result.exit_code == 2
    assert "nosuch" in result.stderr


# --- the contenders themselves, and each command once, with the tiny backbone ---


def job(tmp_path: Path, **more: object) -> Message:
    return {
        "backbone": "tiny",
        "weights": "random:0",
        "size": 12,
        "preprocess": "keras",
        "images": 40,
        "batch_size": 16,
        "graphs": str(tmp_path),
        "cold": False,
        **more,
    }


@pytest.mark.long
def test_the_usual_recipe_runs_full_batches_of_32(tiny: Backbone, tmp_path: Path) -> None:
    contender = NaiveContender(job(tmp_path, precision="float32"))
    found = contender.run()
    assert found["images"] == 64
    assert found["seconds"] > 0
    assert contender.describe()["precision"] == "float32"


def test_the_usual_recipe_runs_in_bfloat16_where_it_is_not_emulated(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_features.runtime.hardware.keras_has_bfloat16", lambda: True)
    contender = NaiveContender(job(tmp_path, precision="bfloat16"))
    assert contender.describe()["precision"] == "bfloat16"
    assert contender._model.output.dtype == "bfloat16"
    assert contender.run()["images"] == 64
    monkeypatch.setattr("fer_features.runtime.hardware.keras_has_bfloat16", lambda: False)
    with pytest.raises(LeftOut, match="emulate"):
        NaiveContender(job(tmp_path, precision="bfloat16"))


def test_every_image_of_an_engines_round_is_another_one(tiny: Backbone, tmp_path: Path) -> None:
    contender = EngineContender(job(tmp_path, engine="keras", precision="float32"))
    seen: list[np.ndarray] = []
    submit = contender._engine.submit
    contender._engine.submit = lambda images: (seen.append(images), submit(images))[1]
    assert contender.run()["images"] == 48
    images = np.concatenate(seen)
    assert len(np.unique(images.reshape(48, -1), axis=0)) == 48


def test_an_engine_runs_full_batches_of_its_size(tiny: Backbone, tmp_path: Path) -> None:
    contender = EngineContender(job(tmp_path, engine="keras", precision="float32"))
    assert contender.run()["images"] == 48
    assert contender.describe()["batch_size"] == 16


def test_a_cold_engine_runs_exactly_the_given_images(tiny: Backbone, tmp_path: Path) -> None:
    contender = EngineContender(job(tmp_path, engine="keras", precision="float32", cold=True))
    assert contender.run()["images"] == 40


def test_an_engine_that_is_not_here_is_left_out(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_features.engines.select.has_openvino", lambda: False)
    with pytest.raises(LeftOut, match="openvino"):
        EngineContender(job(tmp_path, engine="openvino", precision="float32"))


@pytest.fixture
def tiny_children(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that know the tiny backbone too."""
    program = str(Path(__file__).parent / "bench_child.py")
    monkeypatch.setattr(worker_module, "CHILD", (sys.executable, program))


@pytest.mark.long
@pytest.mark.usefixtures("tiny_children")
def test_the_speed_of_all_that_is_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = SpeedConfig(
        backbone="tiny", engines=("openvino",), images=32, rounds=1, cache_dir=tmp_path
    )
    speed = measure_speed(config)
    names = [one.name for one in speed.contenders]
    assert [name for name in names if name.endswith(("naive", "float32"))] == [
        "naive",
        "openvino float32",
    ]
    assert "naive bfloat16" in {*names, *speed.left_out}
    assert "openvino bfloat16" in {*names, *speed.left_out}
    assert all([turn.images for turn in one.rounds] == [32] for one in speed.contenders)
    assert {one.precision for one in speed.products} >= {"float32"}
    assert all(len(one.gflops) == 1 and min(one.gflops) > 0 for one in speed.products)
    assert "preparing openvino float32 (3 of 6) ..." in capsys.readouterr().err
    show_speed(speed)
    assert "tiny at 12 px, median of 1 round in turn" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.usefixtures("tiny_children")
def test_a_complete_extraction_and_its_network_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = WholeConfig(
        backbone="tiny",
        weights="random:0",
        per_class=10,
        engine="openvino",
        cache_dir=tmp_path,
        rounds=1,
    )
    whole = measure_whole(config)
    (one,) = whole.rounds
    assert whole.rows == 20
    assert 0 < one.images <= 20
    assert one.wall_s > one.call_s > sum(one.clocks.values()) * 0.9
    assert [path.name for path in tmp_path.iterdir()] == ["graphs"]  # nothing else stays
    assert len(list((tmp_path / "graphs").iterdir())) == 1
    show_whole(whole)
    assert "reading and writing cost" in capsys.readouterr().out
    found = json.loads(json.dumps(whole.to_dict()))
    assert found["medians"]["wall_s"] == one.wall_s
    assert found["medians"]["rows_per_s"] == 20 / one.wall_s
    assert found["building_s"] == whole.building_s >= 0


@pytest.mark.long
@pytest.mark.usefixtures("tiny_children")
def test_shards_beside_an_extraction_in_one_piece(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ShardsConfig(
        backbone="tiny",
        weights="random:0",
        per_class=10,
        engine="openvino",
        cache_dir=tmp_path,
        shards=2,
        rounds=1,
    )
    measured = measure_shards(config)
    (pair,) = measured.pairs
    assert (measured.rows, pair.equal) == (20, True)
    assert measured.ratio == (pair.shards_s + pair.merge_s) / pair.whole_s
    assert [path.name for path in tmp_path.iterdir()] == ["graphs"]
    assert json.loads(json.dumps(measured.to_dict()))["pairs"][0]["whole_s"] == pair.whole_s
    show_shards(measured)
    assert "2 shards s" in capsys.readouterr().out


def test_a_wrong_extraction_is_an_error_before_anything_is_prepared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FerError, match=r"nosuch\.csv"):
        measure_whole(WholeConfig("nosuch.csv", cache_dir=tmp_path))
    assert "preparing" not in capsys.readouterr().err


def test_what_reading_and_writing_cost() -> None:
    clocks = {"prepare": 2.0, "read": 0.1, "run": 5.0, "write": 0.2}
    one = WholeRound(100, clocks, call_s=8.0, wall_s=10.0, network_s=4.5, peak_bytes=1,
                     network_peak_bytes=1)  # fmt: skip
    assert one.cost_s == 1.5
    assert one.share_of_wall == 0.15
    assert one.share_of_work == 0.25


def test_the_rate_is_of_images_and_the_first_time_holds_the_building(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clocks = dict.fromkeys(("prepare", "read", "run", "write"), 1.0)
    one = WholeRound(100, clocks, call_s=8.0, wall_s=10.0, network_s=5.0, peak_bytes=1,
                     network_peak_bytes=1)  # fmt: skip
    whole = Whole(data="faces", rows=120, engine="e", precision="float32", machine=SPEED.machine,
                  building_s=10.0, rounds=[one])  # fmt: skip
    medians = whole.to_dict()["medians"]
    assert (medians["images_per_s"], medians["rows_per_s"]) == (10, 12)
    assert medians["first_images_per_s"] == 5  # 100 / (10 + 10)
    show_whole(whole)
    shown = " ".join(capsys.readouterr().out.split())
    assert "10.0 s more, 5.0 images/s in all" in shown


def test_a_configuration_comes_through_to_the_child() -> None:
    config = ExtractConfig(layers=("first",), per_class=3, cache_dir=Path("somewhere"))
    assert config_from_job(json.loads(json.dumps(config_to_job(config)))) == config


def test_cosines_row_by_row() -> None:
    exact = np.array([[1, 0], [3, 4], [0, 0], [2, 2]], np.float32)
    other = np.array([[1, 1], [6, 8], [0, 0], [2, 2]], np.float32)
    found = cosine(other, exact)
    assert found.least == pytest.approx(2**-0.5)
    assert found.median == pytest.approx(1.0)
    assert cosine(exact, other * 0).least == 0.0  # not to be divided by


def test_what_a_precision_costs(
    tiny: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = PrecisionConfig(
        backbone="tiny",
        weights="random:0",
        per_class=40,
        engine="keras",
        cache_dir=tmp_path,
        heads=("logreg",),
        seeds=2,
    )
    cost = measure_precision(config)
    assert cost.rows == 80
    assert list(cost.accuracies["logreg"]) == ["float32", "bfloat16"]
    assert all(len(values) == 2 for values in cost.accuracies["logreg"].values())
    assert cost.differences("logreg", "float32") == [0.0, 0.0]
    assert 0.99 < cost.cosines["bfloat16"].least <= cost.cosines["bfloat16"].median < 1.0
    assert len(list(tmp_path.glob("*.h5"))) == 2
    show_precision(cost)
    out = capsys.readouterr().out
    assert "80 images" in out
    assert "RANDOM WEIGHTS" in out
    found = cost.to_dict()["accuracies"]["logreg"]["bfloat16"]
    assert found["mean"] == pytest.approx(median(found["test_accuracy"]))
