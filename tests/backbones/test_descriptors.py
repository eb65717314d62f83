"""Classical descriptors: what they compute, and how they become caches like any network's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.feature import hog as skimage_hog
from skimage.feature import local_binary_pattern

from fer_features.backbones import get_backbone
from fer_features.backbones.descriptors import (
    HOG,
    Lbp,
    Pixels,
    binary_patterns,
    describe,
    pattern_codes,
    recipes_sha256,
)
from fer_features.backbones.hog import Hog, cell_shares, gradients, normalize, vote
from fer_features.cache import Cache
from fer_features.config import ExtractConfig
from fer_features.data import open_faces, read_all
from fer_features.engines import make_engine
from fer_features.engines.descriptor_engine import DescriptorEngine
from fer_features.engines.engine import GraphSpec
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.extract.plan import plan_extraction


def some_faces(n: int) -> NDArray[np.uint8]:
    source = open_faces("sample")
    return read_all(source, source.index().row[:n]).images


@pytest.fixture
def faces() -> np.ndarray:
    return read_all(open_faces("sample")).images[::29]


@pytest.mark.parametrize("cell", [4, 6, 8, 12])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_nearest_votes_are_scikit_images_own_hog(faces: np.ndarray, cell: int, block: int) -> None:
    ours = Hog(cell=cell, orientations=9, signed=False, linear=False, block=block)(faces)
    for found, image in zip(ours, faces, strict=True):
        expected = skimage_hog(
            image,
            orientations=9,
            pixels_per_cell=(cell, cell),
            cells_per_block=(block, block),
            block_norm="L2-Hys",
            transform_sqrt=True,
        )
        np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, (1, 12, 12)), st.sampled_from([4, 5, 6]), st.integers(2, 12))
def test_it_is_for_any_image_and_any_number_of_bins(
    images: np.ndarray, cell: int, orientations: int
) -> None:
    """Bins whose edges are whole degrees: others are rounded to float32 in scikit-image."""
    if 180 % orientations:
        orientations = 9
    ours = Hog(cell=cell, orientations=orientations, signed=False, linear=False)(images)
    expected = skimage_hog(
        images[0],
        orientations=orientations,
        pixels_per_cell=(cell, cell),
        cells_per_block=(2, 2),
        transform_sqrt=True,
    )
    np.testing.assert_allclose(ours.ravel(), expected, rtol=0, atol=1e-6)


def test_gradients_of_an_image_small_enough_to_see() -> None:
    image = np.array([[[0, 1, 4], [0, 1, 4], [9, 1, 0]]], np.uint8)  # roots: 0 1 2, 0 1 2, 3 1 0
    strength, degrees = gradients(image, signed=True)
    # In the middle: right 2 - 0 and down 1 - 1. Left: down 3. Right: down 0 - 2. Below: right -3.
    assert strength[0].tolist() == [[0, 2, 0], [3, 2, 2], [0, 3, 0]]
    assert degrees[0, 1].tolist() == [90, 0, 270]
    assert degrees[0, 2, 1] == 180
    folded = gradients(image, signed=False)[1]
    assert folded[0, 1].tolist() == [90, 0, 90]
    assert folded[0, 2, 1] == 0


def test_a_linear_vote_is_shared_by_the_two_nearest_bins() -> None:
    strength, bins = np.full((1, 1, 3), 8.0), np.array([[[1.5, 1.75, 0.0]]])
    linear = vote(strength, bins, orientations=4, linear=True)
    # The middle of bin 1; a quarter of the way to bin 2; the edge between the last and the first.
    assert linear[0, :, 0].T.tolist() == [[0, 8, 0, 0], [0, 6, 2, 0], [4, 0, 0, 4]]
    nearest = vote(strength, bins, orientations=4, linear=False)
    assert nearest[0, :, 0].T.tolist() == [[0, 8, 0, 0], [0, 8, 0, 0], [8, 0, 0, 0]]


def test_a_pixel_gives_to_the_two_nearest_cells() -> None:
    eighths = cell_shares(8, cell=4, linear=True) * 8  # middles at 2 and 6
    assert eighths.tolist() == [[5, 0], [7, 0], [7, 1], [5, 3], [3, 5], [1, 7], [0, 7], [0, 5]]
    assert cell_shares(5, cell=2, linear=False).tolist() == [
        [1, 0],
        [1, 0],
        [0, 1],
        [0, 1],
        [0, 0],  # in no whole cell
    ]


def test_a_block_is_brought_to_length_1_clipped_and_brought_to_length_1_again() -> None:
    cells = np.array([[[[3.0, 0.0, 0.0, 4.0]]]])  # 0.6 and 0.8; both clipped to 0.2; then alike
    np.testing.assert_allclose(
        normalize(cells, block=1).ravel(), [0.5**0.5, 0, 0, 0.5**0.5], rtol=1e-7
    )
    assert normalize(np.zeros((1, 2, 2, 3)), block=2).tolist() == [[[[0.0] * 12]]]


def test_a_blocks_numbers_go_cell_by_cell() -> None:
    cells = np.arange(2 * 3 * 2, dtype=float).reshape(1, 2, 3, 2) * 1e-9  # too small to be clipped
    order = normalize(cells, block=2)[0, 0].argsort(axis=-1)
    assert np.array_equal(cells[0, :, :2].ravel().argsort(), order[0])
    assert np.array_equal(cells[0, :, 1:].ravel().argsort(), order[1])


@settings(max_examples=20, deadline=None)
@given(arrays(np.uint8, (2, 16, 16)))
def test_hog_of_a_mirrored_image_is_the_mirrored_hog(images: np.ndarray) -> None:
    """Blocks, cells in them, and directions change places; rightwards, 0°, becomes 180°."""
    hog = Hog(cell=4, orientations=6)
    plain, mirrored = hog(images), hog(images[:, :, ::-1])
    parts = plain.reshape(2, 3, 3, 2, 2, 6)[:, :, ::-1, :, ::-1]
    turned = parts[..., [2, 1, 0, 5, 4, 3]]  # bin k covers 60k to 60k + 60 degrees; d → 180 - d
    np.testing.assert_allclose(mirrored, turned.reshape(plain.shape), rtol=0, atol=1e-6)


def test_known_directions_are_counted_where_they_are() -> None:
    """Light grows rightwards in the left half, and downwards in the right half."""
    ramp = np.arange(16) ** 2  # roots grow by 1 a pixel
    image = np.zeros((1, 16, 32), np.uint8)
    image[0, :, :16], image[0, :, 16:] = ramp, ramp[:, None]
    blocks = Hog(cell=8, orientations=4, linear=False, block=1)(image[:, :, :16])
    assert blocks.argmax(axis=-1).tolist() == [[[0, 0], [0, 0]]]
    blocks = Hog(cell=8, orientations=4, linear=False, block=1)(image[:, :, 16:])
    assert blocks.argmax(axis=-1).tolist() == [[[1, 1], [1, 1]]]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("points", "radius"), [(8, 1), (8, 2), (6, 3), (4, 1)])
def test_patterns_are_scikit_images_own(
    faces: np.ndarray, rng: np.random.Generator, points: int, radius: int, turned: bool
) -> None:
    steps = rng.integers(0, 3, (3, 48, 48)).astype(np.uint8)  # many equal neighbours
    images = np.concatenate([faces[:3], steps, np.full((1, 48, 48), 77, np.uint8)])
    found = pattern_codes(points, turned)[binary_patterns(images, points=points, radius=radius)]
    method = "uniform" if turned else "nri_uniform"
    for image, codes in zip(images, found, strict=True):
        np.testing.assert_array_equal(codes, local_binary_pattern(image, points, radius, method))


def test_cells_hold_the_square_roots_of_frequencies(faces: np.ndarray) -> None:
    codes = pattern_codes(8, False)[binary_patterns(faces[:2], points=8, radius=1)]
    corner = np.bincount(codes[1, 12:24, 36:48].ravel(), minlength=59)
    found = Lbp(cell=12)(faces[:2])
    np.testing.assert_array_equal(found[1, 1, 3], np.sqrt(corner / 144).astype(np.float32))


def test_a_flat_image_has_no_gradient_and_one_pattern() -> None:
    flat = np.full((1, 48, 48), 77, np.uint8)
    assert not HOG["hog_8"](flat).any()
    assert np.count_nonzero(Lbp(cell=8, turned=True)(flat)[0, 2, 2]) == 1


@pytest.mark.parametrize("name", ["hog", "lbp", "pixels"])
def test_every_layer_has_its_documented_shape_and_no_row_depends_on_another(
    name: str, faces: np.ndarray
) -> None:
    backbone = get_backbone(name)
    shapes = backbone.layer_shapes()
    assert tuple(shapes) == backbone.layers
    assert backbone.default_layer in backbone.layers
    found = describe(faces[:5], backbone.descriptors or {}, ["pooled", "map"])
    alone = describe(faces[3:4], backbone.descriptors or {}, ["pooled", "map"])
    for layer, shape in shapes.items():
        maps, vectors = found[f"{layer}/map"], found[f"{layer}/pooled"]
        assert (maps.shape, maps.dtype, vectors.dtype) == ((5, *shape), np.float16, np.float32)
        np.testing.assert_array_equal(vectors.reshape(maps.shape).astype(np.float16), maps)
        assert (alone[f"{layer}/pooled"][0] == vectors[3]).all()


def test_pixels_are_grey_levels_from_0_to_1() -> None:
    images = np.array([[[0, 255], [51, 102]]], np.uint8)
    assert Pixels()(images)[0, :, :, 0] == pytest.approx(np.array([[0, 1], [0.2, 0.4]]))


def test_another_recipe_is_known_by_its_hash() -> None:
    same, other = {"one": Hog(cell=8)}, {"one": Hog(cell=8, orientations=9)}
    assert recipes_sha256(same) == recipes_sha256({"one": Hog(cell=8)})
    assert recipes_sha256(same) != recipes_sha256(other)
    assert recipes_sha256(same) != recipes_sha256({"two": Hog(cell=8)})


CONFIG = ExtractConfig(backbone="hog", per_class=10)


def spec_of(config: ExtractConfig) -> GraphSpec:
    plan = plan_extraction(config)
    return plan.graph(plan.selection.features)


def test_batches_compute_what_one_call_does(tmp_path: Path) -> None:
    spec, images = spec_of(CONFIG), some_faces(6)
    engine = make_engine("descriptors", spec, batch_size=2, graphs=tmp_path)
    assert isinstance(engine, DescriptorEngine)
    try:
        parts = [engine.submit(images[start : start + 2]) for start in (0, 2, 4)]
        found = [part.result() for part in parts]
    finally:
        engine.close()
    whole = describe(images, {name: HOG[name] for name in spec.layers}, spec.outputs)
    assert set(whole) == set(engine.outputs())
    for name, array in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in found]), array)


def test_a_cache_of_descriptors_is_like_any_other(tmp_path: Path) -> None:
    done = extract(ExtractConfig(backbone="hog", per_class=10, views=("flip",), cache_dir=tmp_path))
    with Cache(done.cache) as cache:
        assert cache.header.spec["weights"] == "none"
        images = cache.images()
        plain, mirrored = (cache.read("hog_8", f"pooled{end}") for end in ("", "_flip"))
        recipes = {"hog_8": HOG["hog_8"]}
        for features, seen in ((plain, images), (mirrored, images[:, :, ::-1])):
            expected = describe(seen, recipes, ["pooled"])["hog_8/pooled"]
            np.testing.assert_array_equal(features, expected)
    assert done.cache.name.startswith("sample-hog-")
    pixels_cache = extract(ExtractConfig(backbone="pixels", per_class=10, cache_dir=tmp_path)).cache
    with Cache(pixels_cache) as cache:
        assert cache.shapes()["pixels/map"] == (20, 48, 48, 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"weights": "random:0"}, "hog.*--weights"),
        ({"engine": "keras"}, "hog.*--engine"),
        ({"precision": "bfloat16"}, "hog.*float32.*bfloat16"),
        ({"size": 64}, r"hog.*\b48\b.*\b64\b"),
        ({"preprocess": "raw"}, "hog.*--preprocess"),
        ({"layers": ("conv_7b_ac",)}, "hog.*conv_7b_ac"),
    ],
)
def test_what_does_not_apply_to_descriptors_is_refused(
    change: dict[str, object], named: str
) -> None:
    with pytest.raises(FerError, match=named):
        plan_extraction(ExtractConfig(**{"backbone": "hog", **change}))
