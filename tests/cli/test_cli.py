import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fer_features import __version__
from fer_features.backbones import Backbone
from fer_features.cli import app

COMMANDS = [
    [],
    ["data"],
    ["data", "info"],
    ["data", "show"],
    ["data", "audit"],
    ["extract"],
    ["train"],
    ["pretrain"],
    ["fit"],
    ["compare"],
    ["predict"],
    ["cache"],
    ["cache", "list"],
    ["cache", "info"],
    ["cache", "verify"],
    ["cache", "merge"],
    ["cache", "remove"],
    ["data", "layers"],
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fer(*args: str) -> Result:
    return CliRunner().invoke(app, args)


def ok(*args: str) -> dict[str, object]:
    """Run with --json; stdout must be one JSON object and nothing else."""
    result = fer(*args, "--json")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value


EXTRACT = ["extract", "--backbone", "tiny", "--weights", "random:0", "--per-class", "40"]
EXTRACT += ["--engine", "keras", "--precision", "float32"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = fer(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert not re.search(r"<\w", result.stdout)  # a Python type in place of what to give


def test_the_version_is_printed() -> None:
    assert fer("--version").stdout.strip() == __version__


@pytest.mark.long
def test_weights_from_a_file(folder: Path) -> None:
    small = ["train", "--task", "binary", "--epochs", "1", "--batch-size", "64"]
    small += ["--out", "mine.h5"]
    made = ok(*small)
    assert made["found"] is False
    assert made["command"] == "fer train sample --task binary --epochs 1 --batch-size 64"
    assert ok(*small)["found"] is True

    extract = ["extract", "--backbone", "fernet", "--weights", "mine.h5", "--engine", "keras"]
    ok(*extract, "--output", "pooled")
    refused = fer("fit", "--head", "ridge", "--split", "grouped")
    assert refused.exit_code == 2
    assert "--allow-seen" in refused.stderr
    result = fer("fit", "--head", "ridge", "--json")
    assert result.exit_code == 0
    assert "--split usage --drop twins" in result.stderr
    (run,) = json.loads(result.stdout)["runs"]
    assert run["split"]["name"] == "usage"
    assert run["data"]["seen"]["test"] == 0


def test_extract_fit_and_compare(tiny: Backbone, folder: Path) -> None:
    done = ok(*EXTRACT)
    assert done["rows"] == 80
    assert done["reused"] is False
    assert ok(*EXTRACT)["reused"] is True

    runs = ok("fit", "--head", "logreg", "--head", "svm", "--split", "reference")["runs"]
    assert [run["head"] for run in runs] == ["logreg", "svm"]
    assert runs[0]["test"]["n"] == 16

    (table,) = ok("compare")["tables"]
    assert sorted(row["head"] for row in table["rows"]) == ["logreg", "svm"]  # not FER2013's images
    assert any("RANDOM WEIGHTS" in log for log in table["notes"])
    ok("compare", "--figures", "pictures")
    assert len(list((folder / "pictures").glob("*.png"))) == 4
    assert not (folder / "runs" / "compare").exists()


def test_people_get_lines_on_stdout_and_progress_on_stderr(tiny: Backbone) -> None:
    result = fer(*EXTRACT)
    assert len(result.stdout.splitlines()) == 1
    assert "80 images" in result.stdout
    assert "tiny (random:0)" in result.stderr
    assert "nothing to compute" in fer(*EXTRACT).stdout

    result = fer("fit", "--head", "logreg", "--cv", "2")
    assert "logreg: validation accuracy" in result.stdout
    assert "features of tiny random:0 (second pooled), learnt from" in result.stdout
    assert "2 folds: accuracy" in result.stdout
    assert "fitting logreg on cache/sample-tiny-random0-float32-" in result.stderr

    table = fer("compare").stdout
    assert "published, not re-run" not in table  # the images are not FER2013's
    assert "RANDOM WEIGHTS" in table


def test_a_fit_takes_the_cache_that_was_asked_for_last(tiny: Backbone) -> None:
    first = ok(*EXTRACT)["cache"]
    second = ok(*EXTRACT, "--size", "16")["cache"]
    assert ok("cache", "info")["cache"] == second
    ok(*EXTRACT)
    assert ok("cache", "info")["cache"] == first
    assert [one["cache"] for one in ok("cache", "list")["caches"]] == [second, first]


def test_a_scan_names_the_command_that_fits_the_best_layer(tiny: Backbone, folder: Path) -> None:
    for layer in ("first", "second"):
        ok(*EXTRACT, "--layer", layer, "--output", "pooled,grid3")
    scan = ["fit", "--head", "ridge", "--split", "reference", "--scan-layers"]
    rows = ok(*scan)["scan"]
    assert len(rows) == 4
    shown = fer(*scan)
    *lines, ranking, last = shown.stdout.splitlines()
    assert ranking.startswith("lowest validation log loss first")
    assert "log loss" in lines[1]
    assert f"{rows[0]['log_loss']:.4f}" in lines[3]
    assert "fitting ridge on first/grid3 (1 of 4)" in shown.stderr
    assert not (folder / "runs").exists()

    command = last.removeprefix("fit the best with: ")
    assert command == rows[0]["command"]
    (run,) = ok(*command.split()[1:])["runs"]
    assert run["validation"]["accuracy"] == rows[0]["accuracy"]
    assert run["validation"]["log_loss"] == pytest.approx(rows[0]["log_loss"])


def test_the_better_way_to_combine_views_is_printed(tiny: Backbone) -> None:
    ok(*EXTRACT, "--views", "flip", "--output", "grid3")
    shown = fer("fit", "--head", "ridge", "--views", "flip", "--combine", "best").stdout
    assert re.search(r"\(second grid3 flip( rows)?\)", shown)
    pattern = (
        r"--combine best took (features|rows): validation log loss features 0\.\d+, rows 0\.\d+"
    )
    assert re.search(pattern, shown)


def test_formats_of_a_comparison(tiny: Backbone) -> None:
    ok(*EXTRACT)
    ok("fit", "--head", "logreg")
    assert fer("compare", "--format", "markdown").stdout.startswith("### binary: 80 images")
    assert fer("compare", "--format", "csv").stdout.startswith("table,head,features")
    assert json.loads(fer("compare", "--format", "json").stdout)["tables"]
    assert fer("compare", "--format", "xml").exit_code == 2


def test_runs_on_other_images_are_shown_apart_and_only_on_request(tiny: Backbone) -> None:
    for seed in ("0", "1"):
        ok(*EXTRACT, "--seed", seed)
        ok("fit", "--head", "logreg")
    result = fer("compare")
    assert re.search(r"\b1\b.*--all\b", result.stderr)
    assert len(ok("compare", "--all")["tables"]) == 2


def test_data_info_counts(folder: Path) -> None:
    info = ok("data", "info")
    assert info["rows"] == 600
    text = fer("data", "info").stdout
    assert "sample: 600 images" in text
    assert "happy" in text


def test_data_show_draws_a_picture(folder: Path) -> None:
    shown = ok("data", "show", "--out", "some/faces.png", "--per-emotion", "3")
    assert len(shown["rows"]) == 21
    assert (folder / "some" / "faces.png").read_bytes().startswith(b"\x89PNG")


def test_parameters_of_a_head_can_be_set(tiny: Backbone) -> None:
    ok(*EXTRACT)
    ok("fit", "--head", "logreg", "--set", "Cs=(0.5,)", "--set", "max_iter=50")
    (run,) = Path("runs").glob("logreg-*/run.json")
    params = json.loads(run.read_text())["head"]["params"]
    assert params["Cs"] == [0.5]
    assert params["max_iter"] == 50


def test_a_cache_is_verified_and_found_damaged(tiny: Backbone) -> None:
    path = Path(str(ok(*EXTRACT)["cache"]))
    assert ok("cache", "verify") == {"cache": str(path), "bytes": path.stat().st_size, "good": True}
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    result = fer("cache", "verify")
    assert result.exit_code == 2
    assert str(path) in result.stderr


def test_shards_are_listed_as_such_and_merged(tiny: Backbone, folder: Path) -> None:
    first = ok(*EXTRACT, "--shard", "1/2")["cache"]
    assert ok("cache", "list")["caches"][0]["shard"] == "1/2"
    assert "shard 1/2, complete" in fer("cache", "list").stdout
    assert "40 rows" in fer("cache", "info", first).stdout
    result = fer("cache", "info")
    assert (result.exit_code, "only shards" in result.stderr) == (2, True)
    result = fer("cache", "merge", "cache")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "of 2 shards these are missing: 2" in result.stderr
    second = ok(*EXTRACT, "--shard", "2/2")["cache"]
    result = fer("fit", second, "--head", "logreg")
    assert "hint: merge all 2 shards first: fer cache merge" in result.stderr
    merged = ok("cache", "merge", first, second)
    assert (merged["rows"], merged["shards"], merged["already_there"]) == (80, 2, False)
    assert ok("cache", "info")["cache"] == merged["cache"]
    assert ok("cache", "info")["shard"] is None
    assert ok(*EXTRACT)["reused"] is True
    assert fer("cache", "merge", "cache").stdout.endswith("80 rows of 2 shards, already there\n")
    assert fer("cache", "merge", "cache", "--out", "no.txt").exit_code == 2


def test_a_cache_is_removed_only_after_a_yes(tiny: Backbone) -> None:
    path = Path(str(ok(*EXTRACT)["cache"]))
    refused = CliRunner().invoke(app, ["cache", "remove", str(path)], input="n\n")
    assert refused.exit_code == 2
    nobody = CliRunner().invoke(app, ["cache", "remove", str(path)], input="")
    assert nobody.exit_code == 2
    assert "--yes" in nobody.stderr
    unasked = fer("cache", "remove", str(path), "--json")
    assert (unasked.exit_code, unasked.stdout) == (2, "")
    assert path.exists()
    agreed = CliRunner().invoke(app, ["cache", "remove", str(path)], input="y\n")
    assert agreed.exit_code == 0
    assert not path.exists()
    path = Path(str(ok(*EXTRACT)["cache"]))
    size = path.stat().st_size
    assert ok("cache", "remove", str(path), "--yes") == {"removed": str(path), "bytes": size}
    assert fer("cache", "remove", str(path), "--yes").exit_code == 2


def test_a_cache_that_is_being_written_is_listed_as_such(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok(*EXTRACT)
    monkeypatch.setattr("fer_features.cache.writer_of", lambda path: "process 7 on a")
    assert "process 7 on a" in fer("cache", "list").stdout
    assert ok("cache", "list")["caches"][0]["writer"] == "process 7 on a"


def test_a_task_whose_rows_are_not_in_the_cache_is_an_error(tiny: Backbone) -> None:
    ok(*EXTRACT)
    result = fer("fit", "--task", "seven", "--head", "logreg")
    assert result.exit_code == 2
    assert "fer extract --task" in result.stderr


def test_a_begun_cache_is_listed_with_how_far_it_is(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fer_features.cache.CacheWriter.compact", killed)
        assert fer(*EXTRACT).exit_code == 130
    (begun,) = ok("cache", "list")["caches"]
    assert (begun["complete"], begun["rows"], begun["waiting_rows"]) == (False, 0, 80)
    assert "80 rows" in fer("cache", "list").stdout
    info = fer("cache", "info", begun["cache"]).stdout
    assert "80 of 80 rows" in info
    assert f"last changed {begun['changed']}\n" in info
    assert ok(*EXTRACT)["found"] == 80
    assert ok("cache", "info")["complete"] is True


def test_layers_are_listed_with_their_shapes(tiny: Backbone) -> None:
    found = ok("data", "layers", "tiny")
    assert found["layers"] == [
        {"layer": "first", "shape": [12, 12, 4]},
        {"layer": "second", "shape": [3, 3, 6]},
    ]
    text = fer("data", "layers", "tiny").stdout
    assert "12 × 12 × 4" in text
    assert "KiB grid3" in text
    assert "second (the default)" in text


MISTAKES = [
    (["extract", "nowhere.csv"], "nowhere.csv"),
    (["extract", "--backbone", "none"], "none"),
    (["extract", "--weights", "random:0", "--task", "none"], "none"),
    (["extract", "--weights", "none.h5"], "none.h5"),
    (["extract", "--per-class", "many"], "--per-class many"),
    (["extract", "--per-class", "0"], "--per-class 0"),
    (["extract", "--per-class", "9" * 5000], "--per-class 9"),
    (["extract", "--output", "vector"], "vector"),
    (["data", "info", "nowhere"], "nowhere"),
    (["data", "show", "--out", "faces.txtt"], "faces.txtt"),
    (["fit"], "no cache in cache"),
    (["fit", "none.h5"], "none.h5"),
    (["fit", "--set", "x"], "--set x"),
    (["compare"], "no runs in runs"),
    (["compare", "--runs-dir", "nope"], "no runs in nope"),
    (["report", "--runs-dir", "nope"], "no runs in nope"),
    (["compare", "nowhere"], "nowhere"),
    (["cache", "info"], "no cache in cache"),
    (["cache", "info", "pyproject.toml"], "pyproject.toml"),
]


@pytest.mark.parametrize(
    ("args", "message"), MISTAKES, ids=[" ".join(args) for args, _ in MISTAKES]
)
def test_a_usage_error_is_two_lines_and_status_2(args: list[str], message: str) -> None:
    result = fer(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert len(lines) <= 2
    assert all(line.startswith("hint: ") for line in lines[1:])


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
@pytest.mark.parametrize("command", ["extract", "fit", "train", "data show"])
def test_every_command_refuses_a_seed_that_numpy_does_not_take(command: str, seed: str) -> None:
    result = fer(*command.split(), "--seed", seed)
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_an_interruption_is_one_line_and_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fer_features.data.open_faces", interrupted)
    result = fer("data", "info")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "make room"), (errno.EROFS, "another place"), (errno.EISDIR, "")],
)
def test_what_the_disk_refuses_is_two_lines_and_status_2(
    monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number), "somewhere.h5")

    monkeypatch.setattr("fer_features.data.open_faces", refuse)
    result = fer("data", "info")
    assert result.exit_code == 2
    error, *hints = result.stderr.splitlines()
    assert error == f"error: somewhere.h5: {os.strerror(number)}"
    assert [one[:6] for one in hints] == (["hint: "] if hint else [])
    assert hint in "".join(hints)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("mine.csv", ["data", "twins", "--out", "mine.csv"]),
        ("rows.csv", ["data", "audit", "--out", "."]),
        ("mine.png", ["data", "show", "--out", "mine.png"]),
        ("mine.xml", ["export", "fernet", "--format", "openvino", "--out", "mine.xml"]),
    ],
)
def test_the_users_own_files_are_not_replaced(folder: Path, name: str, args: list[str]) -> None:
    (folder / name).write_text("emotion,pixels\n0,1 2 3\n")
    result = fer(*args)
    assert result.exit_code == 2
    assert f"{name} exists, and is no" in result.stderr
    assert (folder / name).read_text() == "emotion,pixels\n0,1 2 3\n"


