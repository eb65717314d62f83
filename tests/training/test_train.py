"""Stage 0 on the drawn sample: small trainings, but whole ones."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_features.backbones import get_backbone
from fer_features.backbones.signatures import signature_list
from fer_features.backbones.weights_file import WeightsFile, read_weights, write_weights
from fer_features.config import TrainConfig
from fer_features.data import open_faces, read_all
from fer_features.data.tasks import BINARY, SEVEN
from fer_features.errors import FerError
from fer_features.metrics import score
from fer_features.runtime.image_keys import image_keys, seen_by
from fer_features.training.checkpoint import checkpoint_path
from fer_features.training.data import load_training_data
from fer_features.training.predict import model_of, probabilities
from fer_features.training.recipe import options_of, settled
from fer_features.training.run import train
from fer_features.training.trainer import make_trainer
from tests.training.interrupting import stop_in_epoch

SMALL = TrainConfig(task="binary", epochs=3, batch_size=64, precision="float32")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrain") / "small.h5"
    return train(replace(SMALL, out=out)).path


@pytest.mark.long
def test_a_killed_training_resumes_to_the_same_weights(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed.h5"
    config = replace(SMALL, out=out)
    log: list[str] = []
    for number in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(config, progress=stop_in_epoch(number))
        assert checkpoint_path(out).exists()
        assert not out.exists()
    train(config, log=log.append)
    assert [line[:12] for line in log if line.startswith("epoch")] == ["epoch 3 of 3"]
    assert not checkpoint_path(out).exists()
    once, twice = read_weights(made), read_weights(out)
    assert once.provenance["history"] == twice.provenance["history"]
    for name, array in once.network.items():
        np.testing.assert_array_equal(twice.network[name], array)


@pytest.mark.long
def test_another_seed_gives_other_weights(made: Path, tmp_path: Path) -> None:
    other = read_weights(train(replace(SMALL, out=tmp_path / "other.h5", seed=1)).path)
    name = "block_6_2_convolution/kernel"
    assert (other.network[name] != read_weights(made).network[name]).any()


@pytest.mark.long
def test_the_images_learnt_from_are_recorded_and_no_others(made: Path) -> None:
    content = read_weights(made)
    source = open_faces("sample")
    data = load_training_data(source, BINARY, seed=0)
    faces = read_all(source)
    seen = seen_by(content.seen, faces.sha256)
    assert set(faces.sha256[seen].tolist()) == set(data.sha256[data.split.train].tolist())
    held = np.concatenate([data.split.validation, data.split.test])
    assert not seen_by(content.seen, data.sha256[held]).any()
    assert content.provenance["data"]["seen"] == len(content.seen)
    expected = signature_list(data.images[data.split.train])
    np.testing.assert_array_equal(content.signatures, expected)


@pytest.mark.long
def test_its_provenance(made: Path) -> None:
    provenance = read_weights(made).provenance
    assert provenance["command"] == (
        "fer train sample --task binary --epochs 3 --batch-size 64 --precision float32"
    )
    assert provenance["data"]["sha256"] == open_faces("sample").digest()
    assert set(provenance["history"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(provenance["history"]["loss"]) == 3
    assert set(provenance["scores"]) == {"validation"}
    assert made.with_suffix(".curves.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.long
def test_the_test_part_is_scored_only_when_asked_for(made: Path) -> None:
    before = read_weights(made)
    done = train(replace(SMALL, out=made, test=True))
    assert done.provenance["scores"]["test"]["n"] == done.provenance["data"]["test"]
    after = read_weights(made)
    assert after.provenance["scores"] == done.provenance["scores"]
    np.testing.assert_array_equal(after.top["kernel"], before.top["kernel"])
    assert train(replace(SMALL, out=made, test=True)).found


@pytest.mark.long
def test_the_file_alone_gives_its_recorded_scores(made: Path, tmp_path: Path) -> None:
    """What the learner scores at its end and what a network of the file's arrays does is one."""
    copy = tmp_path / "copy.h5"
    copy.write_bytes(made.read_bytes())
    data = load_training_data(open_faces("sample"), BINARY, seed=0)
    model = model_of(get_backbone("fernet"), read_weights(copy))
    predicted = probabilities(model, data.images[data.split.validation], classes=2)
    again = score(
        data.label[data.split.validation], predicted, classes=BINARY.class_names, positive="happy"
    )
    recorded = read_weights(made).provenance["scores"]["validation"]
    assert again.accuracy == recorded["accuracy"]
    assert again.log_loss == pytest.approx(recorded["log_loss"], abs=1e-4)


