"""Images that weights have learnt from are never scored in silence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_examples import run
from typer.testing import CliRunner

from fer_features.backbones import BACKBONES, get_backbone
from fer_features.backbones.weights_file import WeightsFile, arrays_of, write_weights
from fer_features.cache import Cache
from fer_features.cli import app
from fer_features.config import ExtractConfig, FitConfig
from fer_features.data import open_faces, read_all
from fer_features.data.faces import pixel_sha256
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.fit.dataset import load_dataset
from fer_features.fit.fit import fit_each
from fer_features.fit.split import seen_by_part, settle_split, split_dataset
from fer_features.runs.compare import compare, unseen_only
from fer_features.runtime.image_keys import image_keys

FIT = FitConfig(heads=("ridge",))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that say that they have learnt from the sample's Training part without its twins."""
    path = tmp_path_factory.mktemp("weights") / "some.h5"
    faces = read_all(open_faces("sample"))
    held = set(faces.sha256[faces.usage > 0].tolist())
    seen = [one for one in faces.sha256[faces.usage == 0].tolist() if one not in held]
    network = get_backbone("fernet").build(48)
    keys = np.unique(image_keys(np.array(seen, "S64")))
    write_weights(path, WeightsFile(arrays_of(network.variables), {}, keys, {}))
    return path