def test_a_model_that_cannot_be_saved_is_not_fitted_first(tiny: Backbone, folder: Path) -> None:
    ok(*EXTRACT)
    (folder / "notes.fer").write_text("mine")
    result = fer("fit", "--head", "ridge", "--save", "notes.fer")
    assert result.exit_code == 2
    assert "notes.fer is no model, and is not replaced" in result.stderr
    assert not (folder / "runs").exists()
    result = fer("fit", "--head", "ridge", "--save", "/proc/model.fer")
    assert result.exit_code == 2
    assert "error: /proc cannot be written" in result.stderr
    assert not (folder / "runs").exists()


def test_a_list_of_pairs_is_replaced_by_another(folder: Path) -> None:
    for _ in range(2):
        assert fer("data", "twins", "--out", "pairs.csv").exit_code == 0


def test_a_folder_of_runs_is_not_a_run(tiny: Backbone, folder: Path) -> None:
    ok(*EXTRACT)
    ok("fit", "--head", "ridge")
    result = fer("compare", "runs")
    assert result.stderr.endswith("error: no run in runs\nhint: those in it: --runs-dir runs\n")


def test_runs_go_nowhere_before_the_work_and_not_after(tiny: Backbone, folder: Path) -> None:
    ok(*EXTRACT)
    (folder / "file").write_text("")
    result = fer("fit", "--head", "logreg", "--runs-dir", "file")
    assert result.exit_code == 2
    assert "error: file: " in result.stderr
    assert "fitting" not in result.stderr


