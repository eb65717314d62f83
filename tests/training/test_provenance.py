"""Copies of learnt images count as seen; where they cannot be recognised, every output says so."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report_examples import Writer, make_cache
from run_examples import run
from typer.testing import CliRunner

from fer_features.backbones import Weights, get_backbone, seen_images
from fer_features.backbones.signatures import signature_list
from fer_features.backbones.weights_file import (
    USERBLOCK,
    WeightsFile,
    arrays_of,
    read_weights,
    userblock,
    write_weights,
)
from fer_features.cache import Cache
from fer_features.cli import app
from fer_features.config import ExtractConfig, FitConfig
from fer_features.data import Faces, open_faces, read_all
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.fit.data_record import provenance
from fer_features.fit.fit import fit_each
from fer_features.report.gather import gather
from fer_features.report.page import page
from fer_features.runs.compare import compare
from fer_features.runs.figures import write_figures
from fer_features.runs.schema import Provenance
from fer_features.runtime.image_keys import image_keys

UNKNOWN = "PROVENANCE UNKNOWN"
LEARNT = 10
"""Of the images of each class, those that the weights have learnt from."""


@pytest.fixture(scope="module")
def faces() -> Faces:
    """60 drawn faces, happy and sad ones by turns, no two of them twins."""
    whole = read_all(open_faces("sample"))
    _, first = np.unique(whole.sha256, return_index=True)
    happy, sad = (first[whole.emotion[first] == code][:30] for code in (3, 4))
    return read_all(open_faces("sample"), np.sort(np.concatenate([happy, sad])))


@pytest.fixture(scope="module")
def jpegs(faces: Faces, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of them as JPEG files twice as large."""
    folder = tmp_path_factory.mktemp("data") / "jpegs"
    for code, name in ((3, "happy"), (4, "sad")):
        (folder / name).mkdir(parents=True)
        for row in np.flatnonzero(faces.emotion == code):
            picture = Image.fromarray(faces.images[row]).resize((96, 96))
            picture.save(folder / name / f"{row:03}.jpg", quality=85)
    return folder


def write(path: Path, faces: Faces, *, signatures: bool) -> Path:
    """Weights that have learnt from the first images of each class."""
    rows = np.concatenate([np.flatnonzero(faces.emotion == code)[:LEARNT] for code in (3, 4)])
    content = WeightsFile(
        arrays_of(get_backbone("fernet").build(48).variables),
        {},
        np.unique(image_keys(faces.sha256[rows])),
        {},
        signature_list(faces.images[rows]) if signatures else None,
    )
    write_weights(path, content)
    return path


def config(data: Path, weights: Path, folder: Path) -> FitConfig:
    done = extract(
        ExtractConfig(
            data=str(data),
            backbone="fernet",
            weights=str(weights),
            engine="keras",
            precision="float32",
            outputs=("pooled",),
            per_class="all",
            task=str(two_classes(folder)),
            cache_dir=folder,
        )
    )
    return FitConfig(cache=done.cache, heads=("ridge",), runs_dir=folder / "runs")


def two_classes(folder: Path) -> Path:
    path = folder / "two.toml"
    path.write_text(
        'name = "two"\npositive = "happy"\n[classes]\nsad = ["sad"]\nhappy = ["happy"]\n'
    )
    return path


def test_copies_of_learnt_images_are_marked(faces: Faces, jpegs: Path, tmp_path: Path) -> None:
    weights = write(tmp_path / "some.h5", faces, signatures=True)
    requested = config(jpegs, weights, tmp_path)
    with Cache(requested.cache) as cache:  # type: ignore[arg-type]
        found = cache.seen()
    first = [1] * LEARNT + [0] * 20
    assert found.tolist() == [[one, one] for one in first + first]
    with pytest.raises(FerError, match="--allow-seen"):
        list(fit_each(requested))
    (one,) = fit_each(replace(requested, allow_seen=True))
    expected = Provenance(state="known", exact=0, copies=2 * LEARNT)
    assert one.record.data.provenance == expected
    assert one.record.marks == ["SEEN IMAGES"]


