"""What a source holds, by hand for a handful of faces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_features.data import BadRow, FaceIndex, Faces
from fer_features.data.faces import SampleFaces, pixel_sha256
from fer_features.data.folder import FolderFaces
from fer_features.data.summary import photograph_notes, picture_forms, sample_rows, summarize
from fer_features.errors import FerError


class FewFaces:
    """A source of ten faces held in memory; `kinds` says which of them are the same image."""

    name = "few"
    kinds = (0, 1, 2, 1, 2, 2, 3, 4, 3, 5)

    def digest(self) -> str:
        return "d" * 64

    def index(self) -> FaceIndex:
        return FaceIndex(
            row=np.array([0, 1, 2, 4, 5, 6, 7, 8, 9, 10]),
            emotion=np.array([0, 3, 4, 3, 4, 5, 6, 3, 0, 3], np.int8),
            usage=np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, -1], np.int8),
            bad=(BadRow(3, "2303 pixels instead of 2304"),),
        )

    def read(self, rows: np.ndarray, *, batch_size: int = 1024) -> Iterator[Faces]:
        index = self.index()
        assert rows.tolist() == index.row.tolist()
        kind = np.array(self.kinds)
        images = np.full((10, 48, 48), 100, np.uint8)
        images[:, 0, 0] = np.where(kind == 4, 100, kind)
        images[kind == 5] = 0
        for part in (slice(0, 4), slice(4, 10)):
            yield Faces(
                images=images[part],
                emotion=index.emotion[part],
                usage=index.usage[part],
                row=index.row[part],
                sha256=pixel_sha256(images[part]),
            )


def test_summary_counts_by_emotion_and_usage() -> None:
    summary = summarize(FewFaces())
    assert (summary.name, summary.digest, summary.rows) == ("few", "d" * 64, 10)
    assert summary.image_size == (48, 48)
    assert summary.counts.tolist() == [
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [2, 0, 1, 1],
        [1, 1, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
    ]


def test_summary_finds_copies_conflicts_and_constant_images() -> None:
    summary = summarize(FewFaces())
    # Kinds 1 and 3 stand twice and 2 three times: 1 + 1 + 2 are surplus.
    assert summary.copies == 4
    # Kind 1 is happy twice; 2 is sad, sad and surprise; 3 is neutral and angry.
    assert summary.conflicts == 2
    assert summary.constant == (8, 10)
    assert summary.bad == (BadRow(3, "2303 pixels instead of 2304"),)


def test_summary_as_json() -> None:
    found = json.loads(json.dumps(summarize(FewFaces()).to_dict()))
    assert found["counts"]["happy"] == {
        "Training": 2,
        "PublicTest": 0,
        "PrivateTest": 1,
        "none": 1,
    }
    del found["counts"]
    assert found == {
        "name": "few",
        "sha256": "d" * 64,
        "rows": 10,
        "image_size": [48, 48],
        "surplus_copies": 4,
        "conflicting_groups": 2,
        "constant_rows": [8, 10],
        "bad_rows": [{"row": 3, "reason": "2303 pixels instead of 2304"}],
        "notes": [],
        "pictures": None,
    }


def test_a_folder_s_pictures_are_described_as_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    for name, size, mode in (
        ("a.png", (48, 48), "L"),
        ("b.png", (60, 90), "RGB"),  # 1 : 1.5, which is not beyond it
        ("c.png", (91, 60), "L"),
        ("d.png", (91, 60), "I;16"),
    ):
        Image.new(mode, size).save(tmp_path / "happy" / name)
    (tmp_path / "happy" / "notes.txt").touch()
    found = summarize(FolderFaces(tmp_path)).to_dict()
    assert found["pictures"] == {
        "sizes": {"91x60": 2, "48x48": 1, "60x90": 1},
        "width": [48, 91],
        "height": [48, 90],
        "resized": 3,
        "colour": 1,
        "long": 2,
        "long_example": "happy/c.png",
    }
    (note,) = found["notes"]
    assert "happy/notes.txt" in note


@pytest.mark.parametrize(
    ("sizes", "noted"),
    [
        (((48, 48),), False),
        (((192, 192),), False),  # a face cut out in another size
        (((193, 193),), True),
        (((96, 48),), False),
        (((97, 64),), True),  # 1 : 1.52
        (((97, 65),), False),
        (((640, 480), (48, 48)), False),  # one of two
        (((640, 480), (500, 600), (48, 48)), True),
    ],
)
def test_most_pictures_as_large_as_photographs_are_noted(
    tmp_path: Path, sizes: tuple[tuple[int, int], ...], noted: bool
) -> None:
    (tmp_path / "happy").mkdir()
    for number, size in enumerate(sizes):
        Image.new("L", size).save(tmp_path / "happy" / f"{number}.png")
    (tmp_path / "happy" / "damaged.png").write_bytes(b"not a picture")
    notes = list(photograph_notes(FolderFaces(tmp_path), option="--detect"))
    assert len(notes) == noted
    if len(sizes) == 3:
        assert "the largest 640×480 pixels) are each squashed whole to 48×48" in notes[0]
        assert notes[0].endswith("in photographs --detect finds the faces instead")


def test_a_source_without_pictures_has_no_photographs() -> None:
    assert not list(photograph_notes(SampleFaces(), option="--detect"))


def test_sizes_leave_out_what_skip_bad_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    Image.new("L", (60, 60)).save(tmp_path / "happy" / "a.png")
    (tmp_path / "happy" / "b.png").write_bytes(b"not a picture")
    assert picture_forms(FolderFaces(tmp_path, skip_bad=True)).sizes == {(60, 60): 1}
    with pytest.raises(FerError, match=r"happy/b\.png \(row 1\)"):
        picture_forms(FolderFaces(tmp_path))


def an_index(emotion: np.ndarray) -> FaceIndex:
    return FaceIndex(
        row=np.arange(len(emotion)) * 2,
        emotion=emotion.astype(np.int8),
        usage=np.zeros(len(emotion), np.int8),
    )


def test_sample_has_so_many_rows_of_each_emotion() -> None:
    emotion = np.arange(70) % 7
    rows = sample_rows(an_index(emotion), per_emotion=3, seed=0)
    assert rows.dtype == np.int64
    assert (np.diff(rows) > 0).all()
    assert np.bincount(emotion[rows // 2]).tolist() == [3] * 7


def test_sample_takes_all_of_a_rare_emotion_and_none_of_a_missing_one() -> None:
    emotion = np.array([3, 1, 3, 3])
    assert sample_rows(an_index(emotion), per_emotion=2, seed=1)[0:3].tolist().count(2) == 1
    assert sample_rows(an_index(emotion), per_emotion=9, seed=1).tolist() == [0, 2, 4, 6]
    assert sample_rows(an_index(np.array([])), per_emotion=9, seed=1).tolist() == []


def test_sample_depends_on_the_seed_alone() -> None:
    index = an_index(np.arange(700) % 7)
    first = sample_rows(index, per_emotion=5, seed=4)
    assert (first == sample_rows(index, per_emotion=5, seed=4)).all()
    assert (first != sample_rows(index, per_emotion=5, seed=5)).any()


def test_sample_of_an_emotion_does_not_depend_on_the_others() -> None:
    emotion = np.arange(700) % 7
    fewer = np.flatnonzero(emotion != 2)
    index = an_index(emotion)
    without = FaceIndex(
        row=index.row[fewer], emotion=index.emotion[fewer], usage=index.usage[fewer]
    )
    all_rows = sample_rows(index, per_emotion=5, seed=4)
    kept = all_rows[emotion[all_rows // 2] != 2]
    assert (sample_rows(without, per_emotion=5, seed=4) == kept).all()


@pytest.mark.parametrize(("per_emotion", "seed"), [(0, 0), (1, -1)])
def test_sample_refuses_what_cannot_be_chosen(per_emotion: int, seed: int) -> None:
    with pytest.raises(FerError, match=rf"\b{per_emotion}\b.* {seed}\b"):
        sample_rows(an_index(np.arange(7)), per_emotion=per_emotion, seed=seed)
