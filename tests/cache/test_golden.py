"""Caches that earlier versions wrote, and one of this: read, verified, extended and fitted on.

Each folder of ``tests/golden`` holds caches of the drawn sample in one format: grey levels of 6
images, and pooled features of 24 by a network whose weights say that they were trained on the
sample's first 200. Format 2 also has one without images, and a journal.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from fer_features.cache import Cache, verify
from fer_features.cli import app
from fer_features.config import ExtractConfig
from fer_features.data import open_faces, read_all
from fer_features.errors import FerError
from fer_features.extract.extract import extract

GOLDEN = Path(__file__).parents[1] / "golden"
PIXELS = "sample-pixels-809cc21514b3b5ee.h5"
FORMATS = ("v2", "v3")


def config(folder: Path, **changes: object) -> ExtractConfig:
    settings = {"backbone": "pixels", "per_class": 3, "outputs": ("pooled",), "cache_dir": folder}
    return ExtractConfig(**(settings | changes))


def content(path: Path) -> list[object]:
    """All that a reader gets out of a cache, but for what wrote it."""
    with Cache(path) as cache:
        columns = [cache.gather(name, np.arange(len(cache))).tobytes() for name in cache.columns]
        rows = [array.tobytes() for array in vars(cache.rows).values()]
        selections = [(one.to_dict(), one.rows.tolist()) for one in cache.selections]
        return [list(cache.columns), columns, rows, selections, cache.header, cache.complete]


@pytest.mark.parametrize("name", FORMATS)
def test_every_byte_is_as_it_was_written(name: str) -> None:
    files = sorted((GOLDEN / name).rglob("*.h5"))
    assert len(files) >= 2
    for path in files:
        assert verify(path) == path.stat().st_size
        with h5py.File(path) as file:
            assert f"v{file.attrs['format_version']}" == name


@pytest.mark.parametrize("name", FORMATS)
def test_its_values_labels_and_images_are_the_samples(name: str) -> None:
    with Cache(GOLDEN / name / PIXELS) as cache:
        faces = read_all(open_faces("sample"), cache.rows.source_row)
        assert cache.features == ("pixels/pooled",)
        assert cache.selection().features == ("pixels/pooled",)
        assert cache.complete
        assert (cache.rows.emotion == faces.emotion).all()
        assert (cache.rows.usage == faces.usage).all()
        assert (cache.rows.sha256 == faces.sha256).all()
        assert (cache.images() == faces.images).all()
        assert (cache.images(np.array([1, 4])) == faces.images[[1, 4]]).all()
        assert cache.seen() is None
        assert cache.read("pixels", "pooled").shape == (6, 48 * 48)


@pytest.mark.parametrize("name", FORMATS)
def test_it_knows_which_images_its_weights_were_trained_on(name: str) -> None:
    (path,) = (GOLDEN / name).glob("sample-fernet-*.h5")
    with Cache(path) as cache:
        seen = cache.seen()
        assert seen is not None
        assert seen.shape == (24, 2)
        trained = np.isin(cache.rows.sha256, read_all(open_faces("sample")).sha256[:200])
        assert 0 < trained.sum() < 24
        assert (seen[trained] == [1, 0]).all()
        assert (cache.images().sum(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_command_finds_it_and_changes_nothing(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(GOLDEN / name / PIXELS, tmp_path))
    before = path.read_bytes()
    done = extract(config(tmp_path))
    assert (done.cache, done.reused, done.found) == (path, True, 6)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_extended_as_format_3_and_nothing_is_computed_again(
    name: str, tmp_path: Path
) -> None:
    more = {"views": ("flip",), "outputs": ("pooled", "map")}
    path = Path(shutil.copy(GOLDEN / name / PIXELS, tmp_path))
    with Cache(path) as cache:
        before = cache.read("pixels", "pooled")
    done = extract(config(tmp_path, **more))
    assert done.computed == 2 * 6  # map of the images, both outputs of the mirrored ones
    assert verify(done.cache)
    with h5py.File(path) as file:
        assert file.attrs["format_version"] == 3
        assert file["rows/image"].fletcher32
        assert (file["features/pixels/pooled"][:] == before).all()
    fresh = extract(config(tmp_path / "fresh", **more)).cache
    assert content(fresh) == content(path)


def test_images_that_a_cache_lacks_are_added_without_the_network(tmp_path: Path) -> None:
    path = Path(shutil.copy(GOLDEN / "v2" / "no-images" / PIXELS, tmp_path))
    with Cache(path) as cache, pytest.raises(FerError, match=" images"):
        cache.images()
    done = extract(config(tmp_path))
    assert (done.engine, done.computed, done.found) == ("no network", 0, 0)
    assert content(path) == content(GOLDEN / "v2" / PIXELS)


def test_a_journal_of_format_1_is_an_error_that_keeps_it(tmp_path: Path) -> None:
    path = Path(shutil.copy(GOLDEN / "v2" / "journal" / f"{PIXELS}.part", tmp_path))
    before = path.read_bytes()
    with pytest.raises(FerError, match=r" 1\b") as caught:
        extract(config(tmp_path))
    assert str(path) in caught.value.message
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", FORMATS)
def test_heads_are_fitted_on_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(GOLDEN / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (path,) = (tmp_path / name).glob("sample-fernet-*.h5")
    args = ["fit", str(path), "--head", "logreg", "--split", "grouped"]
    args += ["--allow-seen", "--json"]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    (run,) = json.loads(result.stdout)["runs"]
    assert 0 <= run["test"]["accuracy"] <= 1
