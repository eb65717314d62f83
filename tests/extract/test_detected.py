"""Faces found in photographs at extraction: once a picture, and cropped as `fer predict` does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from fer_features.cache import Cache
from fer_features.cli import app
from fer_features.config import ExtractConfig, FitConfig
from fer_features.detect import Detector, Face
from fer_features.errors import FerError
from fer_features.extract import detected
from fer_features.extract.extract import extract
from fer_features.extract.plan import plan_extraction
from fer_features.fit.dataset import load_dataset
from fer_features.fit.extract_command import extract_command
from fer_features.fit.fit import fit_each
from fer_features.model.decoding import Options
from fer_features.model.load import load_model
from fer_features.model.pictures import predict_pictures

ASTRONAUT: NDArray[np.uint8] = skimage.data.astronaut()
CAMERA: NDArray[np.uint8] = skimage.data.camera()


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the pictures in which faces are looked for."""
    shapes: list[tuple[int, ...]] = []

    class Counting(Detector):
        def iter_detect(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[list[Face]]:
            def counted() -> Iterator[NDArray[np.uint8]]:
                for one in pictures:
                    shapes.append(one.shape)
                    yield one

            return super().iter_detect(counted())

    monkeypatch.setattr(detected, "Detector", Counting)
    return shapes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photographs: five of one face, of which one lies on its side, and one of two faces."""
    pictures = {
        "train/happy/a.png": ASTRONAUT,
        "val/happy/b.jpg": ASTRONAUT[:, 40:],
        "test/happy/c.png": np.rot90(ASTRONAUT[:400, 60:400]),
        "train/sad/d.png": CAMERA,
        "val/sad/e.png": CAMERA[:, 30:],
        "test/sad/two.png": np.hstack([np.dstack([CAMERA] * 3), ASTRONAUT]),
    }
    return saved(tmp_path / "photos", pictures)


def saved(folder: Path, pictures: dict[str, NDArray[np.uint8]]) -> Path:
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / name)
    return folder


def with_bad(folder: Path) -> Path:
    """Adds a picture without a face, one of a small face, and one that cannot be read."""
    small = Image.fromarray(ASTRONAUT).resize((66, 66), Image.Resampling.BOX)
    wide = np.zeros((200, 200, 3), np.uint8)  # so small that it is doubled for the search
    wide[100:166, 100:166] = np.asarray(small)
    saved(
        folder,
        {"train/happy/no.png": np.zeros((300, 300), np.uint8), "train/happy/small.png": wide},
    )
    (folder / "train" / "sad" / "broken.png").write_bytes(b"no picture")
    return folder


def config(path: Path, **options: Any) -> ExtractConfig:
    cache_dir = path.parent / "cache"
    common: dict[str, Any] = {"backbone": "pixels", "per_class": "all", "cache_dir": cache_dir}
    return ExtractConfig(str(path), detect=True, **{**common, **options})


def images(cache: Path) -> NDArray[np.uint8]:
    with Cache(cache) as opened:
        return opened.images(np.arange(len(opened)))


def test_whole_photographs_that_are_read_as_faces_are_noted_once(folder: Path) -> None:
    told: list[str] = []
    done = extract(replace(config(folder), detect=False), log=told.append)
    (note,) = done.notes
    assert note.startswith("pictures (the largest 1024×512 pixels) are each squashed whole to 48")
    assert told.count(f"note: {note}") == 1


def test_a_cache_holds_the_crops_that_predict_sees(
    folder: Path, searched: list[tuple[int, ...]]
) -> None:
    small = (skimage.data.lfw_subset()[:4] * 255).astype(np.uint8)
    people = [np.pad(np.kron(one, np.ones((8, 8), np.uint8)), 40, mode="edge") for one in small]
    names = ("happy/g.png", "happy/h.png", "sad/i.png", "sad/j.png")
    saved(folder / "train", dict(zip(names, people, strict=True)))
    done = extract(config(folder), find_copies=True)
    assert len(searched) == 10
    assert done.notes == ("pictures with more than one face, of which the largest is taken: 1",)
    fit = FitConfig(done.cache, heads=("logreg",), split="usage", runs_dir=folder.parent / "runs")
    (run,) = fit_each(fit)
    model = load_model(run)
    seen: list[NDArray[np.uint8]] = []
    answer = type(model).probabilities

    class Watched:
        name, classes, uncertain_below = model.name, model.classes, model.uncertain_below
        crop = model.crop
        labels = staticmethod(model.labels)

        def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
            seen.extend(crops)
            return answer(model, crops)

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    answers = list(predict_pictures(Watched(), files, options=Options(largest=True)))
    assert [row.status for one in answers for row in one.rows] == ["ok"] * 10
    assert (images(done.cache) == np.stack(seen)).all()


def test_faces_are_looked_for_once_whatever_the_backbone(
    folder: Path, searched: list[tuple[int, ...]]
) -> None:
    first = extract(config(folder))
    assert first.computed == 5  # two crops are identical
    assert extract(config(folder)).reused
    other = extract(config(folder, backbone="hog", per_class=None))
    assert other.computed == 5
    assert (images(other.cache) == images(first.cache)).all()
    assert len(searched) == 6


def test_it_is_another_data_set_and_says_how_faces_were_found(
    folder: Path, searched: list[tuple[int, ...]]
) -> None:
    found = extract(config(folder)).cache
    whole = plan_extraction(ExtractConfig(str(folder), backbone="pixels", cache_dir=found.parent))
    assert whole.path != found
    with Cache(found) as cache:
        command = extract_command(load_dataset(cache, FitConfig(found)), ["pixels"], "pooled")
    assert command.startswith("fer extract photos --backbone pixels")
    assert "--detect" in command.split()
    printed = CliRunner().invoke(app, ["cache", "info", str(found), "--json"])
    dataset = json.loads(printed.stdout)["dataset"]
    assert len(dataset.pop("detector_sha256")) == len(dataset.pop("sha256")) == 64
    assert dataset == {
        "name": "photos",
        "detector": "retinaface",
        "min_score": 0.7,
        "crop": "retinaface-height-1",
        "face": "largest",
        "least_px": 20,
    }


def test_pictures_without_a_usable_face_are_errors_or_are_left_out(
    folder: Path, searched: list[tuple[int, ...]]
) -> None:
    with_bad(folder)
    with pytest.raises(FerError, match=r"train/happy/no\.png \(row 3\): no face") as caught:
        extract(config(folder))
    assert "--skip-bad" in caught.value.hint
    done = extract(config(folder, skip_bad=True))
    assert done.rows == 6
    assert [(one.row, one.reason) for one in done.bad] == [
        (3, "train/happy/no.png: no face was found"),
        (4, "train/happy/small.png: its largest face has less than 20 px"),
        (5, "train/sad/broken.png: it is no picture of a known type"),
    ]
    assert done.notes[-1] == (
        "pictures left out (--skip-bad): no face 1, largest face of less than 20 px 1, unreadable 1"
    )
    with pytest.raises(FerError, match="no face"):
        extract(config(folder))  # all are known now; the error stays


def test_an_interrupted_or_damaged_search_resumes(
    folder: Path, searched: list[tuple[int, ...]]
) -> None:
    expected = images(extract(config(folder)).cache)
    (path,) = (folder.parent / "cache").glob("faces-*.bin")
    content = path.read_bytes()
    size = detected.RECORD.itemsize
    assert len(content) == 6 * size
    broken = bytearray(content)
    broken[4 * size + 1000] ^= 1
    for left, missing in ((content[: 2 * size + 9], 4), (bytes(broken), 2), (b"", 6)):
        searched.clear()
        path.write_bytes(left)
        found = extract(config(folder, backbone="hog", compression="gzip"))
        assert len(searched) == missing
        assert path.read_bytes() == content
    assert (images(found.cache) == expected).all()


def test_parquet_gives_the_same_crops(folder: Path, tmp_path: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    table = {
        "image": [path.read_bytes() for path in paths],
        "label": [path.parent.name for path in paths],
        "split": [path.parent.parent.name for path in paths],
    }
    pq.write_table(pa.table(table), tmp_path / "photos.parquet", row_group_size=4)
    of_folder, of_parquet = (
        extract(config(path)).cache for path in (folder, tmp_path / "photos.parquet")
    )
    assert (images(of_folder) == images(of_parquet)).all()
    with Cache(of_folder) as one, Cache(of_parquet) as other:
        assert (one.rows.emotion == other.rows.emotion).all()
        assert (one.rows.usage == other.rows.usage).all()


def test_faces_that_are_cut_out_already_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="cut out already") as caught:
        extract(ExtractConfig("sample", backbone="pixels", detect=True, cache_dir=tmp_path))
    assert "leave --detect out" in caught.value.hint