def test_a_damaged_cache_does_not_hide_the_others(tiny: Backbone, folder: Path) -> None:
    cache = Path(str(ok(*EXTRACT)["cache"]))
    (cache.parent / "broken.h5").write_bytes(cache.read_bytes()[:3000])
    result = fer("cache", "list")
    assert result.exit_code == 0
    assert cache.name in result.stdout
    assert "warning: cache/broken.h5" in result.stderr


def test_the_same_head_twice_is_named_by_its_run(tiny: Backbone) -> None:
    ok(*EXTRACT)
    for Cs in ("(0.1,)", "(1.0,)"):
        ok("fit", "--head", "logreg", "--set", f"Cs={Cs}")
    table = fer("compare", "--all-heads").stdout
    assert table.count("logreg-grouped-s0-") == 4  # in the table and in the verdict


def test_the_published_row_is_marked(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_features.runs.table.is_published_task", lambda record: True)
    ok(*EXTRACT)
    for Cs in ("(0.1,)", "(1.0,)"):
        ok("fit", "--head", "logreg", "--set", f"Cs={Cs}")
    assert "published, not re-run" in fer("compare").stdout


def loaded(code: str) -> set[str]:
    """The names of all modules that are loaded after `code` has run in a fresh Python."""
    program = f"{code}\nimport sys\nprint('MODULES', *sys.modules)"
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


CALL = """
import fer_features.cli as cli
try:
    cli.app({args!r})
except SystemExit as end:
    assert not end.code, end.code
"""


def test_import_and_help_load_nothing_heavy() -> None:
    heavy = {"tensorflow", "keras", "jax", "matplotlib", "sklearn", "h5py", "scipy"}
    assert not loaded("import fer_features") & (heavy | {"numpy"})
    assert not loaded(CALL.format(args=["--help"])) & (heavy | {"numpy"})
    assert not loaded(CALL.format(args=["fit", "--help"])) & (heavy | {"numpy"})


def test_an_extraction_that_needs_no_statistics_loads_none() -> None:
    """Each shard is a process: a second of imports is a second of each."""
    modules = loaded("import fer_features.extract.extract")
    assert "h5py" in modules
    assert not modules & {"tensorflow", "keras", "jax", "matplotlib", "sklearn", "scipy"}


def test_a_light_head_loads_no_tensorflow(tiny_cache: Path) -> None:
    modules = loaded(CALL.format(args=["fit", str(tiny_cache), "--head", "logreg"]))
    assert "sklearn" in modules
    assert not modules & {"tensorflow", "keras", "jax", "torch", "matplotlib"}


def test_a_clone_runs_without_being_installed() -> None:
    script = Path(__file__).parents[2] / "cli.py"
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, str(script), "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.stdout.strip() == __version__


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("extract", "face.JPG"), "fer predict"),
        (("extract", "s3://bucket/fer2013.csv"), "--on ray"),
        (("bench", "--backbone", "hog"), "--backbone fernet"),
        (("predict", "other", "--annotate", "face.JPG/seen"), "name another"),
    ],
)
def test_a_hint_names_the_command_that_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "face.JPG").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "other").mkdir()
    result = fer(*words)
    assert result.exit_code == 2
    assert hint in result.stderr.partition("hint: ")[2]


