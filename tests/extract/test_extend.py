"""Nothing is computed twice: what is there is kept, and only what is missing is added."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_features.backbones import Backbone
from fer_features.cache import Cache, journal_path, latest_cache, list_caches
from fer_features.config import ExtractConfig
from fer_features.data import open_faces, read_all
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.runtime.progress import Advance

CONFIG = ExtractConfig(backbone="tiny", weights="random:0", engine="keras", precision="float32")


@pytest.fixture
def config(tmp_path: Path, tiny: Backbone) -> ExtractConfig:
    return replace(CONFIG, cache_dir=tmp_path / "cache")


class Passes(list[int]):
    """A progress callback that notes how many rows each pass has; stops after `stop_after`."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.stop_after = stop_after

    @contextmanager
    def __call__(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        self.append(total)
        seen = 0

        def advance(n: int) -> None:
            nonlocal seen
            seen += n
            if self.stop_after is not None and seen >= self.stop_after:
                raise KeyboardInterrupt

        yield advance


def read(path: Path, layer: str = "second", output: str = "pooled") -> np.ndarray:
    with Cache(path) as cache:
        return cache.read(layer, output)


def test_another_task_computes_only_the_rows_that_are_missing(config: ExtractConfig) -> None:
    first, passes = extract(config), Passes()
    before = read(first.cache)
    second = extract(replace(config, task="seven", per_class="all"), progress=passes)
    assert second.cache == first.cache
    assert (second.rows, second.found) == (600, 360)
    assert passes == [240]
    with Cache(second.cache) as cache:
        assert len(cache) == 600
        assert [one.info["task"]["name"] for one in cache.selections] == ["binary", "seven"]
        assert (cache.read("second", "pooled", cache.places(cache.selections[0])) == before).all()
        faces = read_all(open_faces("sample"))
        assert (cache.rows.sha256 == faces.sha256).all()
        assert (cache.rows.emotion == faces.emotion).all()
    assert extract(replace(config, task="seven", per_class="all")).reused


def test_one_after_the_other_is_the_same_as_all_at_once(config: ExtractConfig) -> None:
    every = replace(config, task="seven", per_class="all")
    extract(config)
    extended = extract(every).cache
    at_once = extract(replace(every, cache_dir=config.cache_dir / "other")).cache
    for output in ("pooled", "map"):
        assert (read(extended, output=output) == read(at_once, output=output)).all()


def test_a_layer_is_added_without_touching_what_is_there(config: ExtractConfig) -> None:
    first, passes = extract(config), Passes()
    before = {output: read(first.cache, output=output).tobytes() for output in ("pooled", "map")}
    second = extract(replace(config, layers=("second", "first")), progress=passes)
    assert passes == [360]
    with Cache(second.cache) as cache:
        assert cache.selection().layers == ("second", "first")
        assert cache.shapes()["first/map"] == (360, 12, 12, 4)
    for output, content in before.items():
        assert read(second.cache, output=output).tobytes() == content
    assert (
        read(second.cache, "first")
        == read(
            extract(replace(config, layers=("first",), cache_dir=config.cache_dir / "b")).cache,
            "first",
        )
    ).all()


def test_what_takes_long_is_logged_beforehand(config: ExtractConfig) -> None:
    lines: list[str] = []
    extract(config, log=lines.append)
    assert lines == [
        "building tiny with Keras",
        "extracting 360 images with tiny (random:0)",
        "engine: keras/tensorflow on CPU, float32",
    ]
    extract(config, log=lines.append)
    assert len(lines) == 3


def test_several_layers_come_from_one_pass(config: ExtractConfig) -> None:
    passes = Passes()
    done = extract(replace(config, layers=("first", "second")), progress=passes)
    assert passes == [360]
    with Cache(done.cache) as cache:
        assert cache.features == ("first/map", "first/pooled", "second/map", "second/pooled")


def test_rows_that_lack_different_things_are_done_apart(config: ExtractConfig) -> None:
    extract(config)
    passes = Passes()
    extract(
        replace(config, task="seven", per_class="all", layers=("first", "second")), progress=passes
    )
    assert sorted(passes) == [240, 360]
    with Cache(list_caches(config.cache_dir)[0]) as cache:
        assert cache.complete
        assert cache.done(cache.features).all()


def test_identical_images_are_computed_once(config: ExtractConfig) -> None:
    done = extract(replace(config, task="seven", per_class="all"))
    assert (done.rows, done.computed) == (600, 588)  # the sample holds 12 copies
    with Cache(done.cache) as cache:
        pooled, maps = cache.read("second", "pooled"), cache.read("second", "map")
        _, first, group = np.unique(cache.rows.sha256, return_index=True, return_inverse=True)
        assert len(first) == 588
        assert (pooled == pooled[first[group]]).all()
        assert (maps == maps[first[group]]).all()


def test_a_copy_of_an_image_of_an_earlier_selection_is_not_computed(config: ExtractConfig) -> None:
    """Half of the sample's copies lie in the rows that `seven` adds to `binary`, or copy them."""
    first = extract(config)
    second = extract(replace(config, task="seven", per_class="all"))
    assert first.computed + second.computed == 588


def test_the_mirrored_view_is_that_of_mirrored_images(config: ExtractConfig) -> None:
    done = extract(replace(config, layers=("first",), views=("flip",)))
    plain, mirrored = read(done.cache, "first", "map"), read(done.cache, "first", "map_flip")
    # `first` is a 1×1 convolution: mirroring its input mirrors its output
    np.testing.assert_allclose(mirrored, plain[:, :, ::-1], rtol=1e-2, atol=1e-2)
    assert not np.allclose(mirrored, plain, atol=1e-2)
    pooled = read(done.cache, "first", "pooled"), read(done.cache, "first", "pooled_flip")
    np.testing.assert_allclose(*pooled, rtol=1e-4, atol=1e-4)
    assert done.computed == 2 * 352


def test_the_mirrored_view_is_added_later_too(config: ExtractConfig) -> None:
    extract(config)
    passes = Passes()
    done = extract(replace(config, views=("flip",)), progress=passes)
    assert passes == [360]
    assert done.computed == 352
    both = extract(replace(config, views=("flip",), cache_dir=config.cache_dir / "both"))
    assert (
        read(done.cache, output="map_flip").tobytes()
        == read(both.cache, output="map_flip").tobytes()
    )


def test_an_interrupted_extraction_resumes_to_the_same_file(config: ExtractConfig) -> None:
    # Small batches: some that are under way are still written when the interruption comes.
    config = replace(config, batch_size=4)
    whole = extract(config).cache.read_bytes()
    stopped = replace(config, cache_dir=config.cache_dir / "stopped")
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            extract(stopped, progress=Passes(stop_after=64))
    (path,) = list_caches(stopped.cache_dir)
    assert journal_path(path).exists()
    passes = Passes()
    done = extract(stopped, progress=passes)
    assert 0 < passes[0] < 360
    assert done.found + passes[0] == 360
    assert done.cache.read_bytes() == whole
    assert not journal_path(done.cache).exists()


def test_another_command_recovers_the_journal(config: ExtractConfig) -> None:
    with pytest.raises(KeyboardInterrupt):
        extract(config, progress=Passes(stop_after=64))
    passes = Passes()
    extract(replace(config, task="seven", per_class="all"), progress=passes)
    assert passes[0] < 600
    passes = Passes()
    assert extract(config, progress=passes).found == 360
    assert passes == []


def test_nothing_is_read_when_all_is_there(
    config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = replace(config, task="seven", per_class="all")
    extract(every)

    def unread(*args: object, **kwargs: object) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr("fer_features.data.faces.SampleFaces.read", unread)
    assert extract(every).reused
    done = extract(config)  # another choice, all of whose rows are there
    assert (done.reused, done.rows, done.found) == (True, 360, 360)
    with Cache(done.cache) as cache:
        assert len(cache.selections) == 2


def test_auto_takes_what_is_there_in_another_precision(
    config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_features.engines.select.keras_has_bfloat16", lambda: True)
    whole = extract(config)
    auto = replace(config, precision="auto")
    done = extract(auto)
    assert done.reused
    assert done.cache == whole.cache
    assert "float32" in done.why
    more = extract(replace(auto, views=("flip",)))  # not there: the fastest precision is taken
    assert not more.reused
    assert more.precision == "bfloat16"


def test_a_full_disk_is_an_error_before_the_work(
    config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_features.cache.folder.free_bytes", lambda folder: 1000)
    passes = Passes()
    with pytest.raises(FerError, match="about 2 MB are needed, 0 MB are free") as caught:
        extract(config, progress=passes)
    assert "--cache-dir" in caught.value.hint
    assert passes == []


def test_a_feature_that_is_no_number_stops_the_run_and_names_the_row(
    config: ExtractConfig, tmp_path: Path, tiny: Backbone
) -> None:
    model = tiny.build(tiny.default_size)
    weights = [np.full_like(one, np.nan) if one.ndim > 1 else one for one in model.get_weights()]
    model.set_weights(weights)
    model.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(FerError, match=r"first/pooled .*row \d+"):
        extract(replace(config, weights=str(tmp_path / "nan.weights.h5"), layers=("first",)))


def test_another_compression_packs_what_is_there_anew(config: ExtractConfig) -> None:
    first = extract(config)
    before = read(first.cache, output="map").tobytes()
    done = extract(replace(config, compression="gzip"))
    assert (done.reused, done.packed) == (True, True)
    with Cache(done.cache) as cache:
        assert cache.compression == "gzip"
        assert cache.read("second", "map").tobytes() == before
    assert not extract(replace(config, compression="gzip")).packed
    assert not extract(config).packed  # not requested: it stays as it is
    with Cache(done.cache) as cache:
        assert cache.compression == "gzip"


def test_an_older_cache_is_not_taken_for_one_that_was_interrupted(config: ExtractConfig) -> None:
    extract(config)
    with pytest.raises(KeyboardInterrupt):
        extract(replace(config, size=16), progress=Passes(stop_after=64))
    with pytest.raises(FerError, match="-tiny-"):
        latest_cache(config.cache_dir)
    other = extract(replace(config, size=16))
    assert latest_cache(config.cache_dir) == other.cache


def test_the_cache_keeps_the_images(config: ExtractConfig) -> None:
    done = extract(replace(config, views=("flip",)))
    with Cache(done.cache) as cache:
        images = cache.images()
        faces = read_all(open_faces("sample"), cache.rows.source_row)
        assert (images == faces.images).all()
        assert cache.selection().layers == ("second",)
