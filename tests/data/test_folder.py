"""A folder of class folders as a source of faces."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_features.data import EMOTIONS, open_faces, read_all
from fer_features.data.folder import FolderFaces
from fer_features.errors import FerError


def face(level: int) -> np.ndarray:
    """A face of one grey level, except for one white pixel."""
    image = np.full((48, 48), level, np.uint8)
    image[0, 0] = 255
    return image


def fill(root: Path, *paths: str) -> Path:
    """Put pictures into a folder; the n-th is of level n."""
    for level, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face(level)).save(root / path)
    return root


def test_reads_each_class_folder(tmp_path: Path) -> None:
    source = open_faces(fill(tmp_path / "faces", *(f"{name}/1.png" for name in EMOTIONS)))
    faces = read_all(source)
    assert source.name == "faces"
    # In the order of the paths: angry, disgust, fear, happy, neutral, sad, surprise.
    assert faces.emotion.tolist() == [0, 1, 2, 3, 6, 4, 5]
    assert faces.row.tolist() == list(range(7))
    assert faces.usage.tolist() == [-1] * 7
    assert (faces.images == [face(level) for level in faces.emotion]).all()
    assert faces.sha256[4] == hashlib.sha256(face(6).tobytes()).hexdigest().encode()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Anger", 0),
        ("DISGUSTED", 1),
        ("fearful", 2),
        ("happiness", 3),
        ("Sadness", 4),
        ("surprised", 5),
        ("Neutral", 6),
        *((str(code), code) for code in range(7)),
    ],
)
def test_knows_other_spellings(tmp_path: Path, name: str, code: int) -> None:
    source = FolderFaces(fill(tmp_path, f"{name}/a.png"))
    assert source.index().emotion.tolist() == [code]


@pytest.mark.parametrize(
    ("path", "usage"),
    [
        ("train/happy/1.png", 0),
        ("Training/happy/1.png", 0),
        ("val/happy/1.png", 1),
        ("valid/happy/1.png", 1),
        ("validation/happy/1.png", 1),
        ("PublicTest/happy/1.png", 1),
        ("test/happy/1.png", 2),
        ("PrivateTest/happy/1.png", 2),
        ("happy/1.png", -1),
        ("happy/Training_3908.png", 0),
        ("test/happy/PublicTest_1.png", 1),
        ("test/happy/PrivateTest_1.png", 2),
        ("train/happy/privatetest_1.png", 2),
        ("train/happy/Training.png", 0),
        ("happy/PublicTesting_1.png", -1),
    ],
)
def test_usage_is_the_name_s_or_else_the_part_s(tmp_path: Path, path: str, usage: int) -> None:
    assert FolderFaces(fill(tmp_path, path)).index().usage.tolist() == [usage]


def test_rows_are_in_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = ["train/sad/b.png", "test/happy/10.png", "train/sad/B.JPG", "test/happy/9.png"]
    source = FolderFaces(fill(tmp_path, *paths, "train/sad/a/x.png"))
    # test/happy/10, test/happy/9, train/sad/B, train/sad/a/x, train/sad/b
    assert source.index().emotion.tolist() == [3, 3, 4, 4, 4]
    levels = [int(image[9, 9]) for image in read_all(source).images]
    assert levels[:2] + levels[3:] == [1, 3, 4, 0]


def test_reads_chosen_rows_in_batches(tmp_path: Path) -> None:
    source = FolderFaces(fill(tmp_path, *(f"fear/{level}.png" for level in range(6))))
    batches = list(source.read(np.array([1, 3, 5]), batch_size=2))
    assert [batch.row.tolist() for batch in batches] == [[1, 3], [5]]
    assert (batches[0].images == [face(1), face(3)]).all()


def test_other_files_are_not_looked_at(tmp_path: Path) -> None:
    fill(tmp_path, "train/happy/1.png", "train/happy/._1.png", "train/happy/.x/2.png")
    fill(tmp_path, ".hidden/contempt/1.png", "__MACOSX/happy/1.png")
    for path in (".DS_Store", "README.txt", "train/.DS_Store", "train/happy/Thumbs.db"):
        (tmp_path / path).write_bytes(b"?")
    assert len(FolderFaces(tmp_path, skip_bad=True).index()) == 1


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    source = FolderFaces(fill(tmp_path / "faces", "train/happy/1.png", "train/contempt/1.png"))
    with pytest.raises(FerError, match="faces/train/contempt ") as caught:
        source.index()
    assert "surprise" in caught.value.hint


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "faces", "happy/1.png")
    (tmp_path / "faces" / "sad").mkdir()
    (tmp_path / "faces" / "sad" / "notes.txt").write_text("none yet")
    with pytest.raises(FerError, match="faces/sad "):
        FolderFaces(tmp_path / "faces").index()


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FerError, match=tmp_path.name):
        FolderFaces(tmp_path).index()
    (tmp_path / "train").mkdir()
    with pytest.raises(FerError, match="/train "):
        FolderFaces(tmp_path).digest()


def test_a_picture_outside_the_class_folders_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/happy/1.png", "train/2.png")
    with pytest.raises(FerError, match=r"train/2\.png "):
        FolderFaces(tmp_path).index()


def damaged(root: Path) -> Path:
    fill(root, "happy/0.png", "happy/1.png", "sad/2.png")
    path = root / "happy/1.png"
    path.write_bytes(path.read_bytes()[:60])
    return root


def test_index_lists_and_read_names_the_bad_picture(tmp_path: Path) -> None:
    source = FolderFaces(damaged(tmp_path / "faces"))
    assert source.index().row.tolist() == [0, 1, 2]
    with pytest.raises(FerError, match=r"faces/happy/1\.png .*row 1\b") as caught:
        list(source.read(np.array([0, 1])))
    assert "--skip-bad" in caught.value.hint
    assert (next(source.read(np.array([0, 2]))).images == [face(0), face(2)]).all()


def test_skip_bad_leaves_the_picture_out_and_says_why(tmp_path: Path) -> None:
    source = FolderFaces(damaged(tmp_path), skip_bad=True)
    index = source.index()
    assert index.row.tolist() == [0, 2]
    assert index.emotion.tolist() == [3, 4]
    assert [one.row for one in index.bad] == [1]
    assert index.bad[0].reason.startswith("happy/1.png: ")
    assert (read_all(source).images == [face(0), face(2)]).all()


def test_says_so_if_no_picture_can_be_used(tmp_path: Path) -> None:
    fill(tmp_path, "happy/0.png")
    (tmp_path / "happy/0.png").write_bytes(b"")
    with pytest.raises(FerError, match=r"row 0\b.*happy/0\.png"):
        FolderFaces(tmp_path, skip_bad=True).index()


def test_digest_is_over_paths_and_contents(tmp_path: Path) -> None:
    fill(tmp_path / "a", "happy/0.png", "sad/1.png")
    expected = hashlib.sha256()
    for path in ("happy/0.png", "sad/1.png"):
        inner = hashlib.sha256((tmp_path / "a" / path).read_bytes())
        expected.update(path.encode() + b"\0" + inner.digest())
    assert FolderFaces(tmp_path / "a").digest() == expected.hexdigest()

    fill(tmp_path / "other-name", "happy/0.png", "sad/1.png")
    (tmp_path / "other-name" / ".DS_Store").touch()
    assert FolderFaces(tmp_path / "other-name").digest() == expected.hexdigest()
    fill(tmp_path / "renamed", "happy/0.png", "sad/2.png")
    fill(tmp_path / "changed", "happy/0.png", "happy/x.png", "sad/1.png")
    (tmp_path / "changed/happy/x.png").unlink()
    digests = {FolderFaces(tmp_path / name).digest() for name in ("a", "renamed", "changed")}
    assert len(digests) == 3


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    source = FolderFaces(fill(tmp_path, "happy/0.png", "happy/1.png"))
    source.index()
    (tmp_path / "happy/1.png").unlink()
    for use in (source.digest, lambda: list(source.read(np.array([1])))):
        with pytest.raises(FerError, match=r"happy/1\.png .*\b1\b.*No such file"):
            use()


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="no "):
        FolderFaces(tmp_path / "no").index()


def test_a_class_folder_that_may_not_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "happy/1.png", "sad/deep/2.png")
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FerError, match=r"deep .*Permission denied"):
        FolderFaces(tmp_path).index()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are Unicode")
def test_a_name_that_is_no_text_does_no_harm(tmp_path: Path) -> None:
    fill(tmp_path, "happy/0.png", "happy/\udcff.png")
    source = FolderFaces(tmp_path)
    assert len(source.digest()) == 64
    assert len(read_all(source)) == 2


def test_refuses_rows_it_cannot_read(tmp_path: Path) -> None:
    source = FolderFaces(fill(tmp_path, "happy/0.png"))
    with pytest.raises(FerError, match=r"row 1\b"):
        source.read(np.array([1]))
    with pytest.raises(FerError, match="batch"):
        source.read(np.array([0]), batch_size=0)
