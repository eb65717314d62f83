import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_examples import HISTORY, SIZES, Writer, make_cache
from run_examples import changed
from typer.testing import CliRunner

from fer_features.cli import app
from fer_features.data.tasks import SEVEN
from fer_features.metrics.intervals import share_interval
from fer_features.report import gather, page
from fer_features.report.page import SECTIONS
from fer_features.runs.published import PUBLISHED_MARK
from fer_features.runs.run import Run


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache") / "few.h5")


@pytest.fixture
def writer(tmp_path: Path, cache: Path) -> Writer:
    return Writer(tmp_path / "runs", cache)


def show(*runs: Run, log: Callable[[str], None] = lambda _: None) -> str:
    return page(gather(runs, log=log))


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


def test_every_section_is_there_and_the_contents_lead_to_it(writer: Writer) -> None:
    read = Reader(show(writer.write()))
    ids = {attrs["id"] for _, attrs in read.elements if attrs.get("id")}
    assert set(SECTIONS) <= ids
    assert {str(link["href"])[1:] for link in read.all("a")} <= ids
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


def test_the_page_asks_nothing_of_any_other_place(writer: Writer) -> None:
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


def test_what_others_wrote_cannot_become_markup(writer: Writer) -> None:
    evil = '<script>alert("x")</script>"\'&'
    run = writer.write(
        command=evil,
        data={"name": evil, "rows": 40, "digest": "d", "labels": evil, "dropped": {evil: 1}},
    )
    head = {"name": evil, "title": evil, "params": {evil: evil}}
    run = changed(run, {"head": head, "cache": {"dataset": {"name": evil}}})
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
    assert "1 of the runs shown" in text


def test_the_table_shows_intervals_and_the_published_row(writer: Writer) -> None:
    run = writer.write()
    read = Reader(show(run))
    low, high = run.record.intervals["accuracy"]
    assert f"{run.record.test.accuracy:.3f} {low:.3f} – {high:.3f}" in read.text
    assert read.all("svg", **{"class": "interval"})
    assert PUBLISHED_MARK in read.text
    assert PUBLISHED_MARK not in Reader(show(writer.write("ridge", task=SEVEN))).text


def test_undefined_scores_are_a_dash_and_not_a_crash(writer: Writer) -> None:
    run = writer.write()
    undefined = {"roc_auc": None, "average_precision": None}
    run = changed(run, {"test": undefined, "intervals": {"accuracy": None}})
    assert "–" in Reader(show(run)).text


def test_the_most_confident_mistakes_lead_to_their_lines(writer: Writer) -> None:
    run = writer.write()
    test = run.predictions().test
    said, sure = test.probability.argmax(axis=1), test.probability.max(axis=1)
    wrong = np.flatnonzero(said != test.label)
    surest = test.row[wrong[sure[wrong].argmax()]]
    read = Reader(show(run))
    tiles = [link for link in read.all("a") if str(link["href"]).startswith("#row-")]
    assert tiles[0]["href"] == f"#row-{surest}"
    assert len(tiles) == len(wrong)
    assert len(read.all("tr", id=f"row-{surest}")) == 1
    usage = ("Training", "PublicTest", "PrivateTest")[surest % 3]
    line = re.search(rf"{surest} (happy|not happy) .*?{usage}", read.text)
    assert line
    assert read.all("img", alt=f"row {surest}")


def test_without_its_cache_a_page_says_so_and_still_lists_the_mistakes(
    writer: Writer, tmp_path: Path
) -> None:
    told: list[str] = []
    gone = Writer(writer.runs, tmp_path / "gone.h5").write()
    read = Reader(show(gone, log=told.append))
    assert not read.all("img")
    assert "no such cache" in read.text
    assert "The same mistakes as a list" in read.text
    assert len(told) == 1


def test_faces_of_another_cache_at_the_same_place_are_not_shown(
    writer: Writer, tmp_path: Path
) -> None:
    other = make_cache(tmp_path / "other.h5", key="another key")
    read = Reader(show(Writer(writer.runs, other).write()))
    assert not read.all("img")
    assert "is another cache" in read.text


def test_without_predictions_a_page_still_has_its_table(writer: Writer) -> None:
    run = writer.write()
    (run.path / "predictions.npz").unlink()
    told: list[str] = []
    text = Reader(show(run, log=told.append)).text
    assert "The predictions of these runs cannot be read" in text
    assert PUBLISHED_MARK in text
    assert "left out of the curves" in told[0]


