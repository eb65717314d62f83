import json
from dataclasses import asdict

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.config import HeadsConfig
from benchmarks.heads import (
    HeadRound,
    HeadsSpeed,
    MeasuredHead,
    Setting,
    measure_heads,
    stock_settings,
)
from benchmarks.heads_child import STOCK, HeadContender, fit_stock
from benchmarks.heads_data import synthetic_features
from benchmarks.protocol import LeftOut
from benchmarks.tables import show_heads
from fer_features.errors import FerError
from fer_features.heads import make_head

SMALL = {"cache": None, "rows": 300, "features": 24, "seed": 0}


def turn(fit_s: float, cpu_s: float) -> HeadRound:
    return HeadRound(
        "libsvm", fit_s, cpu_s, 0.5, validation=0.7, test=0.75, peak_bytes=2**30, idle_cpu_s=0.0
    )


def measured() -> HeadsSpeed:
    return HeadsSpeed(
        data="synthetic features",
        rows=(300, 100, 100),
        features=24,
        machine={"gpu": None, "cpu": "cpu", "cores": 2, "system": "Linux", "load_before": 0.1},
        contenders=(
            MeasuredHead("svm", False, "own", (turn(2.0, 4.0), turn(4.0, 4.0))),
            MeasuredHead("svm", True, "1 BLAS thread", (turn(40.0, 40.0),)),
            MeasuredHead("svm", True, "2 BLAS threads", (turn(60.0, 110.0),)),
            MeasuredHead("svm", True, "2 fits at once", (turn(30.0, 56.0),)),
            MeasuredHead("ensemble", False, "own", (turn(1.0, 1.0),)),
        ),
        left_out={"scikit-learn's ensemble": "scikit-learn has no such estimator"},
    )


def test_times_are_paired_by_the_rounds_that_both_have() -> None:
    ours, stock, *_, ensemble = measured().contenders
    times = measured().times_stock(ours)
    assert times is not None
    assert times.median == 15.0  # 30 / 2, of the first round; ours had a second alone
    assert measured().times_stock(stock) is None
    assert measured().times_stock(ensemble) is None


def test_scikit_learns_best_thread_setting_counts_by_wall_and_by_processor_time() -> None:
    speed = measured()
    fastest, leanest = speed.best_stock("svm"), speed.best_stock("svm", "fit_cpu_s")
    assert fastest is not None
    assert leanest is not None
    assert (fastest.setting, leanest.setting) == ("2 fits at once", "1 BLAS thread")
    cpu = speed.times_stock(speed.contenders[0], "fit_cpu_s")
    assert cpu is not None
    assert cpu.median == 10.0  # 40 / 4: not the 56 of the fastest setting
    assert speed.best_stock("ensemble") is None
    found = speed.to_dict()["contenders"]
    assert [one["fastest_stock"] for one in found] == [False, False, False, True, False]
    assert (found[0]["times_stock"]["median"], found[0]["times_stock_cpu"]["median"]) == (15, 10)


def test_thread_settings_are_one_all_and_fits_side_by_side() -> None:
    assert [str(one) for one in stock_settings(2)] == [
        "1 BLAS thread",
        "2 BLAS threads",
        "2 fits at once",
    ]
    assert stock_settings(1) == (Setting(1, 1),)


def test_the_table_shows_how_many_times_as_fast(capsys: pytest.CaptureFixture[str]) -> None:
    show_heads(measured())
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if line.startswith(" svm")).split()
    assert row == ["svm", "3.00", "2.00", "–", "4.00", "4.00", "0.50", "0.7000", "0.7500", "1,024",
                   "15.0", "10.0", "libsvm"]  # fmt: skip
    assert [line.split(" *")[0].strip() for line in shown.splitlines() if " * " in line] == [
        "scikit-learn's, 2 fits at once"
    ]
    assert "scikit-learn has no such estimator" in " ".join(shown.split())


def test_drawn_features_are_the_same_by_seed_and_neither_easy_nor_hopeless() -> None:
    one, same, other = (synthetic_features(rows=900, features=64, seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(one.X_test, same.X_test)
    assert not np.array_equal(one.X_test, other.X_test)
    assert [len(y) for y in (one.y, one.y_val, one.y_test)] == [900, 300, 300]
    assert (one.X >= 0).all()
    assert one.X.dtype == np.float32
    assert 0.35 < one.y.mean() < 0.65
    head = make_head("ridge").fit(one.X, one.y, validation=(one.X_val, one.y_val))
    assert 0.55 < (head.predict(one.X_test) == one.y_test).mean() < 0.9


@pytest.mark.parametrize("name", STOCK)
def test_scikit_learns_own_choose_and_predict_as_the_head_does(name: str) -> None:
    parts = synthetic_features(rows=900, features=48, seed=0)
    head = make_head(name).fit(parts.X, parts.y, validation=(parts.X_val, parts.y_val))
    same = fit_stock(name, parts)(parts.X_test) == head.predict(parts.X_test)
    assert same.mean() > 0.9  # the folds of the two calibrations are not the same


def test_a_thread_setting_does_not_change_what_is_fitted() -> None:
    parts = synthetic_features(rows=300, features=24, seed=0)
    one = fit_stock("svm", parts)(parts.X_test)
    same = fit_stock("svm", parts, blas_threads=2, fits_at_once=2)(parts.X_test)
    np.testing.assert_array_equal(one, same)


def test_libsvms_cache_holds_the_full_kernel() -> None:
    parts = synthetic_features(rows=10_200, features=2, seed=0)
    model = STOCK["svm"](parts.X, parts.y)[0]
    assert model.cache_size * 2**20 > 4 * 10_200**2
    assert len(STOCK["svm"](parts.X, parts.y)) == 9  # three C of three gammas, as the head


def test_a_round_fits_and_predicts() -> None:
    answer = HeadContender({**SMALL, "head": "ridge", "stock": None}).run()
    assert set(answer) == set(HeadRound.__annotations__) - {"idle_cpu_s"}
    assert answer["fit_s"] > 0
    assert answer["fit_cpu_s"] > 0


def test_what_scikit_learn_has_not_is_left_out() -> None:
    with pytest.raises(LeftOut):
        HeadContender({**SMALL, "head": "ensemble", "stock": asdict(Setting(1, 1))})


def test_a_head_on_maps_is_refused() -> None:
    with pytest.raises(FerError, match="dense"):
        measure_heads(HeadsConfig(heads=("dense",)))


@pytest.mark.long
def test_heads_are_measured_in_separate_processes() -> None:
    arguments = ["heads", "--stock", "--head", "ridge", "--rounds", "2", "--rows", "300"]
    done = CliRunner().invoke(app, [*arguments, "--features", "24", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    ours, *stock = found["contenders"]
    assert (ours["stock"], len(ours["rounds"])) == (False, 2)
    assert [(one["stock"], len(one["rounds"])) for one in stock] == [(True, 1)] * len(stock)
    settings = [str(one) for one in stock_settings(found["machine"]["cores"])]
    assert [one["setting"] for one in stock] == settings
    for ratio, seconds in (("times_stock", "fit_s"), ("times_stock_cpu", "fit_cpu_s")):
        best = min(one["rounds"][0][seconds] for one in stock)
        assert ours[ratio]["median"] == pytest.approx(best / ours["rounds"][0][seconds])
