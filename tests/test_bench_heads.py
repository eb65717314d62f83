import json

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_features.bench.heads import HeadRound, HeadsSpeed, MeasuredHead, measure_heads
from fer_features.bench.heads_child import STOCK, HeadContender, fit_stock
from fer_features.bench.heads_data import synthetic_features
from fer_features.bench.protocol import LeftOut
from fer_features.cli import app
from fer_features.config import HeadsConfig
from fer_features.errors import FerError
from fer_features.heads import make_head
from fer_features.render_bench import show_heads

SMALL = {"cache": None, "rows": 300, "features": 24, "seed": 0}


def turn(fit_s: float) -> HeadRound:
    return HeadRound(
        "libsvm", fit_s, 0.5, validation=0.7, test=0.75, peak_bytes=2**30, idle_cpu_s=0.0
    )


def measured() -> HeadsSpeed:
    return HeadsSpeed(
        data="synthetic features",
        rows=(300, 100, 100),
        features=24,
        machine={"gpu": None, "cpu": "cpu", "cores": 2, "system": "Linux", "load_before": 0.1},
        contenders=(
            MeasuredHead("svm", False, (turn(2.0), turn(4.0))),
            MeasuredHead("svm", True, (turn(30.0),)),
            MeasuredHead("ensemble", False, (turn(1.0),)),
        ),
        left_out={"scikit-learn's ensemble": "scikit-learn has no such estimator"},
    )


def test_times_are_paired_by_the_rounds_that_both_have() -> None:
    ours, stock, ensemble = measured().contenders
    times = measured().times_stock(ours)
    assert times is not None
    assert times.median == 15.0  # 30 / 2, of the first round; ours had a second alone
    assert measured().times_stock(stock) is None
    assert measured().times_stock(ensemble) is None


def test_the_table_says_how_many_times_as_fast(capsys: pytest.CaptureFixture[str]) -> None:
    show_heads(measured())
    shown = capsys.readouterr().out
    assert "15.0" in shown
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
    assert same.mean() > 0.9  # the head's threshold is its calibration's


def test_a_round_fits_and_predicts() -> None:
    answer = HeadContender({**SMALL, "head": "ridge", "stock": False}).run()
    assert set(answer) == set(HeadRound.__annotations__) - {"idle_cpu_s"}
    assert answer["fit_s"] > 0


def test_what_scikit_learn_has_not_is_left_out() -> None:
    with pytest.raises(LeftOut):
        HeadContender({**SMALL, "head": "ensemble", "stock": True})


def test_a_head_on_maps_is_refused() -> None:
    with pytest.raises(FerError, match="dense is no head on pooled features"):
        measure_heads(HeadsConfig(heads=("dense",)))


def test_heads_are_measured_in_processes_of_their_own() -> None:
    arguments = ["bench", "heads", "--head", "ridge", "--rounds", "2", "--rows", "300"]
    done = CliRunner().invoke(app, [*arguments, "--features", "24", "--json"])
    assert done.exit_code == 0, done.output
    ours, stock = json.loads(done.stdout)["contenders"]
    assert (ours["stock"], len(ours["rounds"])) == (False, 2)
    assert (stock["stock"], len(stock["rounds"])) == (True, 1)
    assert ours["times_stock"]["median"] == pytest.approx(
        stock["rounds"][0]["fit_s"] / ours["rounds"][0]["fit_s"]
    )
