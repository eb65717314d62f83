import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_examples import run

from fer_features.config import COPIES_INDEXED
from fer_features.data.tasks import BINARY, SEVEN
from fer_features.errors import FerError
from fer_features.metrics import score
from fer_features.metrics.intervals import share_interval
from fer_features.runs.compare import Comparison, compare, of_same_data
from fer_features.runs.figures import accuracy_bars, write_figures
from fer_features.runs.published import PUBLISHED, PUBLISHED_MARK
from fer_features.runs.repeats import leak_effects, over_seeds
from fer_features.runs.run import Run
from fer_features.runs.table import ComparisonTable, with_interval


def one_table(*runs: Run) -> ComparisonTable:
    (table,) = compare(runs).tables
    return table


def test_the_published_numbers_are_what_the_suite_makes_of_the_published_matrix() -> None:
    (tn, fp), (fn, tp) = PUBLISHED["confusion"]
    y = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp])
    said = np.repeat([0, 1, 0, 1], [tn, fp, fn, tp])
    scores = score(y, np.eye(2)[said], classes=BINARY.class_names, positive="happy")
    for name in ("accuracy", "precision", "recall", "f1"):
        assert round(getattr(scores, name), 4) == PUBLISHED[name]


def test_rows_are_sorted_by_validation_accuracy_and_the_published_one_stands_last() -> None:
    table = one_table(
        run("svm", validation=0.7, test=0.9),
        run("dense", validation=0.9, test=0.6),
        run("logreg", validation=0.8, test=0.8),
    )
    rows = table.rows()
    assert [row["head"] for row in rows] == ["dense", "logreg", "svm", PUBLISHED_MARK]
    assert rows[-1]["head"] == PUBLISHED_MARK
    assert rows[-1]["validation accuracy"] == 0.7944
    assert rows[-1]["test accuracy"] is None


@pytest.mark.parametrize(
    "other",
    [
        {"task": SEVEN},
        {"fer2013": False},  # drawn faces, or someone's folder
        {"fer2013": None},
        {"rows": 1000},
        {"rows": 16990, "dropped": {"twins": 10}},
    ],
)
def test_the_published_row_stands_only_beside_its_own_task(other: dict[str, Any]) -> None:
    table = one_table(run(**other))
    assert not table.published
    assert len(table.rows()) == 1
    for one in (table, one_table(run())):
        lines = accuracy_bars(one, title="").axes[0].get_lines()
        assert any(PUBLISHED_MARK in str(line.get_label()) for line in lines) == one.published


def test_rows_that_were_left_out_are_still_of_the_published_task() -> None:
    for about in (
        {"dropped": {"twins": 249, "copies of learnt images": 521}},
        {"rows": 16990, "dropped": {"constant": 10}},
    ):
        assert one_table(run(**about)).published


def test_every_row_says_what_its_features_have_learnt_from() -> None:
    own = "faces.csv, Training: 900 labels"
    comparison = compare(
        [
            run("dense"),
            run("svm", weights="random:0"),
            run("mlp", weights="none"),
            run("ridge", weights="mine.h5", learnt_from=own),
            run("logreg", weights="other.h5"),
        ]
    )
    (table,) = comparison.tables
    assert {row["head"]: row["learnt from"] for row in table.rows()} == {
        "dense": "ImageNet: 1,281,167 labels",
        "svm": "nothing (random weights)",
        "mlp": "nothing (descriptor)",
        "ridge": own,
        "logreg": "unknown (other.h5)",
        PUBLISHED_MARK: "ImageNet: 1,281,167 labels",
    }
    assert table.learnt_from["inception_resnet_v2 mine.h5"] == own
    for text in (comparison.to_markdown(), comparison.to_csv()):
        assert text.count("unknown (other.h5)") == 1


def test_rows_have_the_test_parts_size_and_intervals() -> None:
    intervals = {"roc_auc": [0.6, 0.8], "log_loss": None}
    row = one_table(run(test=0.7, change={"intervals": intervals})).rows()[0]
    assert row["test n"] == 2
    assert row["test accuracy"] == 0.7
    assert (row["test accuracy low"], row["test accuracy high"]) == pytest.approx((0.65, 0.75))
    assert (row["test roc_auc low"], row["test roc_auc high"]) == (0.6, 0.8)
    assert row["test log_loss low"] is None
    assert "test ece low" not in row


def test_a_bound_of_one_is_written_out() -> None:
    assert with_interval(0.9863, (0.9261, 0.99996)) == "0.9863 [.926, 1.000]"
    assert with_interval(0.0, (0.0, 0.05)) == "0.0000 [.000, .050]"
    one = run(test=1.0, change={"intervals": {"accuracy": [0.95, 1.0]}})
    assert "1.0000 [.950, 1.000]" in compare([one]).to_markdown()


