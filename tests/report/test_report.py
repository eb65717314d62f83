import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_examples import HISTORY, SIZES, Writer, make_cache
from typer.testing import CliRunner

from fer_features.cli import app
from fer_features.cli.report import find_faces
from fer_features.data.tasks import SEVEN
from fer_features.errors import FerError
from fer_features.metrics.intervals import share_interval
from fer_features.report import gather, page, write_report
from fer_features.runs.published import PUBLISHED_MARK
from fer_features.runs.run import Run, list_runs
from fer_features.runtime.progress import no_log

SECTIONS = (
    *("data", "faces", "results", "confusion", "curves", "learning", "mistakes", "leak"),
    "provenance",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache") / "few.h5")


@pytest.fixture
def writer(tmp_path: Path, cache: Path) -> Writer:
    return Writer(tmp_path / "runs", cache)


def show(*runs: Run, log: Callable[[str], None] = no_log) -> str:
    return page(gather(runs, faces=partial(find_faces, cache_dir=Path("none")), log=log))


def stored(run: Run) -> dict[str, Any]:
    """The content of a run's ``run.json``."""
    content: dict[str, Any] = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    return content


class Reader(HTMLParser):
    """What a page holds: its elements with their attributes, and its text; it must be nested."""

    VOID = frozenset({"meta", "img", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style", "head"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and wanted.items() <= attrs.items()
        ]


def test_a_file_that_is_no_page_is_not_replaced(writer: Writer, tmp_path: Path) -> None:
    path, run = tmp_path / "data.csv", writer.write()
    path.write_text("emotion,pixels\n")
    with pytest.raises(FerError, match="is no HTML file: it is not replaced"):
        write_report([run], path)
    assert path.read_text() == "emotion,pixels\n"
    for _ in range(2):
        write_report([run], tmp_path / "page.html")


def test_every_section_is_there_and_the_contents_lead_to_it(writer: Writer) -> None:
    read = Reader(show(writer.write()))
    ids = {attrs["id"] for _, attrs in read.elements if attrs.get("id")}
    assert set(SECTIONS) <= ids
    links = {str(link["href"])[1:] for link in read.all("a")}
    assert set(SECTIONS) <= links <= ids
    assert {str(use["href"])[1:] for use in read.all("use")} <= ids
    assert len(read.all("h1")) == 1
    assert len(read.all("table")) == len(read.all("caption"))
    assert read.all("html", lang="en")


def test_ids_are_given_once_with_two_sources_on_one_page(writer: Writer) -> None:
    read = Reader(
        show(writer.write("svm"), writer.write("ridge", about={"digest": "d2"}, task=SEVEN))
    )
    ids = [attrs["id"] for _, attrs in read.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert any(str(one).startswith("row-2-") for one in ids)


def test_the_page_loads_nothing_from_elsewhere(writer: Writer) -> None:
    text = show(writer.write(history=HISTORY, sizes=SIZES))
    read = Reader(text)
    for _, attrs in read.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert re.match(r"#|data:", attrs.get(name) or "#")
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = read.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in str(policy["content"])


def test_text_of_a_record_cannot_become_markup(writer: Writer) -> None:
    evil = """<script>alert("x")</script>"'&"""
    run = writer.write(
        command=evil,
        data={"name": evil, "labels": evil, "dropped": {evil: 1}},
        head={"name": evil, "title": evil, "params": {evil: evil}},
        cache={"dataset": {"name": evil}},
        history=HISTORY,
        sizes=SIZES,
    )
    read = Reader(show(run))
    assert len(read.all("script")) == 1  # the page's own
    assert evil in "".join(read.words)
    assert not [attrs for _, attrs in read.elements if "<script" in " ".join(attrs)]


def test_random_weights_are_marked_before_anything_else(writer: Writer) -> None:
    plain = writer.write("svm")
    assert "RANDOM WEIGHTS" not in Reader(show(plain)).text
    random = writer.write("ridge", about={"weights": "random:0"})
    text = Reader(show(plain, random)).text
    assert text.index("RANDOM WEIGHTS") < text.index("Facial expressions from frozen features")
    assert "1 of the 2 runs" in text


def test_the_table_shows_intervals_and_the_published_row(writer: Writer) -> None:
    run = writer.write(test={"f1": 0.8125}, intervals={"f1": [0.7, 1.0]})
    read, record = Reader(show(run)), stored(run)
    low, high = record["intervals"]["accuracy"]
    assert f"{record['test']['accuracy']:.3f} {low:.3f} – {high:.3f}" in read.text
    assert "0.812 0.700 – 1.000" in read.text
    assert read.all("svg", **{"class": "interval"})
    assert PUBLISHED_MARK in read.text


@pytest.mark.parametrize("other", [{"task": SEVEN}, {"about": {"fer2013": False}}])
def test_the_published_result_is_not_shown_beside_other_images(
    writer: Writer, other: dict[str, Any]
) -> None:
    assert PUBLISHED_MARK not in Reader(show(writer.write(**other))).text


def test_intervals_are_drawn_to_scale(writer: Writer) -> None:
    changes = {"test": {"accuracy": 0.75}, "intervals": {"accuracy": [0.5, 1.0]}}
    (bar,) = re.findall(r'class="interval">.*?</svg>', show(writer.write(**changes)), re.DOTALL)
    assert 'x1="4.0" y1="8" x2="116.0"' in bar
    assert 'cx="60.0"' in bar


def test_undefined_scores_are_a_dash(writer: Writer) -> None:
    undefined = dict.fromkeys(("roc_auc", "average_precision"))
    run = writer.write(test=undefined, intervals={"accuracy": None}, about={"fer2013": False})
    scores = re.search(
        r"labels ([0-9. –]+) On|labels ([0-9. –]+) Confusion", Reader(show(run)).text
    )
    assert scores
    assert scores[0].count("–") == 2


def test_the_most_confident_mistakes_lead_to_their_rows(writer: Writer) -> None:
    run = writer.write()
    test = run.predictions().test
    predicted, sure = test.probability.argmax(axis=1), test.probability.max(axis=1)
    wrong = np.flatnonzero(predicted != test.label)
    surest = test.row[wrong[sure[wrong].argmax()]]
    read = Reader(show(run))
    tiles = [link for link in read.all("a") if str(link["href"]).startswith("#row-")]
    assert tiles[0]["href"] == f"#row-{surest}"
    assert len(tiles) == len(wrong)
    assert len(read.all("tr", id=f"row-{surest}")) == 1
    usage = ("Training", "PublicTest", "PrivateTest")[surest % 3]
    assert re.search(rf"{surest} (happy|not happy) .*?{usage}", read.text)
    assert read.all("img", alt=f"row {surest}")


@pytest.mark.parametrize("there", [False, True], ids=["missing", "another"])
def test_without_its_cache_a_page_says_so_and_lists_the_mistakes(
    writer: Writer, tmp_path: Path, there: bool
) -> None:
    path = tmp_path / "odd.h5"
    if there:
        make_cache(path, key="another key")
    logged: list[str] = []
    read = Reader(show(Writer(writer.runs, path).write(), log=logged.append))
    assert not read.all("img")
    assert (
        read.text.count(path.name) >= 3
    )  # instead of faces, above the mistakes, and in provenance
    assert read.all("tr", tabindex="-1")
    assert len(logged) == 1
    assert path.name in logged[0]


@pytest.mark.parametrize("name", ["few.h5", "renamed-key.h5"])
def test_the_cache_is_found_beside_the_runs_and_in_the_folder_given(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The fit has recorded a path relative to another working directory."""
    monkeypatch.chdir(tmp_path)
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    run = Writer(project / "runs", Path("cache/few.h5")).write()
    rows = np.array([3, 21, 10**6])

    def found() -> list[int]:
        return sorted(find_faces(run, rows, cache_dir=elsewhere))

    for folder in (project / "cache", elsewhere):
        with pytest.raises(FerError, match=re.escape("few.h5")):
            found()
        folder.mkdir()
        shutil.copy(cache, folder / name)
        assert found() == [3, 21]
        shutil.rmtree(folder)


def test_another_cache_of_the_same_name_is_passed_over(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("cache", "project/cache"):
        (tmp_path / folder).mkdir(parents=True)
    make_cache(tmp_path / "cache" / "few.h5", key="another key")
    shutil.copy(cache, tmp_path / "project" / "cache")
    run = Writer(tmp_path / "project" / "runs", Path("cache/few.h5")).write()
    assert list(find_faces(run, np.array([21]), cache_dir=Path("cache"))) == [21]


def test_a_recorded_path_that_no_file_system_takes_is_not_found(writer: Writer) -> None:
    run = writer.write(cache={"path": "x" * 4000, "key": "../*"})
    with pytest.raises(FerError):
        find_faces(run, np.array([21]), cache_dir=Path("none"))


def test_without_predictions_a_page_still_has_its_table(writer: Writer) -> None:
    run = writer.write()
    (run.path / "predictions.npz").unlink()
    logged: list[str] = []
    text = Reader(show(run, log=logged.append)).text
    assert "The predictions of these runs cannot be read" in text
    assert PUBLISHED_MARK in text
    assert str(run.path) in logged[0]


def test_runs_with_other_test_rows_are_shown_without_a_verdict(writer: Writer) -> None:
    """Somebody has mixed up the folders."""
    first, odd = writer.write("svm"), writer.write("ridge")
    with np.load(odd.path / "predictions.npz") as file:
        arrays = dict(file)
    np.savez(odd.path / "predictions.npz", **{**arrays, "test_row": arrays["test_row"] + 1})
    logged: list[str] = []
    report = gather([first, odd], log=logged.append)
    assert report.runs == 2
    assert report.images[0].rankings[0].verdict == ""
    assert len([line for line in logged if "no verdict" in line]) == 1


def test_learning_curves_are_drawn_where_there_are_any(writer: Writer) -> None:
    read = Reader(show(writer.write()))
    assert len(read.all("ul", **{"class": "legend"})) == 1  # of ROC and reliability
    read = Reader(show(writer.write("dense", history=HISTORY, sizes=SIZES)))
    assert len(read.all("ul", **{"class": "legend"})) == 3
    assert "best epoch 2 of 3" in read.text
    labels = [str(svg["aria-label"]) for svg in read.all("svg", role="img")]
    assert any("20 images: validation 0.700" in label for label in labels)


def test_leakage_is_shown_with_its_effect_on_the_runs_own_score(writer: Writer) -> None:
    reference = {"name": "reference", "leaked": {"exact": 3, "near": 1}}
    leaking = writer.write(
        about=reference,
        leak={"test_twins": 4, "accuracy_on_twins": 0.75, "accuracy_on_others": 0.5},
        split={"test": 10},
        test={"accuracy": 0.6},
    )
    text = Reader(show(writer.write(), leaking)).text
    with_copy, without = share_interval(3, 4), share_interval(3, 6)
    assert (
        f"0.600 4 0.750 [{with_copy[0]:.3f}, {with_copy[1]:.3f}] "
        f"6 0.500 [{without[0]:.3f}, {without[1]:.3f}] +10.0"
    ) in text
    assert "+5.0" not in text


def test_the_headline_names_a_tie(writer: Writer) -> None:
    tied = {"validation": {"accuracy": 0.75}}
    report = gather([writer.write("mlp", **tied), writer.write("svm", **tied)])
    assert report.images[0].rankings[0].tied == 1
    text = Reader(page(report)).text
    assert "the first of 2 on validation, tied with 1 more." in text
    assert report.images[0].rankings[0].verdict in text


def test_the_split_without_leakage_comes_first(writer: Writer) -> None:
    old = writer.write(about={"created": "2026-01-01"})
    leaking = {"name": "reference", "leaked": {"exact": 1, "near": 0}}
    new = writer.write(about={"created": "2026-02-01", **leaking})
    assert [record.id for record in gather([new, old]).records] == [old.path.name, new.path.name]


def test_provenance_names_all_that_repeats_a_run(writer: Writer) -> None:
    run = writer.write()
    text = Reader(show(run)).text
    for fact in (stored(run)["command"], "ab" * 32, "d" * 64, "imagenet", "python 3.11"):
        assert fact in text


def test_class_counts_are_those_of_the_record(writer: Writer) -> None:
    assert "happy happy – 5 5" in Reader(show(writer.write())).text
    counts = {"train": [12, 8], "validation": [5, 5], "test": [5, 5]}
    assert "happy happy 8 5 5" in Reader(show(writer.write("ridge", data={"counts": counts}))).text


def test_calibration_and_thresholds_are_shown(writer: Writer) -> None:
    before = {"log_loss": 0.9876, "brier": 0.3, "ece": 0.2}
    rates = {"precision": 0.91, "recall": 0.42}
    met = {"wish": "precision", "value": 0.9, "threshold": 0.77, "validation": rates, "test": rates}
    unmet = {"wish": "recall", "value": 0.95, "threshold": None, "unmet": "no threshold"}
    text = Reader(
        show(
            writer.write(
                calibration={"method": "platt", "before": {"validation": before, "test": before}},
                operate=met,
            ),
            writer.write("ridge", operate=unmet),
        )
    ).text
    assert "platt 0.988 → " in text
    assert "precision 0.9 0.7700 0.910 0.420 0.910 0.420" in text
    assert re.search(r"recall 0.95 \w+ – – – –", text)


def test_seven_classes_have_a_matrix_of_seven(writer: Writer) -> None:
    read = Reader(show(writer.write(task=SEVEN)))
    assert len(read.all("td", **{"class": "right"})) == 7


def test_runs_of_the_first_release_are_shown() -> None:
    golden = Path(__file__).parents[1] / "golden" / "v2" / "runs"
    logged: list[str] = []
    read = Reader(page(gather(list_runs(golden), log=logged.append)))
    assert (
        "logreg pixels, learnt from nothing (descriptor) 0.625 0.438 0.231 – 0.668 "
        "0.438 0.233 – 0.677 0.471 0.225 – 0.731 0.547 0.211 – 0.845 0.607 0.238 – 0.884 "
        "0.271 0.179 – 0.365 0.239 0.13"
    ) in read.text
    assert "platt 0.698 → 0.733 0.253 → 0.271 0.180 → 0.239" in read.text
    assert len(read.all("td", **{"class": "right"})) == 4
    assert logged == ["no faces are shown: no images were given"]


def test_the_command_writes_the_file_and_says_so(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["report", "--json"])
    assert result.exit_code == 0
    written = json.loads(result.stdout)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert (written["runs"], written["bytes"]) == (1, len(text.encode()))
    assert written["faces"] == len({img["alt"].split(",")[0] for img in Reader(text).all("img")})
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_without_runs_the_command_names_the_one_that_makes_some(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", "--runs-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "fer fit" in result.output


def test_a_file_that_cannot_be_written_is_the_callers_mistake(
    writer: Writer, tmp_path: Path
) -> None:
    writer.write()
    (tmp_path / "full").write_text("")
    out = str(tmp_path / "full" / "report.html")
    result = CliRunner().invoke(app, ["report", "--runs-dir", str(writer.runs), "--out", out])
    assert result.exit_code == 2
    assert "--out" in result.output


def test_a_damaged_run_does_not_keep_the_others_from_being_shown(writer: Writer) -> None:
    writer.write("svm")
    bad = shutil.copytree(writer.write("ridge").path, writer.runs / "bad")
    (bad / "run.json").write_text("{")
    out = str(writer.runs / "r.html")
    result = CliRunner().invoke(app, ["report", "--runs-dir", str(writer.runs), "--out", out])
    assert result.exit_code == 0
    assert str(bad) in result.stderr