def test_learning_curves_are_drawn_where_there_are_any(writer: Writer) -> None:
    text = Reader(show(writer.write())).text
    assert "None of these heads is trained by epochs" in text
    assert "No run looked at fewer training images" in text
    read = Reader(show(writer.write("dense", history=HISTORY, sizes=SIZES)))
    assert "best epoch 2 of 3" in read.text
    labels = [str(svg["aria-label"]) for svg in read.all("svg", role="img")]
    assert any("20 images: validation 0.700" in label for label in labels)


def test_a_leak_is_shown_with_its_effect_on_the_runs_own_score(writer: Writer) -> None:
    leak = {"test_twins": 4, "accuracy_on_twins": 0.75, "accuracy_on_others": 0.5}
    reference = {"name": "reference", "leaked": {"exact": 3, "near": 1}}
    grouped, leaking = writer.write(), writer.write(about=reference, leak=leak)
    leaking = changed(leaking, {"split": {"test": 10}, "test": {"accuracy": 0.6}})
    text = Reader(show(grouped, leaking)).text
    with_copy, without = share_interval(3, 4), share_interval(3, 6)
    assert (
        f"0.600 4 0.750 [{with_copy[0]:.3f}, {with_copy[1]:.3f}] "
        f"6 0.500 [{without[0]:.3f}, {without[1]:.3f}] +10.0"
    ) in text
    assert "+5.0" not in text


def test_other_scores_show_their_intervals_too(writer: Writer) -> None:
    run = writer.write()
    run = changed(run, {"test": {"f1": 0.8125}, "intervals": {"f1": [0.7, 1.0]}})
    text = Reader(show(run)).text
    assert "0.812 0.700 – 1.000" in text


def test_the_published_result_is_not_in_the_headline_of_other_images(writer: Writer) -> None:
    assert PUBLISHED_MARK not in Reader(show(writer.write(about={"fer2013": False}))).text


def test_the_headline_names_a_tie(writer: Writer) -> None:
    runs = [writer.write("mlp"), writer.write("svm")]
    runs = [changed(run, {"validation": {"accuracy": 0.75}}) for run in runs]
    text = Reader(show(*runs)).text
    assert "the first of 2 on validation, tied with 1 more." in text
    assert "mlp and svm are tied first on validation" in text


def test_the_split_that_does_not_leak_is_spoken_of_first(writer: Writer) -> None:
    old = writer.write(about={"created": "2026-01-01"})
    new = writer.write(
        about={"created": "2026-02-01", "name": "reference", "leaked": {"exact": 1, "near": 0}}
    )
    assert gather([old, new], log=print).subjects[0].main.runs[0].path == old.path


def test_provenance_says_how_to_get_it_again(writer: Writer) -> None:
    run = writer.write()
    text = Reader(show(run)).text
    for fact in (run.record.command, "ab" * 32, "d" * 64, "imagenet", "python 3.11"):
        assert fact in text


def test_class_counts_are_those_of_the_record(writer: Writer) -> None:
    run = writer.write()
    assert "happy happy – 5 5" in Reader(show(run)).text
    run = changed(run, {"data": {"counts": {"train": [12, 8]}}})
    assert "happy happy 8 5 5" in Reader(show(run)).text


def test_calibration_and_thresholds_are_told(writer: Writer) -> None:
    before = {"log_loss": 0.9876, "brier": 0.3, "ece": 0.2}
    rates = {"precision": 0.91, "recall": 0.42}
    run = writer.write(
        calibration={"method": "platt", "before": {"validation": before, "test": before}},
        operate={
            "wish": "precision",
            "value": 0.9,
            "threshold": 0.77,
            "validation": rates,
            "test": rates,
        },
    )
    text = Reader(show(run)).text
    assert "platt 0.988 → " in text
    assert "precision 0.9 0.7700 0.910 0.420 0.910 0.420" in text


def test_seven_classes_have_a_matrix_of_seven(writer: Writer) -> None:
    read = Reader(show(writer.write(task=SEVEN)))
    assert len(read.all("td", **{"class": "right"})) == 7


def test_the_command_writes_the_file_and_says_so(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write()
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["report", "--json"])
    assert told.exit_code == 0
    assert '"runs": 1' in told.stdout
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_without_runs_the_command_says_what_makes_some(tmp_path: Path) -> None:
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
    shutil.copytree(writer.write("ridge").path, writer.runs / "bad")
    (writer.runs / "bad" / "run.json").write_text("{")
    out = str(writer.runs / "r.html")
    result = CliRunner().invoke(app, ["report", "--runs-dir", str(writer.runs), "--out", out])
    assert result.exit_code == 0
    assert "left out" in result.stderr
