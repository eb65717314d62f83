"""Fine-tuning, on images and on a cache's maps: small trainings of a tiny network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import extract_tiny
from legacy_weights import save_legacy
from typer.testing import CliRunner

from fer_features.backbones import Backbone, get_backbone, resolve_weights, seen_images
from fer_features.backbones.loading import load_weights
from fer_features.backbones.weights import learnt_from
from fer_features.backbones.weights_file import arrays_of, assign, paths, read_weights
from fer_features.cache import Cache
from fer_features.cli import app
from fer_features.config import ExtractConfig, TrainConfig
from fer_features.data import open_faces
from fer_features.data.tasks import BINARY, load_task
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.runtime.image_keys import image_keys
from fer_features.runtime.keras_runtime import import_keras
from fer_features.runtime.progress import no_progress
from fer_features.training.checkpoint import checkpoint_path
from fer_features.training.data import load_training_data
from fer_features.training.network import rate_shares, tail_of
from fer_features.training.optimizer import make_optimizer
from fer_features.training.recipe import seen_before
from fer_features.training.run import train
from fer_features.training.teachers import read_teachers, soft_labels
from tests.training.interrupting import stop_in_epoch

SMALL = TrainConfig(
    backbone="tiny", start="random:0", task="binary", epochs=2, precision="float32", dropout=0.5
)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the first layer's maps of both views."""
    folder = tmp_path_factory.mktemp("maps")
    return extract_tiny(folder, layers=("first",), outputs=("map",), views=("flip",))


def on_maps(maps: Path, out: Path, **options: Any) -> TrainConfig:
    return replace(SMALL, data=str(maps), backbone=None, start=None, out=out, **options)


def network_of(backbone: Backbone, weights: str) -> dict[str, np.ndarray]:
    """The arrays of weights in a network of the backbone, float32."""
    network = backbone.build(12)
    known = resolve_weights(weights, backbone)
    load_weights(network, known, backbone, known.path)
    return arrays_of(network.weights, unchanged={id(one) for one in network.weights})


@pytest.mark.parametrize("kind", [pytest.param("images", marks=pytest.mark.long), "maps"])
def test_a_killed_fine_tuning_resumes_and_leaves_the_trunk_as_it_was(
    tiny: Backbone, maps: Path, tmp_path: Path, kind: str
) -> None:
    def config(name: str) -> TrainConfig:
        if kind == "maps":
            return on_maps(maps, tmp_path / name)
        return replace(SMALL, tail_from="first", out=tmp_path / name)

    with pytest.raises(KeyboardInterrupt):
        train(config("killed.h5"), progress=stop_in_epoch(2))
    assert checkpoint_path(tmp_path / "killed.h5").exists()
    resumed = read_weights(train(config("killed.h5")).path)
    whole = read_weights(train(config("whole.h5")).path)
    before = network_of(tiny, "random:0")
    for name, array in whole.network.items():
        np.testing.assert_array_equal(resumed.network[name], array)
        same = bool((array == before[name]).all())
        assert same is name.startswith("first")
        assert array.dtype == (np.float32 if same else np.float16)
    np.testing.assert_array_equal(resumed.top["kernel"], whole.top["kernel"])
    data = load_training_data(open_faces("sample"), BINARY, seed=0, cache_dir=tmp_path)
    learnt = set(whole.seen.tolist())
    assert learnt <= set(image_keys(data.sha256[data.split.train]).tolist())
    assert len(learnt) == whole.provenance["data"]["seen"]
    expected = "nothing (random weights); sample, Training: "
    assert learnt_from(resolve_weights(str(tmp_path / "whole.h5"), tiny)).startswith(expected)


def test_a_file_trained_on_maps_is_a_backbone(tiny: Backbone, maps: Path, tmp_path: Path) -> None:
    trained = train(on_maps(maps, tmp_path / "mine.h5", test=True))
    assert trained.provenance["scores"]["test"]["n"] == trained.provenance["data"]["test"]
    done = extract(
        ExtractConfig(
            backbone="tiny",
            weights=str(tmp_path / "mine.h5"),
            layers=("first", "second"),
            outputs=("map", "pooled"),
            engine="keras",
            precision="float32",
            cache_dir=tmp_path,
        )
    )
    with Cache(maps) as before, Cache(done.cache) as after:
        np.testing.assert_array_equal(after.read("first", "map"), before.read("first", "map"))
        seen = after.seen()
        assert seen is not None
        assert seen[:, 0].sum() >= trained.provenance["data"]["train"]
        pooled = after.read("second", "pooled")
        label = BINARY.labels(after.rows.emotion)
    top = {name: array.astype(np.float32) for name, array in read_weights(trained.path).top.items()}
    hits = (pooled @ top["kernel"] + top["bias"]).argmax(axis=1) == label
    assert hits[seen[:, 0] == 0].mean() == pytest.approx(
        trained.provenance["scores"]["validation"]["accuracy"], abs=0.15
    )