@pytest.mark.parametrize(
    "other",
    [
        {"digest": "d2"},
        {"name": "reference"},
        {"seed": 1},
        {"task": SEVEN},
    ],
)
def test_runs_of_other_splits_or_data_get_a_table_of_their_own(other: dict[str, Any]) -> None:
    tables = compare([run(validation=0.9), run("svm", **other), run("logreg")]).tables
    assert sorted(len(table.runs) for table in tables) == [1, 2]


def test_runs_of_other_features_of_the_same_rows_share_a_table() -> None:
    table = one_table(run(), run(weights="random:0"))
    assert [row["features"] for row in table.rows()[:2]] == [
        "inception_resnet_v2 imagenet",
        "inception_resnet_v2 random:0",
    ]


def test_random_weights_are_said_aloud() -> None:
    table = one_table(run(weights="random:0"))
    assert any("RANDOM WEIGHTS" in log for log in table.notes)
    table = one_table(run(weights="imagenet"))
    assert not table.notes


def test_a_leak_is_said_aloud() -> None:
    (note,) = one_table(run(leaked={"exact": 1, "near": 0})).notes
    assert "1 exact, 0 near and 0 shifted or scaled, of 2" in note


def test_a_search_for_copies_through_an_index_is_said_aloud() -> None:
    (note,) = one_table(run(copies_indexed=True)).notes
    assert note == f"{COPIES_INDEXED}."


def test_only_runs_about_the_newest_ones_images_are_taken() -> None:
    old, new, same = run(digest="d1"), run(digest="d2", created="2027"), run("svm", digest="d2")
    assert of_same_data([old, new, same]) == [new, same]
    assert of_same_data([]) == []


def test_no_runs_say_what_makes_some() -> None:
    with pytest.raises(FerError) as caught:
        compare([])
    assert "fer fit" in caught.value.hint


def test_every_format_holds_the_same_numbers() -> None:
    comparison = compare([run("dense", validation=0.8125), run("svm", validation=0.5)])
    lines = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert [line["validation accuracy"] for line in lines] == ["0.8125", "0.5", "0.7944"]
    rows = json.loads(json.dumps(comparison.to_dict()))["tables"][0]["rows"]
    assert [row["validation accuracy"] for row in rows] == [0.8125, 0.5, 0.7944]
    assert comparison.to_frame()["validation accuracy"].tolist() == [0.8125, 0.5, 0.7944]
    body = [line for line in comparison.to_markdown().splitlines() if line.startswith("| ")]
    cells = ["val acc", "---:", "0.8125", "0.5000", "0.7944"]
    assert [line.split("|")[3].strip() for line in body] == cells
    assert len({line.count("|") for line in body}) == 1


def test_a_bar_in_a_name_opens_no_column() -> None:
    one = run("a|b")
    plain, odd = compare([run()]).to_markdown(), compare([one]).to_markdown()
    assert r"a\|b" in odd
    assert odd.replace(r"\|", "").count("|") == plain.count("|")


def test_a_missing_pandas_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(FerError) as caught:
        compare([run()]).to_frame()
    assert "pip install pandas" in caught.value.hint


def drawn(comparison: Comparison, **view: bool) -> list[tuple[str, str]]:
    (table,) = comparison.tables
    return [(row["head"], row["features"].split()[-1]) for row in table.drawn_rows(**view)]


def test_of_several_features_the_best_head_of_each_is_drawn() -> None:
    comparison = compare(
        [
            run("svm", validation=0.9, rows=1),
            run("mlp", validation=0.8, rows=1),
            run("svm", validation=0.5, rows=1, weights="random:0"),
            run("mlp", validation=0.6, rows=1, weights="random:0"),
        ]
    )
    best = [("svm", "imagenet"), ("mlp", "random:0")]
    assert drawn(comparison) == best
    assert len(drawn(comparison, all_heads=True)) == 4
    assert len(list(comparison.rows())) == 4
    shown, every = (comparison.to_markdown(all_heads=one) for one in (False, True))
    assert shown.count("| svm") == 1
    assert every.count("| svm") == 2


def test_of_one_kind_of_features_eight_heads_are_drawn_and_the_published_row() -> None:
    comparison = compare([run(f"head{n}", validation=n / 10) for n in range(10)])
    assert [head for head, _ in drawn(comparison)][:2] == ["head9", "head8"]
    assert drawn(comparison)[-1][0] == PUBLISHED_MARK
    assert len(drawn(comparison)) == 9