@pytest.mark.long
def test_the_votes_are_learnt_beside_the_labels(tmp_path: Path) -> None:
    from fer_features.config import USAGES
    from fer_features.data.ferplus import COLUMNS

    index = open_faces("sample").index()
    order = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    lines = [f"Usage,Image name,{','.join(COLUMNS)}"]
    for emotion, usage in zip(index.emotion.tolist(), index.usage.tolist(), strict=True):
        votes = [10 if name == order[emotion] else 0 for name in COLUMNS]
        lines.append(f"{USAGES[usage]},,{','.join(map(str, votes))}")
    votes_file = tmp_path / "votes.csv"
    votes_file.write_text("\n".join(lines) + "\n")
    data = load_training_data(open_faces("sample"), BINARY, ferplus=votes_file, seed=0)
    assert data.votes is not None
    np.testing.assert_allclose(data.votes.sum(axis=1), 1)
    config = replace(SMALL, out=tmp_path / "votes.h5", ferplus=votes_file, epochs=1)
    content = read_weights(train(config).path)
    assert content.top["kernel"].shape == (192, 2 + 10)
    assert content.provenance["scores"]["validation"]["classes"] == ["not happy", "happy"]


def test_a_folder_of_train_and_test_is_never_learnt_from_its_test_part(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    for part, n in (("train", 12), ("test", 4)):
        for emotion in ("happy", "sad"):
            folder = tmp_path / "data" / part / emotion
            folder.mkdir(parents=True)
            for number in range(n):
                pixels = rng.integers(0, 256, (48, 48), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    source = open_faces(tmp_path / "data")
    data = load_training_data(source, BINARY, seed=0, cache_dir=tmp_path)
    usage = source.index().usage
    assert data.split.name == "usage"
    assert set(usage[data.split.train]) == set(usage[data.split.validation]) == {0}
    assert set(usage[data.split.test]) == {2}
    assert [len(data.split.train), len(data.split.validation), len(data.split.test)] == [18, 6, 8]


def test_parts_that_lack_a_class_are_drawn_anew() -> None:
    data = load_training_data(open_faces("sample"), SEVEN, seed=0)
    assert data.split.name == "grouped"
    for part in (data.split.train, data.split.validation, data.split.test):
        assert len(np.unique(data.label[part])) == 7


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epochs": 0}, "--epochs"),
        ({"epochs": 10**400}, "--epochs"),
        ({"seed": 2**32}, "--seed 4294967296"),
        ({"weight_decay": float("nan")}, "--weight-decay"),
        ({"votes_weight": -1.0}, "--votes-weight"),
        ({"out": Path("folder.h5")}, "folder.h5"),
        ({"warm_up": 1.0}, "--warm-up"),
        ({"out": Path("weights.txt")}, "weights.txt"),
        ({"out": Path("nowhere/weights.h5")}, "nowhere"),
        ({"precision": "int8"}, "int8"),
        ({"backbone": "hog"}, "hog is no network"),
        ({"tail_from": "block_3"}, "block_3"),
        ({"start": "imagenet"}, "ImageNet"),
        ({"balance": 2.0}, "--balance"),
        ({"batch_size": 1000}, r"\b1000\b"),
        pytest.param({"learning_rate": 1e30}, "diverged", marks=pytest.mark.long),
    ],
)
def test_a_mistake_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(FerError, match=named):
        train(replace(SMALL, **change))
    assert [one.name for one in tmp_path.glob("*.h5")] == ["folder.h5"]


@pytest.mark.parametrize("trouble", ["read-only", "full"])
def test_where_nothing_can_be_written_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("fer_features.training.run.open_source", None)  # not to be called
    if trouble == "full":
        monkeypatch.setattr("fer_features.cache.folder.free_bytes", lambda folder: 10**6)
    else:
        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(FerError, match=r"Read-only|\b1 MB"):
        train(replace(SMALL, out=tmp_path / "weights.h5"))