def test_a_file_with_hashes_alone_is_marked_in_every_output(
    faces: Faces, jpegs: Path, tmp_path: Path
) -> None:
    weights = write(tmp_path / "some.h5", faces, signatures=False)
    requested = config(jpegs, weights, tmp_path)
    (one,) = fit_each(requested)
    expected = Provenance(state="unknown", exact=0, copies=None)
    assert one.record.data.provenance == expected
    runs = ["--runs-dir", str(requested.runs_dir)]
    for arguments in (
        ["fit", str(requested.cache), "--head", "ridge", *runs],
        ["compare", *runs],
        ["compare", *runs, "--format", "markdown"],
        ["compare", *runs, "--format", "csv"],
        ["compare", *runs, "--json"],
    ):
        result = CliRunner().invoke(app, arguments)
        assert UNKNOWN in result.stdout, arguments
    assert UNKNOWN in page(gather([one], every_seed=False, log=print))


def test_what_is_known_of_weights() -> None:
    def state(weights: str, seen: list[list[int]] | None) -> tuple[object, ...]:
        marked = None if seen is None else np.array(seen, np.uint8)
        found = provenance(weights, marked)
        return found.state, found.exact, found.copies

    for weights in ("none", "imagenet", "random:0"):
        assert state(weights, None) == ("known", None, None)
    for weights in ("some.keras", "random.h5", "shipped"):
        assert state(weights, None) == ("unknown", None, None)
    assert state("some.h5", [[0], [0], [0]]) == ("unknown", 0, None)
    assert state("some.h5", [[1], [0], [1]]) == ("known", 2, None)
    assert state("some.h5", [[0, 0], [0, 0]]) == ("known", 0, 0)
    assert state("some.h5", [[1, 0], [1, 1], [1, 1], [0, 0]]) == ("known", 1, 2)


@pytest.mark.parametrize(
    ("weights", "seen", "unknown"),
    [
        ("imagenet", None, False),
        ("none", None, False),
        ("random:3", None, False),
        ("shipped", {"test": 0}, False),
        ("mine.h5", {"train": 0, "test": 0}, True),
        ("mine.h5", {"train": 5, "test": 0}, False),
        ("mine.keras", None, True),
    ],
)
def test_runs_of_older_versions(weights: str, seen: dict[str, int] | None, unknown: bool) -> None:
    assert run(weights=weights, seen=seen).record.provenance_unknown is unknown


def test_tables_mark_weights_of_unknown_provenance(tmp_path: Path) -> None:
    comparison = compare([run("svm", weights="mine.keras"), run("ridge", weights="random:0")])
    notes = [log for log in comparison.tables[0].notes if UNKNOWN in log]
    assert len(notes) == 1
    assert "mine.keras" in notes[0]
    assert UNKNOWN in comparison.to_markdown()
    assert any(UNKNOWN in log for log in comparison.to_dict()["tables"][0]["notes"])
    rows = {row["head"]: row["marks"] for row in csv.DictReader(io.StringIO(comparison.to_csv()))}
    assert (rows["svm"], rows["ridge"]) == (UNKNOWN, "RANDOM WEIGHTS")


def test_figures_mark_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []

    def keep(figure: Any, path: Path) -> Path:
        titles.append(figure.get_suptitle())
        return path

    monkeypatch.setattr("fer_features.runs.figures.save_figure", keep)
    write_figures(compare([run(weights="mine.keras")]).tables, tmp_path)
    write_figures(compare([run(weights="imagenet")]).tables, tmp_path)
    assert [UNKNOWN in title for title in titles] == [True, True, False, False]


def test_a_report_begins_with_it(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "runs", make_cache(tmp_path / "few.h5"))
    known, unknown = writer.write("svm"), writer.write("ridge", about={"weights": "mine.keras"})
    assert UNKNOWN not in page(gather([known], every_seed=False, log=print))
    text = page(gather([known, unknown], every_seed=False, log=print))
    assert text.index(UNKNOWN) < text.index("<h1>")


def test_files_of_format_1_are_still_read(faces: Faces, tmp_path: Path) -> None:
    path = write(tmp_path / "some.h5", faces, signatures=False)
    raw = path.read_bytes()[USERBLOCK:]
    path.write_bytes(userblock(raw, 1) + raw)
    assert read_weights(path).signatures is None
    seen = seen_images(Weights("file", path.name, "", path))
    assert seen is not None
    assert len(seen.keys) == 2 * LEARNT
    assert seen.marks(faces.images, faces.sha256).shape == (60, 1)


def test_an_image_that_is_the_same_is_no_copy(faces: Faces, tmp_path: Path) -> None:
    path = write(tmp_path / "some.h5", faces, signatures=True)
    seen = seen_images(Weights("file", path.name, "", path))
    assert seen is not None
    found = seen.marks(faces.images, faces.sha256)
    assert found.sum(axis=0).tolist() == [2 * LEARNT, 0]
