"""What an audit finds among fourteen faces made for it, and what it writes down."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_features.cli import app
from fer_features.cli.audit import show_audit, write_rows
from fer_features.cli.figures import twin_sheet
from fer_features.data import FaceIndex, Faces
from fer_features.data.audit import Audit, Leak, audit
from fer_features.data.faces import pixel_sha256
from fer_features.data.ferplus import COLUMNS
from fer_features.errors import FerError
from fer_features.runtime.progress import Advance

TRAINING, PUBLIC, PRIVATE = 0, 1, 2
ANGRY, HAPPY, SAD = 0, 3, 4


class Fourteen:
    """Fourteen faces of noise.

    | row | picture        | label | part     |
    | --- | -------------- | ----- | -------- |
    | 0   | A              | angry | Training |
    | 1   | A              | sad   | Training |
    | 2   | A, darker      | angry | Private  |
    | 3   | B              | happy | Training |
    | 4   | B              | happy | Public   |
    | 5   | C              | happy | Public   |
    | 6   | C, mirrored    | happy | Private  |
    | 7   | one grey level | sad   | Training |
    | 8   | D              | angry | Training |
    | 9   | E              | angry | Private  |
    | 10  | B              | happy | Private  |
    | 11  | B              | happy | Training |
    | 12  | C              | happy | Public   |
    | 13  | B, shifted     | happy | Private  |
    """

    name = "fourteen"

    def __init__(self) -> None:
        a, b, c, d, e = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
        plain = np.full((48, 48), 7, np.uint8)
        shifted = np.roll(b, (2, -3), axis=(0, 1))
        self.images = np.stack([a, a, a // 2, b, b, c, c[:, ::-1], plain, d, e, b, b, c, shifted])

    def digest(self) -> str:
        return "e" * 64

    def index(self) -> FaceIndex:
        middle = [HAPPY] * 4 + [SAD, ANGRY, ANGRY]
        return FaceIndex(
            row=np.arange(14),
            emotion=np.array([ANGRY, SAD, ANGRY, *middle, *[HAPPY] * 4], np.int8),
            usage=np.array([0, 0, 2, 0, 1, 1, 2, 0, 0, 2, 2, 0, 1, 2], np.int8),
        )

    def read(self, rows: np.ndarray, *, batch_size: int = 1024) -> Iterator[Faces]:
        index = self.index()
        for some in (rows[:6], rows[6:]):
            yield Faces(
                images=self.images[some],
                emotion=index.emotion[some],
                usage=index.usage[some],
                row=some,
                sha256=pixel_sha256(self.images[some]),
            )


class Ledger:
    """Progress that only writes down what is reported."""

    def __init__(self) -> None:
        self.reported: dict[str, list[int]] = {}

    @contextmanager
    def __call__(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        self.reported[title] = [total]
        yield self.reported[title].append


def look(ferplus: Path | None = None) -> Audit:
    # nothing can be written there, so that each call searches anew
    return audit(Fourteen(), ferplus=ferplus, progress=Ledger(), cache_dir=Path("/proc/none"))


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    """Votes that agree with the labels, but on row 1 (angry) and rows 7 and 9 (no face)."""
    index, path = Fourteen().index(), tmp_path / "votes.csv"
    names = {ANGRY: "anger", HAPPY: "happiness", SAD: "sadness"}
    most = {1: "anger", 7: "NF", 9: "NF"}
    lines = [f"Usage,{','.join(COLUMNS)}"]
    for row, (emotion, usage) in enumerate(zip(index.emotion, index.usage, strict=True)):
        winner = most.get(row, names[int(emotion)])
        counts = ["9" if name == winner else "0" for name in COLUMNS]
        lines.append(",".join([("Training", "PublicTest", "PrivateTest")[usage], *counts]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("finding", "rows", "groups"),
    [
        ("exact twin", [0, 1, 3, 4, 5, 10, 11, 12], 3),
        ("near twin", [0, 1, 2, 5, 6, 12], 2),
        ("mirrored twin", [5, 6, 12], 2),
        ("exact conflict", [0, 1], 1),
        ("similar, other label", [0, 1, 2], 1),
        ("registered twin", [3, 4, 10, 11, 13], 1),
        ("constant", [7], 1),
        ("exact leak", [4, 10], 1),
        ("near leak", [2, 4, 6, 10], 3),
        ("registered leak", [2, 4, 6, 10, 13], 3),
    ],
)
def test_each_finding_is_about_the_right_rows(finding: str, rows: list[int], groups: int) -> None:
    found = look()
    assert np.flatnonzero(found.findings[finding]).tolist() == rows
    assert found.groups(finding) == groups


def test_leaks_are_counted_by_part() -> None:
    found = look()
    assert found.leaks == (
        Leak("PublicTest", ("Training",), images=3, exact=1, near=1, linked=1),
        Leak("PrivateTest", ("Training",), images=5, exact=1, near=2, linked=3),
        Leak("PrivateTest", ("Training", "PublicTest"), images=5, exact=1, near=3, linked=4),
    )


def test_groups_are_numbered_conflicting_ones_first_then_by_size() -> None:
    found = look()
    assert found.group.tolist() == [1, 1, 1, 2, 2, 3, 3, 0, 0, 0, 2, 2, 3, 2]
    assert found.largest_group == 5
    assert found.copies == 5


def test_voters_opinions_are_counted_by_label(votes: Path) -> None:
    found = look(votes)
    assert np.flatnonzero(found.findings["no face"]).tolist() == [7, 9]
    assert np.flatnonzero(found.findings["other majority"]).tolist() == [1]
    reported = found.to_dict()["ferplus"]
    assert (reported["majorities"], reported["agree"]) == (12, 11)
    sad = reported["by_emotion"]["sad"]
    assert (sad["images"], sad["majorities"], sad["agree"], sad["no_face"]) == (2, 1, 0, 1)
    assert sad["majority"]["angry"] == 1


def test_votes_on_other_images_are_refused(votes: Path) -> None:
    lines = votes.read_text().splitlines()
    votes.write_text("\n".join(lines[:6]) + "\n")
    with pytest.raises(FerError, match=r"\b5\b.*\b14\b"):
        look(votes)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.0, float("nan")])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(FerError, match="threshold"):
        audit(Fourteen(), threshold=threshold, progress=Ledger())


def test_a_threshold_above_a_pairs_correlation_parts_it() -> None:
    found = audit(Fourteen(), threshold=0.999999, progress=Ledger())
    assert np.flatnonzero(found.findings["near twin"]).tolist() == [
        5,
        6,
        12,
    ]  # no rounding in these


def test_progress_counts_every_image(tmp_path: Path) -> None:
    ledger = Ledger()
    audit(Fourteen(), progress=ledger, cache_dir=tmp_path)
    assert ledger.reported["reading"] == [14, 6, 8]
    total, *steps = ledger.reported["looking for copies"]
    assert total == sum(steps) == 3 * 9  # nine different images, in three searches


def test_the_summary_is_plain_json(votes: Path) -> None:
    reported = json.loads(json.dumps(look(votes).to_dict()))
    assert (reported["rows"], reported["surplus_copies"], reported["largest_group"]) == (14, 5, 5)
    assert reported["pairs"] == {"near": 1, "mirrored": 1, "registered": 1, "family": 0}
    assert reported["findings"]["near leak"] == {"images": 4, "groups": 3}
    assert reported["leaks"][2]["others"] == ["Training", "PublicTest"]


def test_rows_with_a_finding_are_written_as_csv(votes: Path, tmp_path: Path) -> None:
    found = look(votes)
    path = write_rows(found, tmp_path / "some" / "rows.csv")
    with path.open(newline="") as file:
        lines = {int(line["row"]): line for line in csv.DictReader(file)}
    assert list(lines) == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]  # 8 is as it should be
    assert lines[10] == {
        "row": "10",
        "usage": "PrivateTest",
        "emotion": "happy",
        "findings": "exact twin; registered twin; exact leak; near leak; registered leak",
        "group": "2",
        "first": "3",
        "ferplus": "happy",
    }
    assert (lines[9]["findings"], lines[9]["group"], lines[9]["ferplus"]) == ("no face", "", "")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FerError, match=r"rows\.csv.* File exists"):
        write_rows(look(), tmp_path / "file" / "rows.csv")


def test_the_tables_say_what_was_found(votes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_audit(look(votes))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "surplus exact copies 5" in lines
    assert "mirrored pairs 1" in lines
    assert "registered pairs 1" in lines
    assert "PrivateTest Training or PublicTest 5 1 3 4 80.0%" in lines
    assert "sad 2 1 0 0.0% angry (1) 1" in lines
    assert "all 14 12 11 91.7% 2" in lines


def test_the_picture_shows_rare_labels_first_and_counts_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("GROUPS", "IMAGES"):
        monkeypatch.setattr(f"fer_features.cli.figures.{name}", 2)
    found = look()
    figure = twin_sheet(found.faces, found.group, found.twins.groups.exact, name="fourteen")
    lines = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    faces_shown = [texts for texts in lines if texts]
    assert faces_shown[0] == ["group 1\n3 images,\n2 different\n(1 not shown)", "sad", "1 train"]
    assert faces_shown[1] == ["angry", "0 train"]
    assert faces_shown[2][1:] == ["happy", "3 train"]
    assert figure.get_suptitle().startswith("fourteen: the worst 2 of 3 groups of twins\nframed")


def test_the_command_audits_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["data", "audit", "--json"])
    assert result.exit_code == 0, result.stderr
    reported = json.loads(result.stdout)
    assert reported["surplus_copies"] == 12
    assert reported["files"] == ["runs/audit/rows.csv", "runs/audit/worst.png"]
    assert all(Path(name).stat().st_size for name in reported["files"])
    shown = " ".join(CliRunner().invoke(app, ["data", "audit"]).stdout.split())
    assert "near leak an exact leak, or the same picture in other bytes or mirrored" in shown
    assert "fer fit --split grouped keeps all copies of an image on one side" in shown


def test_without_twins_there_is_no_picture(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2, 48 * 48))
    rows = "".join(f"0,{' '.join(map(str, image))}\n" for image in noise.tolist())
    (tmp_path / "two.csv").write_text(f"emotion,pixels\n{rows}")
    args = ["data", "audit", str(tmp_path / "two.csv"), "--out", str(tmp_path / "out")]
    args += ["--cache-dir", str(tmp_path / "cache")]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"largest group +0 ", result.stdout)
    assert "Leaks raise" not in result.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rows.csv"]
