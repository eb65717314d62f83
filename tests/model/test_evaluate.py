"""A model on labelled faces: scores by class and group, what is left out, and paired tests."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import fer_features as fer
from fer_features import FerError
from fer_features.backbones import get_backbone, resolve_weights
from fer_features.backbones.signatures import signature_list
from fer_features.backbones.weights_file import Seen
from fer_features.cli import app
from fer_features.data import EMOTIONS, load_faces, open_faces
from fer_features.data.faces import FaceSource, pixel_sha256
from fer_features.data.tasks import BINARY
from fer_features.detect import CROP_RULE, Face
from fer_features.metrics.groups import mantel_haenszel
from fer_features.model import evaluate as module
from fer_features.model.evaluate import NO_GROUP, evaluate_model, read_groups
from fer_features.runs import schema
from fer_features.runs.evaluation import Evaluation, GroupScore
from fer_features.runtime.image_keys import image_keys
from fer_features.runtime.progress import Advance
from tests.model.fakes import FakeDetector, drawn, save


class Fake:
    """Calls a face happy if its first pixel is at least `least`."""

    def __init__(self, *, least: int = 128, digest: str = "", name: str = "fake") -> None:
        self.name, self.least, self.classes = name, least, BINARY.class_names
        self.crop = CROP_RULE
        task = msgspec.convert(BINARY.to_dict(), schema.Task)
        self.record = SimpleNamespace(task=task, source_sha256=digest)
        self.weights = resolve_weights(None, get_backbone("hog"))

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        happy = (images[:, 0, 0] >= self.least).astype(float)
        return np.stack([1 - happy, happy], axis=1)

    def labels(self, probabilities: NDArray[Any]) -> NDArray[np.str_]:
        return np.array(self.classes)[probabilities.argmax(axis=1)]


ROWS = [
    # emotion, first pixel, group: 40 of each of two groups, and four of a third
    *[("happy", 200 if i < 30 else 100, "a") for i in range(40)],
    *[("sad", 50, "b") for _ in range(40)],
    *[("angry", 200, "c")] * 4,
    ("neutral", 0, "a"),
    ("surprise", 0, ""),
]


def picture(first: int, number: int) -> NDArray[np.uint8]:
    image = np.random.default_rng(number).integers(0, 256, (48, 48), np.uint8)
    image[0, 0] = first
    return image


IMAGES = np.stack([picture(first, number) for number, (_, first, _) in enumerate(ROWS)])


@pytest.fixture
def source(tmp_path: Path) -> FaceSource:
    path = tmp_path / "own.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Age Group"])
        for (emotion, _, group), image in zip(ROWS, IMAGES, strict=True):
            writer.writerow([EMOTIONS.index(emotion), " ".join(map(str, image.ravel())), group])
    return open_faces(path)


def evaluated(source: FaceSource, *models: Fake, **options: Any) -> Evaluation:
    first, *others = models or (Fake(),)
    groups = options.pop("groups", None)
    groups = read_groups(source, "age group") if groups is None else groups
    other: Any = others[0] if others else None
    model: Any = first
    return evaluate_model(model, source, groups=groups, group="age group", other=other, **options)


def named(found: Evaluation, kind: str, name: str) -> GroupScore:
    (one,) = [one for one in found.scores if (one.kind, one.name) == (kind, name)]
    return one


def test_scores_of_all_of_each_class_and_of_each_group(source: FaceSource) -> None:
    found = evaluated(source)
    whole = named(found, "all", "all")
    assert (whole.n, whole.accuracy) == (84, 70 / 84)
    assert whole.balanced_accuracy == pytest.approx((30 / 40 + 40 / 44) / 2)
    assert whole.interval[0] < 70 / 84 < whole.interval[1]
    assert found.confusion == [[40, 4], [10, 30]]
    assert named(found, "class", "happy").accuracy == 0.75
    assert [named(found, "group", one).n for one in "abc"] == [40, 40, 4]
    assert found.left_out.other_class == {"surprise": 1, "neutral": 1}


def test_the_progress_counts_the_faces_that_are_predicted(source: FaceSource) -> None:
    shown: list[Any] = []

    @contextmanager
    def progress(title: str, total: int, unit: str) -> Iterator[Advance]:
        shown.append((title, total, unit))
        yield shown.append

    evaluated(source, Fake(), progress=progress)
    assert shown == [("scoring", 84, "faces"), 84]


def test_a_small_group_has_an_interval_and_no_verdict(source: FaceSource) -> None:
    found = evaluated(source)
    small = named(found, "group", "c")
    assert small.outcome == "few"
    assert small.interval == (0, pytest.approx(0.4899, abs=1e-4))  # Wilson's of 0 out of 4
    # "a" holds all happy faces: there is no face outside to compare it with, class by class
    assert (named(found, "group", "a").outcome, named(found, "group", "a").p) == ("open", 1)
    assert named(found, "group", "b").outcome == "better"  # than the angry faces of "c"


def test_a_group_of_all_faces_has_no_others(source: FaceSource) -> None:
    found = evaluated(source, groups=np.full(len(source.index()), "every"))
    one = named(found, "group", "every")
    assert (one.n, one.outcome, one.p) == (84, "alone", None)
    assert "no others" in found.to_markdown()


def test_two_models_on_the_same_faces(source: FaceSource) -> None:
    found = evaluated(source, Fake(), Fake(least=80, name="other"))  # also right on 100
    against = named(found, "all", "all").against
    assert against is not None
    assert (against.only_model, against.only_other, against.outcome) == (0, 10, "behind")
    assert against.p == pytest.approx(2 / 2**10)
    assert against.difference.value == pytest.approx(-10 / 84)
    of_group = named(found, "group", "a").against
    assert of_group is not None
    assert of_group.p == pytest.approx(2 * 2 / 2**10)  # Holm's correction: two groups are tested
    few = named(found, "group", "c").against
    assert few is not None
    assert few.outcome == "few"


def test_faces_that_were_learnt_from_are_left_out_and_counted(
    source: FaceSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = IMAGES[10].copy()
    copied[20, 20] ^= 1
    seen = Seen(image_keys(pixel_sha256(IMAGES[:3])), signature_list(copied[None]))
    monkeypatch.setattr(module, "seen_images", lambda weights: seen)
    found = evaluated(source)
    assert found.left_out[1:3] == (3, 1)
    assert named(found, "all", "all").n == 80
    assert "Left out: 3 faces that the backbone has learnt from, and 1" in found.to_markdown()
    allowed = evaluated(source, allow_seen=True)
    assert named(allowed, "all", "all").n == 84
    assert "Scored all the same: 3 faces" in allowed.to_markdown()


def test_what_a_head_was_fitted_to_is_refused(source: FaceSource) -> None:
    model = Fake(digest=source.digest())
    with pytest.raises(FerError, match="is what the head of fake was fitted to"):
        evaluated(source, model)
    found = evaluated(source, model, allow_seen=True)
    assert found.notes == ("The head of fake was fitted to and chosen on faces of these.",)


def test_the_model_of_a_run_knows_its_source(tmp_path: Path) -> None:
    cache = fer.extract("sample", backbone="hog", per_class="20", cache_dir=tmp_path / "cache")
    run = fer.fit(cache, head="ridge", runs_dir=tmp_path / "runs")
    model = fer.load_model(fer.load_model(run).save(tmp_path / "model.fer"))
    with pytest.raises(
        FerError, match=r"sample is what the head of model@[0-9a-f]{8} was fitted to"
    ):
        evaluate_model(model, open_faces("sample"))


PHOTOGRAPHS = {
    "happy/right.png": drawn((100, 10, 60, 200)),
    "happy/wrong.png": drawn((10, 10, 60, 100)),
    "happy/largest.png": drawn((10, 10, 30, 90), (100, 10, 60, 200)),
    "happy/none.png": drawn(),
    "sad/right.png": drawn((10, 10, 60, 50)),
    "sad/small.png": drawn((10, 10, 12, 50)),
    "sad/damaged.png": None,
}


@pytest.fixture
def photographs(tmp_path: Path) -> FaceSource:
    for name, picture in PHOTOGRAPHS.items():
        path = tmp_path / "photographs" / name
        if picture is None:
            path.write_bytes(b"no picture")
        else:
            save(path, picture)
    return open_faces(tmp_path / "photographs")


def test_the_largest_face_of_each_photograph(photographs: FaceSource) -> None:
    model: Any = Fake()
    found = evaluate_model(model, photographs, whole=False, detector=FakeDetector())
    assert found.confusion == [[1, 0], [1, 2]]
    assert (named(found, "all", "all").n, named(found, "all", "all").accuracy) == (4, 3 / 4)
    every = found.scores[1]
    assert (every.kind, every.n, every.accuracy) == ("with unanswered", 7, 3 / 7)
    assert every.balanced_accuracy == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert found.unanswered == {"no_face": 1, "too_small": 1, "unreadable": 1}
    assert found.to_dict()["unanswered"] == found.unanswered
    assert [row[:2] for row in found.rows()] == [
        ["all", "4"],
        ["no_face", "1"],
        ["too_small", "1"],
        ["unreadable", "1"],
        ["all, unanswered as wrong", "7"],
        ["class: not happy", "1"],
        ["class: happy", "3"],
    ]
    assert "that of the 4 faces answered; no answer for 3 pictures (no_face 1," in found.texts()[0]


def test_whole_photographs_that_are_scored_as_faces_are_noted(tmp_path: Path) -> None:
    save(tmp_path / "own" / "happy" / "a.png", drawn((10, 10, 60, 50)))
    Image.new("L", (640, 480)).save(tmp_path / "own" / "happy" / "b.png")
    Image.new("L", (400, 480)).save(tmp_path / "own" / "happy" / "c.png")
    model: Any = Fake()
    found = evaluate_model(model, open_faces(tmp_path / "own"))
    assert "the largest 640×480 pixels" in found.texts()[-1]
    assert "--faces found finds the faces" in found.texts()[-1]
    found = evaluate_model(
        model, open_faces(tmp_path / "own"), whole=False, detector=FakeDetector()
    )
    assert not found.notes


def test_two_models_on_the_faces_that_are_found(photographs: FaceSource) -> None:
    model: Any = Fake()
    other: Any = Fake(least=80, name="other")
    found = evaluate_model(model, photographs, whole=False, detector=FakeDetector(), other=other)
    against = named(found, "all", "all").against
    assert against is not None
    assert (against.only_model, against.only_other) == (0, 1)
    assert {len(row) for row in found.rows()} == {len(found.columns())}


def test_a_face_that_was_learnt_is_left_out_where_it_is_found(
    photographs: FaceSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    crop = np.full((1, 48, 48), 200, np.uint8)  # of two of the photographs
    seen = Seen(image_keys(pixel_sha256(crop)), None)
    monkeypatch.setattr(module, "seen_images", lambda weights: seen)
    model: Any = Fake()
    found = evaluate_model(model, photographs, whole=False, detector=FakeDetector())
    assert found.left_out.learnt == 2
    assert (found.scores[0].n, found.scores[1].n) == (2, 5)


def test_a_csv_file_s_pictures_are_looked_at_too(source: FaceSource) -> None:
    model: Any = Fake()

    class Half(FakeDetector):
        def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
            whole = drawn((0, 0, 48, 255), size=(48, 48))
            return super().detect(whole) if picture[0, 0] >= 128 else []

    found = evaluate_model(model, source, whole=False, detector=Half())
    assert named(found, "all", "all").n == 34
    assert found.unanswered == {"no_face": 50, "too_small": 0, "unreadable": 0}


def test_faces_cut_out_otherwise_are_refused_where_faces_are_looked_for(
    photographs: FaceSource,
) -> None:
    model: Any = Fake()
    model.crop = "tight-2"
    with pytest.raises(FerError, match="cut out by the rule tight-2"):
        evaluate_model(model, photographs, whole=False, detector=FakeDetector())


def test_no_face_of_the_model_s_classes_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "neutral"
    folder.mkdir(parents=True)
    Image.fromarray(IMAGES[0]).save(folder / "one.png")
    model: Any = Fake()
    with pytest.raises(FerError, match="no face that can be scored"):
        evaluate_model(model, open_faces(tmp_path / "own"))


def test_groups_of_pictures_come_from_a_table(tmp_path: Path) -> None:
    for name, image in zip(("happy/1.png", "happy/2.png", "sad/1.png"), IMAGES, strict=False):
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    source, table = open_faces(tmp_path / "own"), tmp_path / "table.csv"
    table.write_text("group,file\nold,2.png\nyoung,sad/1.png\nold,1.png\n", encoding="utf-8")
    # 1.png alone may be either of two pictures
    assert read_groups(source, "group", table=table).tolist() == [NO_GROUP, "old", "young"]
    with pytest.raises(FerError, match="has no column age"):
        read_groups(source, "age", table=table)
    with pytest.raises(FerError, match="own has no column group") as error:
        read_groups(source, "group")
    assert "--table FILE.csv" in (error.value.hint or "")
    table.write_text("group,file\nold,3.png\n", encoding="utf-8")
    with pytest.raises(FerError, match="lists no picture of own"):
        read_groups(source, "group", table=table)


def test_mantel_haenszel_by_hand() -> None:
    # One class: 1 of 4 inside and 3 of 4 outside are right. Expected inside 2, variance
    # 4 · 4 · 4 · 4 / (64 · 7) = 4/7; chi square (1 - 0.5)² / (4/7) = 0.4375.
    right, inside = [1, 0, 0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0, 0, 0]
    found = mantel_haenszel(right, inside, np.zeros(8, int))
    assert found.excess == -1
    assert found.p == pytest.approx(0.5083, abs=1e-4)
    # A group of all the faces of a difficult class is not worse than the others.
    assert mantel_haenszel([0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]).p == 1


@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    for number, face in enumerate(load_faces("sample").images[:14]):
        emotion = EMOTIONS[load_faces("sample").emotion[number]]
        path = tmp_path / emotion / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(face).resize((96, 96)).save(path)
    args = ["evaluate", "fernet", str(tmp_path), "--against", "fernet"]
    result = CliRunner().invoke(app, [*args, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["scores"][0]["n"] == 14
    assert found["scores"][0]["against"]["p"] == 1
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    assert "too few to say" in result.stdout