def test_what_the_first_training_has_learnt_from_is_neither_forgotten_nor_scored(
    tiny: Backbone, tmp_path: Path
) -> None:
    first = train(replace(SMALL, epochs=1, out=tmp_path / "first.h5"))
    again = replace(SMALL, epochs=1, start=str(first.path), seed=3, out=tmp_path / "second.h5")
    second = train(again)
    before, after = (set(read_weights(one.path).seen.tolist()) for one in (first, second))
    assert before < after or before == after
    seen = seen_images(resolve_weights(str(first.path), tiny))
    data = load_training_data(open_faces("sample"), BINARY, seed=3, seen=seen, cache_dir=tmp_path)
    held = np.concatenate([data.split.validation, data.split.test])
    assert not before & set(image_keys(data.sha256[held]).tolist())


def test_a_student_learns_from_its_teachers_and_remembers_what_they_had_seen(
    tiny: Backbone, tmp_path: Path
) -> None:
    paths = [
        train(replace(SMALL, epochs=1, seed=seed, out=tmp_path / f"teacher{seed}.h5")).path
        for seed in (0, 3)
    ]
    config = replace(SMALL, epochs=1, teachers=tuple(paths), out=tmp_path / "student.h5")
    student = train(replace(config, teacher_weight=1.0))
    assert [one["name"] for one in student.provenance["teachers"]] == ["teacher0.h5", "teacher3.h5"]
    assert "--teacher teacher0.h5 --teacher teacher3.h5" in student.provenance["command"]
    teachers = read_teachers(paths, BINARY)
    seen = read_weights(student.path).seen
    for one in teachers:
        assert set(one.seen.tolist()) <= set(seen.tolist())

    data = load_training_data(
        open_faces("sample"), BINARY, seed=0, seen=seen_before(config), cache_dir=tmp_path
    )
    held = np.concatenate([data.split.validation, data.split.test])
    assert not {*teachers[0].seen, *teachers[1].seen} & {*image_keys(data.sha256[held])}
    images = data.images[data.split.train]
    each = [soft_labels([one], images, progress=no_progress) for one in teachers]
    both = soft_labels(teachers, images, progress=no_progress)
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(
        soft_labels(teachers, images[:, :, ::-1], progress=no_progress), both
    )
    np.testing.assert_allclose(data.targets(0.1, soft=both, share=1.0), both)
    labels, mixed = data.targets(0.1), data.targets(0.1, soft=both, share=0.25)
    np.testing.assert_allclose(mixed, 0.75 * labels + 0.25 * both, atol=1e-6)

    with pytest.raises(FerError, match="other classes"):
        read_teachers(paths, load_task("seven"))
    with pytest.raises(FerError, match="of another training"):
        train(config)
    with pytest.raises(FerError, match="no such file"):
        train(replace(config, teachers=(tmp_path / "none.h5",)))


@pytest.mark.parametrize("words", [["--teacher", "a,b.h5"], ["--teacher", "a,b.h5"] * 2])
def test_teachers_are_paths_on_the_command_line(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    asked: list[TrainConfig] = []
    monkeypatch.setattr("fer_features.training.run.check", asked.append)
    result = CliRunner().invoke(app, ["train", "sample", "--out", "/no/such/x.h5", *words])
    assert result.exit_code == 2
    assert asked[0].teachers == (Path("a,b.h5"),) * (len(words) // 2)
    monkeypatch.undo()
    missing = CliRunner().invoke(app, ["train", "sample", "--teacher", str(tmp_path / "none.h5")])
    assert missing.exit_code == 2
    assert "none.h5: no such file" in " ".join(missing.stderr.split())


def test_copies_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    source = open_faces("sample")
    kept = load_training_data(source, BINARY, seed=0, keep_copies=True, cache_dir=tmp_path)
    usual = load_training_data(source, BINARY, seed=0, cache_dir=tmp_path)
    assert usual.split.removed > 0
    assert set(usual.split.train.tolist()) < set(kept.split.train.tolist())


def test_balanced_targets_weigh_classes_alike(tmp_path: Path) -> None:
    data = load_training_data(open_faces("sample"), BINARY, seed=0, cache_dir=tmp_path)
    few = np.concatenate([data.split.train[:40], data.split.train[-10:]])
    data = replace(data, split=replace(data.split, train=few))
    label = data.label[few]
    weight = data.targets(0.1, balance=1.0).sum(axis=1)
    assert weight.mean() == pytest.approx(1)
    assert weight[label == 0].sum() == pytest.approx(weight[label == 1].sum(), rel=1e-5)
    np.testing.assert_allclose(data.targets(0.1).sum(axis=1), 1, rtol=1e-6)


def test_rates_grow_from_layer_to_layer(tiny: Backbone) -> None:
    network = tiny.build(12)
    top = import_keras().Variable(np.zeros(1))
    shares = rate_shares(network, [*network.weights, top], decay=0.25)
    assert shares == [0.25, 0.25, 1, 1, 1]


def test_weight_decay_goes_with_a_layers_rate() -> None:
    keras = import_keras()
    kernels = [keras.Variable(np.ones(1, np.float32), name="kernel") for _ in range(2)]
    bias = keras.Variable(np.ones(1, np.float32), name="bias")
    config = replace(SMALL, learning_rate=1.0, weight_decay=0.5, warm_up=0.5)
    optimizer = make_optimizer(config, steps=10, shares=[0.25, 1, 1])
    variables = [*kernels, bias]
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros(1)] * 3, variables)  # the first step's rate is 0.2
    found = [float(one.numpy()[0]) for one in variables]
    assert found == pytest.approx([1 - 0.2 * 0.25 * 0.5, 1 - 0.2 * 0.5, 1], abs=1e-6)


