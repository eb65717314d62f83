from dataclasses import replace

import numpy as np
import pytest

from fer_features.runtime.keras_runtime import import_keras
from fer_features.training.augment import DRAWS, Augmentation

STILL = Augmentation(degrees=0, scale=0, shift=0, contrast=0, light=0, hole=0, mirror=0)
N = 8


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (N, 48, 48, 1)).astype(np.float32)


def changed(images: np.ndarray, augmentation: Augmentation, **numbers: float) -> np.ndarray:
    """Images changed by draws of 0.5, except for the columns that are given."""
    draws = np.full((len(images), DRAWS), 0.5, np.float32)
    for name, value in numbers.items():
        draws[:, int(name.removeprefix("draw_"))] = value
    return import_keras().ops.convert_to_numpy(augmentation(images, draws))


def test_nothing_is_changed_where_nothing_may_be(images: np.ndarray) -> None:
    np.testing.assert_allclose(changed(images, STILL), images, atol=1e-3)


def test_a_mirror_exchanges_left_and_right(images: np.ndarray) -> None:
    mirrored = changed(images, replace(STILL, mirror=1.0))
    np.testing.assert_allclose(mirrored, images[:, :, ::-1], atol=1e-2)


def test_a_shift_moves_all_pixels(images: np.ndarray) -> None:
    moved = changed(images, replace(STILL, shift=0.125), draw_3=1.0)  # 6 of 48 pixels
    np.testing.assert_allclose(moved[:, :, :42], images[:, :, 6:], atol=1e-2)


def test_a_quarter_turn_is_a_quarter_turn(images: np.ndarray) -> None:
    turned = changed(images, replace(STILL, degrees=90), draw_0=1.0)
    np.testing.assert_allclose(turned, np.rot90(images, axes=(1, 2)), atol=1e-1)


def test_enlarging_keeps_the_middle(images: np.ndarray) -> None:
    smooth = np.broadcast_to(np.arange(48, dtype=np.float32)[:, None, None], (1, 48, 48, 1))
    larger = changed(smooth, replace(STILL, scale=0.25), draw_1=1.0)
    assert larger[0, 23:25, 20, 0].mean() == pytest.approx(23.5, abs=1e-3)
    assert larger[0, 47, 20, 0] - larger[0, 0, 20, 0] == pytest.approx(47 / 1.25, abs=1e-2)


def test_light_and_contrast(images: np.ndarray) -> None:
    lit = changed(images, replace(STILL, light=0.1), draw_6=1.0)
    np.testing.assert_allclose(lit, images + 25.5, atol=1e-2)
    flat = changed(images, replace(STILL, contrast=1.0), draw_5=0.0)
    np.testing.assert_allclose(
        flat, np.broadcast_to(images.mean((1, 2, 3), keepdims=True), images.shape), atol=1e-2
    )


def test_a_hole_is_painted_with_the_mean(images: np.ndarray) -> None:
    holed = changed(images, replace(STILL, hole=14))
    differs = ~np.isclose(holed, images, atol=1e-2)[0, :, :, 0]
    inside = np.zeros((48, 48), bool)
    inside[18:31, 18:31] = True  # 13 whole pixels lie less than 7 from the middle, 24
    assert not differs[~inside].any()
    np.testing.assert_allclose(holed[:, 20, 20, 0], images.mean((1, 2, 3)), rtol=1e-4)


def test_the_draws_decide_alone(images: np.ndarray, rng: np.random.Generator) -> None:
    keras = import_keras()
    draws = rng.random((N, DRAWS), dtype=np.float32)
    whole = keras.ops.convert_to_numpy(Augmentation()(images, draws))
    one = keras.ops.convert_to_numpy(Augmentation()(images[2:3], draws[2:3]))
    np.testing.assert_allclose(one[0], whole[2], atol=1e-3)
    assert not np.allclose(whole, images, atol=1)
