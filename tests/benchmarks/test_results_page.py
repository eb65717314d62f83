from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_examples import record, run, write_record
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.results_commands import NOT_RUN, extract_command, shown_command
from benchmarks.results_page import SHORT_MARKS, results_page, sections_of, with_short_table
from fer_features.backbones.weights_file import WeightsFile, write_weights
from fer_features.data.tasks import SEVEN
from fer_features.errors import FerError
from fer_features.runs.published import PUBLISHED_FINE_TUNED, PUBLISHED_MARK
from fer_features.runs.run import Run


def page(*runs: Run) -> str:
    return results_page(runs, date="2026-01-31")


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its first two lines."""
    part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def system(number: int = 0, **head: Any) -> Run:
    """A run with its own seed, and with something else about its head."""
    return run("svm", seed=number, test=0.7 + 0.1 * number, change={"head": head})


def test_a_table_for_each_task_split_and_rows_left_out_the_best_on_validation_first() -> None:
    text = page(
        run("svm", validation=0.7, name="reference"),
        run("dense", validation=0.9, name="reference"),
        run("svm"),
        run("svm", dropped={"twins": 9}),
        run("svm", task=SEVEN),
    )
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "In short",
        "binary, split grouped",
        "binary, split grouped, without twins",
        "binary, split reference",
        "seven, split grouped",
        "Published",
        "Not run here",
        "Commands",
    ]
    rows = table(text, "binary, split reference")
    assert [row[2] for row in rows] == ["`dense`<br>seed\xa00", "`svm`<br>seed\xa00", "`dense`"]
    assert [row[3] for row in rows] == ["0.9000", "0.7000", "0.7944"]
    assert PUBLISHED_MARK in rows[-1][1]
    assert len(table(text, "seven, split grouped")) == 1  # no published row of another task
    assert "6 / 2 / 2 of them for training, validation and test" in text


def test_a_row_names_weights_layer_pooling_views_and_the_interval() -> None:
    change = {
        "head": {"features": "grid3", "combine": "rows"},
        "cache": {"spec": {"weights_sha256": "0123456789ab", "size": 139}},
    }
    found = run("svm", layers=("mixed_6a",), views=("flip",), test=0.75, change=change)
    (row, *_) = table(page(found), "binary, split grouped")
    assert row[1] == (
        "`inception_resnet_v2` 139 px `imagenet` `01234567`<br>ImageNet: 1,281,167 labels<br>"
        "`mixed_6a` grid3, flip as rows"
    )
    assert row[4] == "0.7500<br>[.700,\xa0.800]"
    assert row[5:] == ["0.500", "0.500", "–", "0.500", "0.500", "12.3"]


def test_every_row_on_random_weights_says_so() -> None:
    text = page(run("svm", weights="random:0"), run("dense", weights="random:0"), run("mlp"))
    rows = table(text, "binary, split grouped") + table(text, "In short")
    random = [row for row in rows if "random:0" in " ".join(row)]
    assert len(random) == 3
    assert all("**RANDOM WEIGHTS**" in " ".join(row) for row in random)


def test_several_seeds_are_one_row_of_mean_and_deviation() -> None:
    (row, _) = table(page(system(2), system(0), system(1)), "binary, split grouped")
    assert row[2] == "`svm`<br>seeds\xa00–2"
    assert row[4] == "0.8000<br>±\xa00.1000"
    (gap, _) = table(page(system(2), system(0)), "binary, split grouped")
    assert gap[2] == "`svm`<br>seeds\xa00, 2"


def test_other_pooling_or_another_way_to_combine_views_is_another_system() -> None:
    ways = [{"features": "pooled"}, {"features": "grid3"}, {"views": ["flip"]}]
    ways += [{"views": ["flip"], "combine": "rows"}]
    (section,) = sections_of([system(seed, **way) for way in ways for seed in (0, 1)])
    assert [len(one.runs) for one in section.systems] == [2, 2, 2, 2]


def test_seeds_that_combine_views_in_ways_of_their_own_say_both() -> None:
    chosen = {"views": ["flip"], "combined": {"features": 0.4, "rows": 0.4}}
    runs = [system(0, combine="features", **chosen), system(1, combine="rows", **chosen)]
    (row, _) = table(page(*runs), "binary, split grouped")
    assert row[1].endswith("flip averaged or as rows")


def test_published_rows_stand_on_every_page() -> None:
    rows = table(page(run(fer2013=False)), "Published")
    assert [row[3] for row in rows] == ["0.7944", "0.7125", "0.6500", "0.6386"]
    assert all(row[4] == PUBLISHED_MARK for row in rows)
    assert len(rows) == 1 + len(PUBLISHED_FINE_TUNED)


def test_what_was_run_is_no_longer_missing() -> None:
    first = NOT_RUN[0]
    assert first.system in page(run(weights="random:0"))
    assert first.system not in page(run(weights="imagenet"))


def test_commands_are_without_folders_of_the_machine() -> None:
    own = "fer fit /home/me/cache/fer2013-x.h5 --head svm --ferplus '/data/my own/fer2013new.csv'"
    shown = "fer fit cache/fer2013-x.h5 --head svm --ferplus fer2013new.csv"
    assert shown_command(own) == shown
    text = page(run("svm", change={"command": own}))
    assert f"1. `{shown}`" in text
    assert "/home" not in text


def test_the_extraction_names_all_that_the_runs_need() -> None:
    change = {"head": {"features": "grid3"}, "cache": {"spec": {"size": 139}}}
    runs = [run("svm", layers=("mixed_6a",), views=("flip",), change=change)]
    runs += [run("dense", change=change | {"head": {"features": "map"}})]
    assert extract_command([one.record for one in runs]) == (
        "fer extract fer2013.csv --backbone inception_resnet_v2 --weights imagenet --size 139 "
        "--precision float32 --layer conv_7b_ac --layer mixed_6a --output map,grid3 --views flip"
    )
    seven = run(
        task=SEVEN, rows=100, weights="none", change={"data": {"counts": {"train": [1, 2]}}}
    )
    assert extract_command([seven.record]) == (
        "fer extract fer2013.csv --backbone inception_resnet_v2 --task seven --per-class all "
        "--layer conv_7b_ac --output pooled"
    )


def test_the_command_writes_the_page_and_the_short_table(tmp_path: Path) -> None:
    write_record(tmp_path / "runs/one", record("svm"))
    readme, out = tmp_path / "README.md", tmp_path / "results.md"
    begin, end = SHORT_MARKS
    readme.write_text(f"above\n{begin}\nold\n{end}\nbelow\n", encoding="utf-8")
    args = ["results", str(tmp_path / "runs"), "--out", str(out), "--readme", str(readme)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    text = out.read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    short = readme.read_text(encoding="utf-8")
    assert short.startswith(f"above\n{begin}\n\n| task and split |")
    assert short.endswith(f"|\n\n{end}\nbelow\n")
    assert "old" not in short
    with pytest.raises(FerError, match="no <!-- results -->"):
        with_short_table("nothing", [run()])
    nothing = CliRunner().invoke(app, ["results", str(tmp_path / "none"), "--out", str(out)])
    assert nothing.exit_code == 2
    assert "no runs" in nothing.output


def test_trained_networks_stand_with_their_records(tmp_path: Path) -> None:
    scores = {"accuracy": 0.7, "balanced_accuracy": 0.6}

    def weights(name: str, **change: Any) -> Path:
        provenance = {
            "backbone": "fernet",
            "command": f"fer train faces.csv --seed {len(name)}",
            "identity": {},
            "data": {"train": 1234},
            "seconds": 90.0,
            "software": {"backend": "jax"},
            "scores": {"validation": scores, "test": scores},
            **change,
        }
        path = tmp_path / f"{name}.h5"
        write_weights(path, WeightsFile({}, {}, np.empty(0, np.uint64), provenance))
        return path

    better = {"validation": {"accuracy": 0.8, "balanced_accuracy": 0.5}}
    files = [
        weights("plain"),
        weights("all", identity={"keep_copies": True}, teachers=[{"name": "plain.h5"}]),
        weights("tuned", start={"label": "imagenet"}, scores=better, note="stopped early"),
    ]
    text = results_page([run()], date="2026-01-31", weights=files)
    first, plain, copies = table(text, "seven, trained networks")
    assert first[0] == "`fernet` (tuned)<br>from imagenet"
    assert first[3:] == ["0.8000", "0.5000", "–", "–"]
    assert plain[1:] == ["1,234 images, without copies", "jax, 1.5", *["0.7000", "0.6000"] * 2]
    assert copies[:2] == ["`fernet` (all)<br>teachers plain", "1,234 images, with copies"]
    assert "$ fer train faces.csv --seed 5 --out plain.h5" in text
    assert "\n- tuned: stopped early.\n" in text
    assert "trained networks" not in page(run())