def test_a_tail_shares_the_networks_layers(tiny: Backbone) -> None:
    network = tiny.build(12)
    tail = tail_of(tiny, network, "first")
    assert [id(one) for one in tail.weights] == [id(one) for one in network.weights[2:]]
    assert tail_of(tiny, network, "second").weights == []
    with pytest.raises(FerError, match="no layer third"):
        tail_of(tiny, network, "third")


def test_layers_that_keras_counts_have_the_same_paths_in_every_network() -> None:
    keras = import_keras()

    def network() -> Any:
        x = inputs = keras.Input((4, 4, 1))
        for layer in (
            keras.layers.Conv2D(2, 1),
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(3, 1),
            keras.layers.Conv2D(1, 1, name="own_7"),
        ):
            x = layer(x)
        return keras.Model(inputs, x)

    one, other = network(), network()
    found = paths(one.weights)
    assert found == paths(other.weights)
    assert (found[0], found[-1]) == ("conv2d_0/kernel", "own_7/bias")
    assert found[6:8] == ["conv2d_1/kernel", "conv2d_1/bias"]
    assign(other.weights, arrays_of(one.weights))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "size", "tail", "last", "channels"),
    [
        ("inception_v3", 75, "mixed9", "last", 2048),
        ("inception_resnet_v2", 75, "block8_9_ac", "conv_7b_ac", 1536),
        ("resnet50_vggface2", 48, "conv5_2", "conv5_3", 2048),
    ],
)
def test_the_published_networks_are_fine_tuned(
    tmp_path: Path, name: str, size: int, tail: str, last: str, channels: int
) -> None:
    """The path of the published systems, from random weights; of VGGFace2's network, in a file.

    Keras counts layers of the first two: the file's arrays are found again all the same.
    """
    start = "random:0"
    if name == "resnet50_vggface2":
        start = str(tmp_path / "rcmalli_vggface_tf_notop_resnet50.h5")
        save_legacy(get_backbone(name).build(size), Path(start))
    config = TrainConfig(
        backbone=name,
        start=start,
        tail_from=tail,
        size=size,
        task="binary",
        epochs=1,
        out=tmp_path / "mine.h5",
        cache_dir=tmp_path,
    )
    trained = train(config)
    assert trained.provenance["command"] == (
        f"fer train sample --backbone {name} --from {Path(start).name} --tail-from {tail} "
        f"--size {size} --task binary --epochs 1"
    )
    done = extract(
        ExtractConfig(
            backbone=name,
            weights=str(trained.path),
            layers=(last,),
            outputs=("pooled",),
            per_class=5,
            cache_dir=tmp_path,
        )
    )
    with Cache(done.cache) as cache:
        assert cache.header.spec["size"] == size
        features = cache.read(last, "pooled")
    assert features.shape == (10, channels)
    assert np.isfinite(features).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"backbone": "fernet"}, "has backbone tiny, not fernet"),
        ({"size": 24}, "has size 12, not 24"),
        ({"tail_from": "second"}, "no maps of second"),
        ({"start": "random:1"}, "random:1: not the weights"),
        ({"ignore": ("contempt",)}, "--ignore"),
        ({"task": "seven", "data": "nowhere.h5"}, "nowhere.h5"),
        ({"batch_size": 1000}, r"\b1000\b"),
    ],
)
def test_a_mistake_about_a_cache_is_named(
    tiny: Backbone, maps: Path, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(FerError, match=named):
        train(replace(on_maps(maps, tmp_path / "mine.h5"), **change))
    assert not list(tmp_path.glob("*.h5"))


def test_a_cache_without_a_class_of_the_task_is_refused(
    tiny: Backbone, maps: Path, tmp_path: Path
) -> None:
    with pytest.raises(FerError, match=r"no image of .*surprise.* task seven") as caught:
        train(on_maps(maps, tmp_path / "mine.h5", task="seven"))
    assert "--task" in str(caught.value.hint)
