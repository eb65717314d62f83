"""Blended images, the strength of augmentation, the epoch that is kept, and teachers' answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from fer_features.backbones import Backbone
from fer_features.backbones.weights_file import read_weights
from fer_features.config import TrainConfig
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import import_keras
from fer_features.training.augment import BLEND, DRAWS, IMAGES, blend
from fer_features.training.predict import model_of
from fer_features.training.recipe import check, settled
from fer_features.training.run import train
from fer_features.training.trainer import batches, make_trainer
from tests.training.interrupting import stop_in_epoch

SMALL = TrainConfig(backbone="tiny", start="random:0", task="binary", precision="float32")
N = 8


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (N, 48, 48)).astype(np.uint8)


@pytest.fixture
def draws(rng: np.random.Generator) -> np.ndarray:
    return rng.random((N, DRAWS), dtype=np.float32)


def trainer_of(config: TrainConfig, **options: Any) -> Any:
    return make_trainer(
        settled(config), outputs=2, classes=2, steps=1, precision="float32", **options
    )


def test_an_image_and_its_label_are_blended_with_the_same_other(images: np.ndarray) -> None:
    targets = np.eye(N, dtype=np.float32)

    def batch(mixup: float) -> Any:
        found = batches((images,), np.arange(N), targets, size=N, seed=3, epoch=1, mixup=mixup)
        return found[0]

    (same, draws), wanted = batch(0.3)
    (plain, without), labels = batch(0.0)
    np.testing.assert_array_equal(same, plain)
    np.testing.assert_array_equal(draws[:, :BLEND], without[:, :BLEND])
    share = draws[:, BLEND:]
    assert len(np.unique(share)) == N
    np.testing.assert_allclose(wanted, share * labels + (1 - share) * labels[::-1])
    assert (without[:, BLEND] == 1).all()


def test_images_are_blended_after_their_augmentation(
    tiny: Backbone, images: np.ndarray, draws: np.ndarray
) -> None:
    student = trainer_of(replace(SMALL, mixup=0.3, dropout=0.0)).student

    def logits(images: np.ndarray, draws: np.ndarray, share: float) -> np.ndarray:
        draws = draws.copy()
        draws[:, BLEND] = share
        found = student([images, draws], training=True)
        return np.asarray(import_keras().ops.convert_to_numpy(found))

    own, other = logits(images, draws, 1), logits(images, draws, 0)
    np.testing.assert_allclose(other, logits(images[::-1], draws[::-1], 1), rtol=1e-4, atol=1e-5)
    assert np.abs(own - other).max() > 1e-3
    np.testing.assert_allclose(blend(own, other, 0.25), 0.25 * own + 0.75 * other)


def test_the_strength_of_augmentation_leaves_mirror_and_hole() -> None:
    double, none = IMAGES.times(2), IMAGES.times(0)
    assert (double.degrees, double.shift) == (2 * IMAGES.degrees, 2 * IMAGES.shift)
    assert (none.scale, none.light, none.contrast) == (0, 0, 0)
    assert (none.hole, none.mirror) == (IMAGES.hole, IMAGES.mirror)


def test_the_best_epoch_is_kept_through_an_interruption(tiny: Backbone, tmp_path: Path) -> None:
    noisy = replace(SMALL, epochs=4, learning_rate=0.5, average=0.0, dropout=0.0, keep="best")
    told: list[str] = []
    whole = train(replace(noisy, out=tmp_path / "whole.h5"), log=told.append)
    losses = whole.provenance["history"]["val_loss"]
    assert losses[-1] > min(losses) * 1.01, losses
    assert told[-1].startswith(f"kept: the weights of epoch {np.argmin(losses) + 1},")
    kept = whole.provenance["scores"]["validation"]["log_loss"]
    assert kept == pytest.approx(min(losses), rel=5e-3)
    with pytest.raises(KeyboardInterrupt):
        train(replace(noisy, out=tmp_path / "killed.h5"), progress=stop_in_epoch(4))
    resumed = read_weights(train(replace(noisy, out=tmp_path / "killed.h5")).path)
    for name, array in read_weights(whole.path).network.items():
        np.testing.assert_array_equal(resumed.network[name], array)


def test_teachers_see_what_the_student_sees(
    tiny: Backbone, images: np.ndarray, draws: np.ndarray, tmp_path: Path
) -> None:
    config = replace(SMALL, epochs=1, dropout=0.0)
    teachers = [
        read_weights(train(replace(config, seed=seed, out=tmp_path / f"{seed}.h5")).path)
        for seed in (0, 3)
    ]
    trainer = trainer_of(replace(config, teacher_weight=0.25), teachers=teachers)
    assert len(trainer.model.trainable_variables) == len(trainer.student.trainable_variables)
    to_numpy = import_keras().ops.convert_to_numpy
    found = to_numpy(trainer.model([images, draws], training=False))
    np.testing.assert_allclose(found[:, :2], to_numpy(trainer.logits(images)), atol=1e-5)
    each = [softmax(to_numpy(model_of(tiny, one)(images)), axis=1) for one in teachers]
    np.testing.assert_allclose(found[:, 2:], np.mean(each, axis=0), atol=1e-5)
    augmented = to_numpy(trainer.model([images, draws], training=True))
    assert np.abs(augmented[:, 2:] - found[:, 2:]).max() > 1e-3

    twice = 2 * np.eye(2, dtype=np.float32)[[0, 1] * (N // 2)]  # a weight of 2, as --balance gives
    wanted = 0.75 * twice + 0.25 * 2 * found[:, 2:]
    expected = -(wanted * np.log(softmax(found[:, :2], axis=1))).sum(axis=1)
    loss = trainer.model.loss(import_keras().ops.convert_to_tensor(twice), found)
    np.testing.assert_allclose(to_numpy(loss), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "change", [{"teacher_weight": 0.3}, {"votes_weight": 0.2}, {"data": "none.h5", "augment": 1.2}]
)
def test_an_option_that_would_change_nothing_is_refused(
    tiny: Backbone, change: dict[str, Any]
) -> None:
    name = list(change)[-1].replace("_", "-")
    with pytest.raises(FerError, match=f"--{name} changes nothing"):
        check(replace(settled(SMALL), **change))