@pytest.fixture(scope="module")
def config(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> FitConfig:
    done = extract(
        ExtractConfig(
            backbone="fernet",
            weights=str(weights),
            engine="keras",
            precision="float32",
            outputs=("pooled",),
            cache_dir=tmp_path_factory.mktemp("cache"),
        )
    )
    return replace(FIT, cache=done.cache)


def test_extraction_marks_each_row(config: FitConfig, weights: Path) -> None:
    with Cache(config.cache) as cache:  # type: ignore[arg-type]
        seen = cache.seen()[:, 0] > 0
        held = set(cache.rows.sha256[cache.rows.usage > 0].tolist())
        expected = [
            u == 0 and s not in held
            for u, s in zip(cache.rows.usage.tolist(), cache.rows.sha256.tolist(), strict=True)
        ]
        assert seen.tolist() == expected
        assert 0 < seen.sum() < len(seen)


def test_weights_without_a_record_mark_nothing(tmp_path: Path) -> None:
    done = extract(ExtractConfig(backbone="pixels", cache_dir=tmp_path))
    with Cache(done.cache) as cache:
        assert cache.seen() is None
        assert load_dataset(cache, FIT).seen is None


@pytest.mark.parametrize("split", ["grouped", "reference"])
def test_seen_images_are_not_scored(config: FitConfig, split: str) -> None:
    with Cache(config.cache) as cache:  # type: ignore[arg-type]
        dataset = load_dataset(cache, config)
        with pytest.raises(FerError, match=rf"{split}.* test part.*--allow-seen"):
            split_dataset(dataset, replace(config, split=split))
        allowed = replace(config, split=split, allow_seen=True)
        seen = seen_by_part(*split_dataset(dataset, allowed))
    assert seen is not None
    assert seen["validation"] > 0
    assert seen["test"] > 0


def test_usage_without_copies_is_chosen_and_logged(config: FitConfig) -> None:
    notes: list[str] = []
    with Cache(config.cache) as cache:  # type: ignore[arg-type]
        dataset = load_dataset(cache, config)
        settled = settle_split(config, dataset, log=notes.append)
        assert (settled.split, settled.drop) == ("usage", ("twins",))
        seen = seen_by_part(*split_dataset(dataset, settled))
        requested = replace(config, split="grouped")
        assert settle_split(requested, dataset) == requested
    assert "--split usage --drop twins" in notes[0]
    assert seen is not None
    assert (seen["validation"], seen["test"]) == (0, 0)
    assert seen["train"] > 0


def test_every_table_is_marked(config: FitConfig, tmp_path: Path) -> None:
    on_seen = replace(config, split="grouped", allow_seen=True, runs_dir=tmp_path / "runs")
    (one,) = fit_each(on_seen)
    assert "--allow-seen" in one.record.command
    (table,) = compare([one]).tables
    assert any("SEEN IMAGES" in note for note in table.notes)

    result = CliRunner().invoke(app, ["compare", "--runs-dir", str(tmp_path / "runs")])
    assert result.exit_code == 2
    assert "--allow-seen" in result.stderr
    arguments = ["compare", "--runs-dir", str(tmp_path / "runs"), "--allow-seen"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "SEEN IMAGES" in result.stdout


def test_a_comparison_leaves_such_runs_out() -> None:
    notes: list[str] = []
    clean = run("svm", seen={"train": 6, "validation": 0, "test": 0})
    on_seen = run("dense", seen={"train": 0, "validation": 1, "test": 1})
    assert unseen_only([clean, on_seen], log=notes.append) == [clean]
    assert "1 of 2 runs" in notes[0]
    with pytest.raises(FerError):
        unseen_only([on_seen], log=notes.append)


def test_weights_of_another_network_are_an_error(weights: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.h5"
    write_weights(
        wrong, WeightsFile({"a/kernel": np.ones(3, np.float16)}, {}, np.empty(0, "u8"), {})
    )
    config = ExtractConfig(
        backbone="fernet", weights=str(wrong), engine="keras", cache_dir=tmp_path
    )
    with pytest.raises(FerError, match=r"wrong\.h5.* fernet"):
        extract(config)
    with pytest.raises(FerError, match="inception_resnet_v2"):
        extract(replace(config, backbone="inception_resnet_v2", weights="shipped"))
    assert "fernet" in BACKBONES


@pytest.mark.parametrize("at", [0, 30, 100, 511, 512, 560, 1500, -5000, -50])
def test_a_damaged_file_is_never_read(weights: Path, tmp_path: Path, at: int) -> None:
    content = bytearray(weights.read_bytes())
    content[at] ^= 1
    broken = tmp_path / "broken.h5"
    broken.write_bytes(content)
    config = ExtractConfig(
        backbone="fernet", weights=str(broken), engine="keras", cache_dir=tmp_path
    )
    with pytest.raises(FerError):
        extract(config)
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(FerError):
        extract(config)


def test_a_cross_validation_scores_training_images_too(config: FitConfig, tmp_path: Path) -> None:
    requested = replace(config, cv=3, runs_dir=tmp_path / "runs")
    with pytest.raises(FerError, match=r" train part.*--allow-seen"):
        list(fit_each(requested))
    (one,) = fit_each(replace(requested, allow_seen=True))
    assert one.record.scored_seen > 0
    assert any("SEEN IMAGES" in note for note in compare([one]).tables[0].notes)
    (plain,) = fit_each(replace(requested, cv=0))
    assert plain.record.scored_seen == 0


def test_unseen_images_are_split_as_asked(tmp_path: Path) -> None:
    notes: list[str] = []
    done = extract(
        ExtractConfig(backbone="fernet", engine="keras", outputs=("pooled",), cache_dir=tmp_path)
    )
    with Cache(done.cache) as cache:
        requested = replace(FIT, cache=done.cache)
        dataset = load_dataset(cache, requested)
        assert settle_split(requested, dataset, log=notes.append) == requested
    assert notes == []


def test_a_registered_copy_of_a_learnt_image_counts_as_seen_and_is_left_out(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    images = rng.integers(0, 256, (18, 48, 48), dtype=np.uint8)
    images[17] = np.roll(images[0], (3, -2), axis=(0, 1))  # of PrivateTest, a copy of Training's
    images[11] = np.roll(images[16], (-2, 2), axis=(0, 1))  # of PublicTest, a copy of PrivateTest's
    lines = ["emotion,pixels,Usage"]
    for row, image in enumerate(images):
        part = ("Training", "PublicTest", "PrivateTest")[row // 6]
        lines.append(f"{(0, 3)[row % 2]},{' '.join(map(str, image.ravel()))},{part}")
    (tmp_path / "some.csv").write_text("\n".join(lines) + "\n")
    weights = tmp_path / "some.h5"
    network = get_backbone("fernet").build(48)
    learnt = image_keys(pixel_sha256(images[:6]))
    write_weights(weights, WeightsFile(arrays_of(network.variables), {}, np.unique(learnt), {}))
    requested = ExtractConfig(
        data=str(tmp_path / "some.csv"),
        backbone="fernet",
        weights=str(weights),
        engine="auto",
        outputs=("pooled",),
        cache_dir=tmp_path,
    )
    done = extract(requested, find_copies=True)
    with Cache(done.cache) as cache:
        dataset = load_dataset(cache, FIT)
        assert dataset.seen is not None
        assert np.flatnonzero(dataset.seen.own).tolist() == list(range(6))
        assert np.flatnonzero(dataset.seen.copy).tolist() == [17]
        with pytest.raises(FerError, match=r"\b1 of the test part.*--allow-seen"):
            split_dataset(dataset, replace(FIT, split="usage"))
        clean, clean_split = split_dataset(dataset, replace(FIT, split="usage", drop=("twins",)))
    hog = extract(replace(requested, backbone="hog", weights=None), find_copies=True)
    with Cache(hog.cache) as cache:
        dataset = load_dataset(cache, FIT)
        assert dataset.seen is None
        _, usual = split_dataset(dataset, replace(FIT, split="usage", drop=("twins",)))
        same, same_split = split_dataset(
            dataset, replace(FIT, split="usage", drop=("twins", "learnt"))
        )
    assert usual.test.tolist() == list(range(12, 18))
    for part in ("train", "validation", "test"):
        assert getattr(same_split, part).tolist() == getattr(clean_split, part).tolist()
    assert same.dropped == clean.dropped
    # training row 0 has a copy in the test part, validation row 11 too: both go as twins
    assert clean.dropped == {"twins": 2, "copies of learnt images": 1}
    assert clean_split.test.tolist() == list(range(12, 17))
    assert 11 not in clean_split.validation
    assert seen_by_part(clean, clean_split) == {"train": 5, "validation": 0, "test": 0}
