"""The table of copies that is made once for a data set."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fer_features.cli import app
from fer_features.config import COPIES_INDEXED
from fer_features.data import open_faces, twin_table
from fer_features.data.csv import CsvFaces
from fer_features.data.twin_table import TwinTable, read_table, table_path
from fer_features.data.twin_table import twin_table as make

IMAGES = np.random.default_rng(5).integers(0, 256, (6, 48, 48), dtype=np.uint8)
IMAGES[2] = IMAGES[0]  # exact
IMAGES[4] = np.roll(IMAGES[0], (2, 3), axis=(0, 1))  # registered
IMAGES[5] = IMAGES[1][:, ::-1]  # mirrored
PARTS = ("Training", "Training", "PublicTest", "PublicTest", "PrivateTest", "PrivateTest")


def write(path: Path, images: NDArray[np.uint8] = IMAGES) -> Path:
    lines = ["emotion,pixels,Usage"]
    for image, part in zip(images, PARTS, strict=True):
        lines.append(f"3,{' '.join(map(str, image.ravel()))},{part}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def source(tmp_path: Path) -> CsvFaces:
    return CsvFaces(write(tmp_path / "six.csv"))


def test_a_table_is_made_once_and_read_again(
    source: CsvFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(source, tmp_path / "cache")
    monkeypatch.setattr(twin_table, "find_twins", None)  # a second search would fail
    again = make(source, tmp_path / "cache")
    for name in ("exact", "near", "linked"):
        assert (
            getattr(again.twins.groups, name).tolist() == getattr(made.twins.groups, name).tolist()
        )
    assert again.twins.pairs.tolist() == made.twins.pairs.tolist() == [[1, 5], [0, 4]]
    assert again.twins.kind.tolist() == [2, 3]
    assert again.sha256.tolist() == made.sha256.tolist()


def test_groups_are_linked_through_rows_that_are_not_asked_for(
    source: CsvFaces, tmp_path: Path
) -> None:
    groups = make(source, tmp_path).groups(np.array([2, 3, 4]))  # 2 and 4 are copies by way of 0
    assert groups.linked[0] == groups.linked[2] != groups.linked[1]


def test_copies_of_marked_rows_are_marked(source: CsvFaces, tmp_path: Path) -> None:
    marked = np.array([True, False, False, False, False, False])
    assert make(source, tmp_path).copied(marked).tolist() == [True, False, True, False, True, False]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and no more", None])
def test_a_damaged_table_or_one_of_another_search_is_made_again(
    source: CsvFaces, tmp_path: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table_path(tmp_path, source.digest())
    make(source, tmp_path)
    if damage is None:
        monkeypatch.setattr(twin_table, "REGISTERED", 0.5)
    else:
        path.write_bytes(damage)
    assert read_table(path) is None
    assert make(source, tmp_path).twins.pairs.tolist() == [[1, 5], [0, 4]]
    assert isinstance(read_table(path), TwinTable)


def test_rows_that_were_left_out_before_are_searched_now(tmp_path: Path) -> None:
    path = write(tmp_path / "six.csv")
    text = path.read_text().splitlines()
    text[3] = text[3].replace("3,", "9,", 1)
    path.write_text("\n".join(text) + "\n")
    assert make(CsvFaces(path, skip_bad=True), tmp_path).row.tolist() == [0, 1, 3, 4, 5]
    text[3] = text[3].replace("9,", "3,", 1)
    path.write_text("\n".join(text) + "\n")
    assert len(make(CsvFaces(path), tmp_path).row) == 6


def test_where_nothing_can_be_written_the_table_is_made_all_the_same(source: CsvFaces) -> None:
    assert len(make(source, Path("/proc/none")).row) == 6


def test_the_command_writes_every_pair(source: CsvFaces, tmp_path: Path) -> None:
    out = tmp_path / "some" / "pairs.csv"
    args = ["data", "twins", str(tmp_path / "six.csv"), "--out", str(out), "--json"]
    result = CliRunner().invoke(app, [*args, "--cache-dir", str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    reported = json.loads(result.stdout)
    pairs = {"exact": 1, "near": 0, "mirrored": 1, "registered": 2, "family": 0}
    assert reported["pairs"] == pairs
    assert (reported["rows"], reported["in_a_group"], reported["largest_group"]) == (6, 5, 3)
    with out.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["row_a", "row_b", "sha256_a", "sha256_b", "kind", "correlation"]
    found = [(int(line["row_a"]), int(line["row_b"]), line["kind"]) for line in lines]
    assert found == [
        (0, 2, "exact"),
        (0, 4, "registered"),
        (1, 5, "mirrored"),
        (2, 4, "registered"),
    ]
    hashes = make(source, tmp_path).sha256.tolist()
    assert lines[2]["sha256_a"] == hashes[1].decode()
    assert 0.84 < float(lines[1]["correlation"]) <= 1


def test_a_search_through_an_index_stands_in_the_table_and_is_said(
    source: CsvFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_features.data.twins.is_indexed", lambda images: images > 4)  # it has 5
    assert make(source, tmp_path).twins.indexed
    monkeypatch.undo()
    assert make(source, tmp_path).twins.indexed
    args = ["data", "twins", str(tmp_path / "six.csv"), "--cache-dir", str(tmp_path)]
    assert COPIES_INDEXED in CliRunner().invoke(app, args).stdout.splitlines()
    assert json.loads(CliRunner().invoke(app, [*args, "--json"]).stdout)["indexed"] is True
    assert not make(source, tmp_path / "another").twins.indexed


def test_the_command_counts_copies_by_part(source: CsvFaces, tmp_path: Path) -> None:
    args = ["data", "twins", str(tmp_path / "six.csv"), "--cache-dir", str(tmp_path)]
    result = CliRunner().invoke(app, args)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "PublicTest Training 2 1 1 1 50.0%" in lines
    assert "PrivateTest Training 2 0 1 2 100.0%" in lines


def test_the_sample_has_few_registered_copies(tmp_path: Path) -> None:
    """Drawn faces of one sitter look alike; the search must not take them for one photograph."""
    linked = make(open_faces("sample"), tmp_path).twins.groups.linked
    assert np.bincount(linked).max() == 2