def test_an_ensemble_of_one_stands_behind_its_member() -> None:
    alone = {"head": {"chosen": {"members": ["svm"]}}}
    table = one_table(run("ensemble", change=alone), run("svm"))
    assert table.names == ["svm", "ensemble"]
    (note,) = table.notes
    assert "ensemble-d1" in note
    assert "svm" in note
    both = {"head": {"chosen": {"members": ["svm", "ridge"]}}}
    assert one_table(run("ensemble", change=both), run("svm")).names == ["ensemble", "svm"]


def test_figures_are_png_files_one_pair_a_table(tmp_path: Path) -> None:
    comparison = compare([run("dense"), run("svm"), run(name="reference"), run(task=SEVEN)])
    paths = write_figures(comparison.tables, tmp_path / "pictures")
    assert len(set(paths)) == 6
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert sorted(tmp_path.glob("pictures/*")) == sorted(paths)  # no temporary files left


def test_a_head_that_stands_twice_is_named_by_its_run() -> None:
    twice = one_table(run("svm"), run("svm", change={"id": "other"}))
    assert twice.names == ["other", "svm-d1"]
    assert [row["head"] for row in twice.drawn_rows()[:2]] == twice.names
    apart = one_table(run("svm"), run("svm", weights="random:0"))
    assert [row["head"] for row in apart.drawn_rows()[:2]] == ["svm", "svm"]


def test_layers_and_precision_are_named_only_where_they_tell_runs_apart() -> None:
    assert one_table(run("svm"), run("dense")).features == ["inception_resnet_v2 imagenet"] * 2
    two = one_table(run("svm"), run("svm", layers=("mixed_6a", "conv_7b_ac"), views=("flip",)))
    assert two.features == [
        "inception_resnet_v2 imagenet conv_7b_ac",
        "inception_resnet_v2 imagenet mixed_6a+conv_7b_ac flip",
    ]
    grid = one_table(run("svm", features="grid3"), run("svm", features="pooled"))
    assert sorted(grid.features) == [two.features[0], f"{two.features[0]} grid3"]
    maps = one_table(run("svm", features="grid3"), run("dense", features="map"))
    assert set(maps.features) == {"inception_resnet_v2 imagenet"}
    source = "inception_resnet_v2 imagenet (conv_7b_ac grid3, conv_7b_ac map): learnt from"
    assert maps.sources[0].startswith(source)
    rows = one_table(run("svm", views=("flip",), combine="rows"), run("svm", views=("flip",)))
    flip = "inception_resnet_v2 imagenet flip"
    assert sorted(rows.features) == [flip, f"{flip} rows"]
    rounded = one_table(run(), run(precision="bfloat16"))
    assert rounded.features[0] == "inception_resnet_v2 imagenet bfloat16"
    assert one_table(run(weights="none")).features == ["inception_resnet_v2"]


def test_several_seeds_give_mean_and_spread_and_the_newest_table() -> None:
    runs = [run(seed=seed, test=0.6 + 0.1 * seed, created=f"202{seed}") for seed in (2, 0, 1)]
    (one,) = over_seeds([*runs, run("svm")])
    assert [each.record.seed for each in one.runs] == [0, 1, 2]
    assert one.mean_std("test", "accuracy") == pytest.approx((0.7, 0.1))
    assert one.mean_std("test", "roc_auc") is None
    (table,) = compare(runs).newest_seeds().tables
    assert table.runs[0].record.seed == 2
    assert over_seeds([run(), run("svm")]) == []
    again = run(seed=1, test=0.9, created="2030")
    assert over_seeds([*runs, again])[0].runs[1] is again  # the newest of a seed counts


def test_the_effect_of_a_leak_is_told_within_one_run() -> None:
    twins = {"test_twins": 20, "accuracy_on_twins": 0.9, "accuracy_on_others": 0.7}
    leaking = run(name="reference", test=0.74, leak=twins, change={"split": {"test": 100}})
    (one,) = leak_effects([run(validation=0.6), leaking])
    assert (one.with_copy.correct, one.with_copy.n) == (18, 20)
    assert one.without_copy is not None
    assert one.without_copy.interval == share_interval(56, 80)
    assert one.effect == pytest.approx(0.04)
    found = one.to_dict()
    low, high = share_interval(18, 20)
    assert found["with_copy"] == {"n": 20, "accuracy": 0.9, "low": low, "high": high}
    assert "difference" not in found


def test_where_every_test_image_has_a_copy_the_effect_is_not_known() -> None:
    leaking = run(leak={"test_twins": 2, "accuracy_on_twins": 0.5, "accuracy_on_others": None})
    (one,) = leak_effects([leaking])
    assert one.effect is None
    assert one.to_dict()["without_copy"] is None


def test_what_was_dropped_stands_in_the_title() -> None:
    table = one_table(run(dropped={"constant": 3}))
    assert "17,000 images of fer2013.csv (without 3 constant)" in table.title
