import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_features.cache import Cache
from fer_features.config import EMOTIONS, USAGES, ExtractConfig, FitConfig
from fer_features.data.ferplus import COLUMNS
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.fit.dataset import load_dataset
from fer_features.fit.split import split_dataset

CONFIG = FitConfig()
VOTE_OF = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}


@pytest.fixture
def cache(tiny_cache: Path) -> Iterator[Cache]:
    with Cache(tiny_cache) as opened:
        yield opened


def write_votes(path: Path, cache: Cache, **changed: dict[int, dict[str, int]]) -> Path:
    """Votes on the sample that agree with its labels, but for some rows."""
    lines = {row: {"neutral": 10} for row in range(int(cache.rows.source_row.max()) + 1)}
    usage = dict.fromkeys(lines, 0)
    for row, emotion, part in zip(
        cache.rows.source_row.tolist(),
        cache.rows.emotion.tolist(),
        cache.rows.usage.tolist(),
        strict=True,
    ):
        lines[row] = {VOTE_OF[EMOTIONS[emotion]]: 10}
        usage[row] = part
    lines |= changed.get("rows", {})
    text = [f"Usage,Image name,{','.join(COLUMNS)}"]
    text += [
        f"{USAGES[usage[row]]},,{','.join(str(votes.get(name, 0)) for name in COLUMNS)}"
        for row, votes in lines.items()
    ]
    path.write_text("\n".join(text) + "\n")
    return path


def test_grouped_leaves_no_twin_between_the_parts(cache: Cache) -> None:
    dataset = load_dataset(cache, CONFIG)
    groups = [len(np.unique(one)) for one in vars(dataset.groups).values()]
    assert groups[2] <= groups[1] <= groups[0] < len(dataset.rows)
    _, split = split_dataset(dataset, CONFIG)
    assert split.leaked == {"exact": 0, "near": 0, "registered": 0}
    _, reference = split_dataset(dataset, replace(CONFIG, split="reference"))
    assert sum(reference.leaked.values()) > 0


def test_twins_of_later_parts_can_be_dropped(cache: Cache) -> None:
    config = replace(CONFIG, split="usage", drop=("twins",))
    dataset, split = split_dataset(load_dataset(cache, config), config)
    assert split.leaked == {"exact": 0, "near": 0, "registered": 0}
    assert dataset.dropped["twins"] == split.removed > 0


def test_conflicting_and_constant_images_are_dropped_and_counted(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    images = rng.integers(0, 256, (8, 48 * 48))
    images[1] = images[0]  # the same picture, once happy and once sad
    images[3] = images[2]  # twice happy: no conflict
    images[4] = 7
    emotion = [3, 4, 3, 3, 4, 4, 4, 3]
    lines = [
        f"{e},{' '.join(map(str, image))},Training"
        for e, image in zip(emotion, images.tolist(), strict=True)
    ]
    data = tmp_path / "few.csv"
    data.write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    config = ExtractConfig(data=str(data), backbone="pixels", cache_dir=tmp_path)
    with Cache(extract(config).cache) as cache:
        assert len(load_dataset(cache, CONFIG).rows) == 8
        dataset = load_dataset(cache, replace(CONFIG, drop=("constant", "conflict")))
    assert dataset.dropped == {"constant": 1, "conflict": 2}
    assert dataset.metadata.source_row.tolist() == [2, 3, 5, 6, 7]


def test_the_voters_majority_takes_the_labels_place(cache: Cache, tmp_path: Path) -> None:
    happy, sad, lost = cache.rows.source_row[:3].tolist()
    votes = {happy: {"happiness": 7, "sadness": 3}, sad: {"sadness": 6, "happiness": 4}}
    votes[lost] = {"NF": 8, "happiness": 2}
    file = write_votes(tmp_path / "votes.csv", cache, rows=votes)
    config = replace(CONFIG, ferplus=file, labels="ferplus")
    dataset = load_dataset(cache, config)
    label = dict(zip(dataset.metadata.source_row.tolist(), dataset.y.tolist(), strict=True))
    assert (label[happy], label[sad]) == (1, 0)
    assert lost not in label
    assert dataset.dropped == {"no label": 1}
    assert dataset.soft_targets is None

    soft = load_dataset(cache, replace(config, labels="soft"))
    assert soft.soft_targets is not None
    target = dict(zip(soft.metadata.source_row.tolist(), soft.soft_targets.tolist(), strict=True))
    assert target[happy] == pytest.approx([0.3, 0.7])
    assert target[sad] == pytest.approx([0.6, 0.4])

    faces = load_dataset(cache, replace(CONFIG, ferplus=file, drop=("notface",)))
    assert faces.dropped == {"notface": 1}
    assert lost not in faces.metadata.source_row


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"labels": "mine"}, "mine"),
        ({"labels": "ferplus"}, "--labels ferplus"),
        ({"drop": ("ugly",)}, "ugly"),
        ({"drop": ("notface",)}, "votes"),
        ({"ferplus": Path("nowhere.csv")}, "nowhere.csv"),
    ],
)
def test_a_mistake_is_named(cache: Cache, change: dict[str, object], named: str) -> None:
    with pytest.raises(FerError, match=named):
        load_dataset(cache, replace(CONFIG, **change))


def test_a_cache_without_its_images_says_how_to_add_them(tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "golden/v2/no-images/sample-pixels-809cc21514b3b5ee.h5"
    with (
        Cache(Path(shutil.copy(old, tmp_path))) as cache,
        pytest.raises(FerError, match=" images") as caught,
    ):
        load_dataset(cache, CONFIG)
    assert "fer extract" in caught.value.hint
