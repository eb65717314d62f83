import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.feature
from numpy.typing import NDArray

from fer_features.backbones import get_backbone
from fer_features.backbones.descriptors import describe, hog, lbp, pixels
from fer_features.backbones.layers import layer_shapes
from fer_features.config import ExtractConfig
from fer_features.engines import make_engine
from fer_features.engines.descriptor_engine import DescriptorEngine
from fer_features.engines.engine import GraphSpec
from fer_features.errors import FerError
from fer_features.extract import extract
from fer_features.faces import open_faces, read_all
from fer_features.plan import graph_spec, plan_extraction
from fer_features.store import Cache


def faces(n: int) -> NDArray[np.uint8]:
    source = open_faces("sample")
    return read_all(source, source.index().row[:n]).images


def test_pixels_are_grey_levels_from_0_to_1() -> None:
    images = np.array([[[0, 255], [51, 102]]], np.uint8)
    assert pixels(images)[0, :, :, 0] == pytest.approx(np.array([[0, 1], [0.2, 0.4]]))


@pytest.mark.parametrize(("cell", "orientations"), [(8, 12), (6, 9), (12, 4)])
def test_hog_holds_every_number_of_scikit_images(cell: int, orientations: int) -> None:
    (image,) = faces(1)
    expected = skimage.feature.hog(
        image,
        orientations=orientations,
        pixels_per_cell=(cell, cell),
        cells_per_block=(2, 2),
        feature_vector=False,
    )
    (found,) = hog(image[None], cell=cell, orientations=orientations)
    side = 48 // cell
    assert found.shape == (side, side, 4 * orientations)
    by_slot = found.reshape(side, side, 2, 2, orientations)
    for r, c, i, j in np.ndindex(side - 1, side - 1, 2, 2):
        np.testing.assert_allclose(by_slot[r + i, c + j, i, j], expected[r, c, i, j], atol=1e-6)
    assert found.sum() == pytest.approx(expected.sum(), rel=1e-4)  # and zeros elsewhere


def test_hog_sees_which_way_an_edge_runs() -> None:
    upright = np.zeros((1, 48, 48), np.uint8)
    upright[:, :, 24:] = 255
    lying = upright.transpose(0, 2, 1)
    first, second = (
        hog(image, cell=8, orientations=4).reshape(-1, 4).sum(axis=0) for image in (upright, lying)
    )
    assert first.argmax() != second.argmax()
    assert np.count_nonzero(first) == np.count_nonzero(second) == 1


def test_lbp_counts_the_patterns_of_each_cell() -> None:
    (image,) = faces(1)
    (found,) = lbp(image[None], cell=8, radius=1)
    codes = skimage.feature.local_binary_pattern(image, 8, 1, "nri_uniform").astype(int)
    corner = np.bincount(codes[40:, 8:16].ravel(), minlength=59)
    np.testing.assert_allclose(found[5, 1] ** 2, corner, atol=1e-4)
    assert (found**2).sum(axis=-1) == pytest.approx(64)  # as many patterns as pixels in each cell


def test_the_vector_is_the_map_laid_flat_and_hog_lbp_is_both() -> None:
    layers = dict(get_backbone("hog").descriptors or {})
    found = describe(faces(3), layers, ["pooled", "map"])
    for name, shape in layer_shapes(get_backbone("hog")).items():
        maps, vector = found[f"{name}/map"], found[f"{name}/pooled"]
        assert (maps.shape, maps.dtype, vector.dtype) == ((3, *shape), np.float16, np.float32)
        np.testing.assert_allclose(vector.reshape(maps.shape), maps, rtol=1e-3, atol=1e-6)
    both = [found["hog_8/map"], found["lbp_8/map"]]
    assert (found["hog_lbp/map"] == np.concatenate(both, axis=-1)).all()


def test_an_image_of_one_grey_level_is_described_without_a_word() -> None:
    layers = dict(get_backbone("hog").descriptors or {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = describe(np.full((1, 48, 48), 7, np.uint8), layers, ["pooled"])
    assert all(np.isfinite(one).all() for one in found.values())


CONFIG = ExtractConfig(backbone="hog", per_class=10)


def spec_of(config: ExtractConfig) -> GraphSpec:
    plan = plan_extraction(config)
    return graph_spec(plan.backbone, plan.weights, plan.spec, plan.choice.features[1:])


def test_processes_compute_what_one_does(tmp_path: Path) -> None:
    spec, images = spec_of(CONFIG), faces(6)
    engine = make_engine("descriptors", spec, batch_size=2, graphs=tmp_path)
    assert isinstance(engine, DescriptorEngine)
    try:
        parts = [engine.submit(images[start : start + 2]) for start in (0, 2, 4)]
        found = [part.result() for part in parts]
    finally:
        engine.close()
    layers = {name: (get_backbone("hog").descriptors or {})[name] for name in spec.layers}
    whole = describe(images, layers, spec.outputs)
    assert set(whole) == set(engine.outputs())
    for name, array in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in found]), array)


def test_a_cache_of_descriptors_is_like_any_other(tmp_path: Path) -> None:
    done = extract(ExtractConfig(backbone="hog", per_class=10, views=("flip",), cache_dir=tmp_path))
    with Cache(done.cache) as cache:
        assert cache.header.spec["weights"] == "none"
        images = cache.read("faces", "image")
        plain, mirrored = (cache.read("hog_lbp", f"pooled{end}") for end in ("", "_flip"))
        layers = {"hog_lbp": (get_backbone("hog").descriptors or {})["hog_lbp"]}
        for features, seen in ((plain, images), (mirrored, images[:, :, ::-1])):
            expected = describe(seen, layers, ["pooled"])["hog_lbp/pooled"]
            np.testing.assert_array_equal(features, expected)
    assert done.cache.name.startswith("sample-hog-")
    pixels_cache = extract(ExtractConfig(backbone="pixels", per_class=10, cache_dir=tmp_path)).cache
    with Cache(pixels_cache) as cache:
        assert cache.shapes()["pixels/map"] == (20, 48, 48, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"weights": "random:0"}, "hog takes no weights"),
        ({"engine": "keras"}, "hog is run by no engine"),
        ({"precision": "bfloat16"}, "float32, not in bfloat16"),
        ({"size": 64}, "48 pixels, not at 64"),
        ({"preprocess": "raw"}, "hog is not preprocessed"),
        ({"layers": ("conv_7b_ac",)}, "hog has no layer conv_7b_ac"),
    ],
)
def test_what_does_not_apply_to_descriptors_is_refused(
    change: dict[str, object], told: str
) -> None:
    with pytest.raises(FerError, match=told):
        plan_extraction(ExtractConfig(**{"backbone": "hog", **change}))