@pytest.mark.parametrize(
    ("content", "command", "said"),
    [
        (
            b"\xff",
            ["extract", "--backbone", "pixels", "--task", "FILE"],
            "not a text file in UTF-8",
        ),
        (b"\xff", ["data", "audit", "--ferplus", "FILE"], "not a text file in UTF-8"),
        (
            b"[classes]\na = []",
            ["extract", "--backbone", "pixels", "--task", "FILE"],
            "two classes",
        ),
        (b"", ["data", "info", "FILE"], "empty"),
        (b"emotion,pixels\n", ["data", "info", "FILE"], "no rows"),
        (b"PAR1 and no more", ["data", "info", "FILE.parquet"], "its end"),
        (b"no cache", ["extract", "--backbone", "pixels", "--cache-dir", "FILE"], "no folder"),
        (None, ["extract", "--backbone", "fernet", "--weights", "FILE"], "is a folder"),
        (b"", ["predict", "FILE.png", "--out", "rows.txt"], "neither .csv nor .jsonl"),
        (None, ["fit", "--set", "x"], "NAME=VALUE"),
    ],
)
def test_wrong_input_is_told_in_plain_words_and_with_a_hint(
    folder: Path, content: bytes | None, command: list[str], said: str
) -> None:
    path = folder / next((one for one in command if one.startswith("FILE")), "FILE")
    path.mkdir() if content is None else path.write_bytes(content)
    result = fer(*command)
    assert result.exit_code == 2
    error, hint = result.stderr.strip().splitlines()[-2:]
    assert said in error
    assert "codec" not in error
    assert "magic" not in error
    assert hint.startswith("hint: ")