def test_a_file_of_another_training_is_refused_before_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.h5"
    config = replace(SMALL, out=out)
    late = {"data": "0" * 64, "precision": "float32", "backend": "tensorflow"}
    identity = json.loads(json.dumps(options_of(settled(config)) | late))
    write_weights(out, WeightsFile({}, {}, np.empty(0, np.uint64), {"identity": identity}))
    monkeypatch.setattr("fer_features.training.run.open_source", None)  # not to be called
    with pytest.raises(FerError, match="another training: its seed is 0, not 5"):
        train(replace(config, seed=5))
    with pytest.raises(TypeError):  # the same options: only the data can tell
        train(config)


def test_two_checkpoints_must_fit_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of fernet_wide: weights, momentum, averages and a best epoch's, of 4 bytes each."""
    free = 100_000_000
    monkeypatch.setattr("fer_features.cache.folder.free_bytes", lambda folder: free)
    with pytest.raises(FerError, match="about 202 MB are needed, 100 MB are free"):
        train(replace(SMALL, backbone="fernet_wide", out=tmp_path / "weights.h5"))
    assert not list(tmp_path.iterdir())


def test_photographs_are_noted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("happy", "sad"):
        (tmp_path / name).mkdir()
        for number in range(3):
            grey = rng.integers(0, 256, (300, 400), np.uint8)
            Image.fromarray(grey).save(tmp_path / name / f"{number}.png")
    log: list[str] = []
    with pytest.raises(FerError):  # six are too few
        train(replace(SMALL, data=str(tmp_path), out=tmp_path / "w.h5"), log=log.append)
    assert any("400×300" in line and "fer extract --detect" in line for line in log)


@pytest.mark.long
def test_a_file_of_another_training_is_not_overwritten(made: Path, tmp_path: Path) -> None:
    before = made.read_bytes()
    with pytest.raises(FerError, match=re.escape(str(made))) as caught:
        train(replace(SMALL, out=made, seed=5))
    assert "its seed is 0, not 5" in str(caught.value)
    with pytest.raises(FerError, match=r"its mixup is the default, not 0\.3"):
        train(replace(SMALL, out=made, mixup=0.3))
    assert made.read_bytes() == before

    out = tmp_path / "begun.h5"
    with pytest.raises(KeyboardInterrupt):
        train(replace(SMALL, out=out), progress=stop_in_epoch(2))
    with pytest.raises(FerError, match=r"seed .*\b0\b.*\b5\b"):
        train(replace(SMALL, out=out, seed=5))
    checkpoint_path(out).write_bytes(b"no archive")
    with pytest.raises(FerError, match=re.escape(checkpoint_path(out).name)):
        train(replace(SMALL, out=out))


def test_keys_are_the_first_64_bits() -> None:
    sha = np.array([b"00000000000000ff" + b"a" * 48, b"f" * 64], "S64")
    assert image_keys(sha).tolist() == [255, 2**64 - 1]


@pytest.mark.long
def test_training_does_not_continue_from_the_averages(tmp_path: Path) -> None:
    """Keras puts them in the weights' place at the end of each `fit`, and an epoch is one."""
    config = replace(SMALL, out=tmp_path / "begun.h5")
    with pytest.raises(KeyboardInterrupt):
        train(config, progress=stop_in_epoch(2))
    trainer = make_trainer(settled(config), outputs=2, classes=2, steps=1, precision="float32")
    with np.load(checkpoint_path(config.out)) as file:
        for number, variable in enumerate(trainer.variables):
            variable.assign(file[f"v{number}"])
    before = np.asarray(trainer.top.kernel).copy()
    trainer.model.optimizer.put_averages(trainer.model.trainable_variables)
    assert np.abs(np.asarray(trainer.top.kernel) - before).max() > 1e-3


@pytest.mark.long
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_backend_trains_in_quiet(made: Path, tmp_path: Path, backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    small = ["--task", "binary", "--epochs", "1", "--batch-size", "64", "--precision", "float32"]
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "fer_features", "train", *small, "--out", "other.h5"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    allowed = ("reading sample", "330 images to learn from", "epoch 1 of 1")
    assert all(line.startswith(allowed) for line in done.stderr.splitlines()), done.stderr
    content, known = read_weights(tmp_path / "other.h5"), read_weights(made)
    assert content.provenance["software"]["backend"] == backend
    assert content.seen.tolist() == known.seen.tolist()
    assert set(content.network) == set(known.network)
