"""Which files of a folder are read and skipped, ignored and mapped classes, families."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_features.data import FaceIndex, open_faces, read_all
from fer_features.data.folder import FolderFaces
from fer_features.data.labels import Labels
from fer_features.errors import FerError


def fill(root: Path, *paths: str) -> Path:
    """Put pictures of one face each into a folder, and empty files where no picture is named."""
    for level, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if path.lower().endswith((".png", ".jfif", ".jp2")):
            Image.new("L", (48, 48), level).save(root / path)
        else:
            (root / path).touch()
    return root


def note_about(index: FaceIndex, word: str) -> str:
    (note,) = [one for one in index.notes if word in one]
    return note


def test_a_plain_folder_has_nothing_to_say(tmp_path: Path) -> None:
    fill(tmp_path, "train/happy/1.png", "train/happy/.DS_Store", "train/happy/._1.png")
    assert FolderFaces(tmp_path).index().notes == ()


def test_other_forms_of_jpeg_are_read(tmp_path: Path) -> None:
    source = FolderFaces(fill(tmp_path, "sad/1.jfif", "sad/2.JP2"))
    assert read_all(source).images[:, 0, 0].tolist() == [0, 1]
    assert source.index().notes == ()


def test_what_is_not_read_is_counted_and_named(tmp_path: Path) -> None:
    fill(tmp_path, "README.md", "train/labels.csv", "train/sad/1.png", "train/sad/1.HEIC")
    fill(tmp_path, "train/sad/2.heic", "train/sad/x/3.psd", "train/sad/Makefile", ".git/4.png")
    index = FolderFaces(tmp_path).index()
    assert len(index) == 1
    undecodable = note_about(index, "Pillow")
    assert all(one in undecodable for one in ("3 ", ".heic 2", ".psd 1", "train/sad/1.HEIC"))
    others = note_about(index, "not pictures")
    assert all(one in others for one in ("3 ", ".md 1", ".csv 1", "README.md"))
    assert ".git" in note_about(index, "hidden")


def test_a_class_of_unread_types_says_which(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="happy") as caught:
        FolderFaces(fill(tmp_path, "happy/1.heic")).index()
    assert ".heic 1" in caught.value.hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_named_and_never_opened(tmp_path: Path) -> None:
    fill(tmp_path, "happy/1.png")
    for path in ("happy/2.png", "happy/deep.jpg", "3.png"):
        os.mkfifo(tmp_path / path)
    (tmp_path / "happy" / "4.png").symlink_to(tmp_path / "3.png")
    (tmp_path / "happy" / "5.png").symlink_to("nowhere")
    (tmp_path / "happy" / "6.png").symlink_to("6.png")
    source = FolderFaces(tmp_path, skip_bad=True)
    assert len(source.index()) == 1
    assert len(source.digest()) == 64
    assert re.search(r"\b6\b.* 3\.png", note_about(source.index(), "pipes"))


def test_links_are_followed_but_never_round_in_a_circle(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "2.png", "deep/3.png")
    root = fill(tmp_path / "faces", "happy/1.png", "happy/own/4.png")
    (root / "happy" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "happy" / "file.png").symlink_to(tmp_path / "elsewhere" / "2.png")
    (root / "happy" / "again").symlink_to("own")
    (root / "happy" / "up").symlink_to("..")
    (tmp_path / "elsewhere" / "deep" / "top").symlink_to(tmp_path)
    (root / "self").symlink_to(".")
    source = FolderFaces(root)
    # happy/1.png, happy/file.png, happy/more/2.png, happy/more/deep/3.png, happy/own/4.png
    assert read_all(source).images[:, 0, 0].tolist() == [0, 0, 0, 1, 1]
    assert re.search(r"\b4\b.* happy/again", note_about(source.index(), "links"))


def test_a_note_names_the_order_of_numbered_classes(tmp_path: Path) -> None:
    fill(tmp_path, "3/1.png", "sad/2.png")
    assert "3 happy" in note_about(FolderFaces(tmp_path).index(), "numbers")
    assert not FolderFaces(tmp_path, classes={"3": "happy"}).index().notes[1:]


def test_names_that_overrule_the_folders_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, "train/sad/Training_1.png", "train/sad/PrivateTest_2.png", "train/sad/3.png")
    fill(tmp_path, "test/sad/PublicTest_4.png", "test/sad/PrivateTest_5.png")
    note = note_about(FolderFaces(tmp_path).index(), "overrule")
    assert re.search(r"\b2\b.* test/sad/PublicTest_4\.png", note)
    fill(tmp_path / "other", "sad/PublicTest_4.png", "sad/PrivateTest_5.png")
    assert FolderFaces(tmp_path / "other").index().notes == ()


def test_copies_are_a_family_by_official_part_and_number(tmp_path: Path) -> None:
    names = ["PublicTest_39.png", "Training_3908.jpg3.png", "Training_3908_flip.png"]
    names += ["Training_39080.png", "a_training_3908.png", "b.png", "overTraining_39.png"]
    fill(tmp_path, *(f"sad/{name}" for name in names), "fear/PublicTest_0039.png")
    source = FolderFaces(tmp_path)
    index = source.index()
    # fear/PublicTest_0039, sad/PublicTest_39, Training_3908.jpg3, Training_39080, …_flip, a_…, b, …
    assert index.family.tolist() == [0, 0, 1, -1, 1, 1, -1, -1]
    assert index.family.dtype == np.int64
    assert read_all(source).family.tolist() == index.family.tolist()
    assert next(source.read(np.array([3, 4]))).family.tolist() == [-1, 1]
    assert note_about(index, "photographs").startswith("2 ")
    assert re.search(r"\b5\b", note_about(index, "photographs"))


def test_other_sources_know_of_no_family() -> None:
    assert set(open_faces("sample").index().family.tolist()) == {-1}
    assert set(read_all(open_faces("sample"), np.array([3, 5])).family.tolist()) == {-1}


def contempt(root: Path) -> Path:
    return fill(root, "Contempt/1.png", "Contempt/x/2.png", "sad/3.png")


def test_a_class_can_be_left_out(tmp_path: Path) -> None:
    index = FolderFaces(contempt(tmp_path), ignore=("CONTEMPT",)).index()
    assert index.emotion.tolist() == [4]
    assert "2 pictures" in note_about(index, "CONTEMPT")


def test_a_class_can_count_as_an_emotion(tmp_path: Path) -> None:
    source = open_faces(contempt(tmp_path), classes={"contempt": "Disgusted"})
    assert source.index().emotion.tolist() == [1, 1, 4]
    assert "2 pictures" in note_about(source.index(), "contempt=disgust")


def test_another_choice_of_classes_is_another_digest(tmp_path: Path) -> None:
    fill(tmp_path, "disgust/1.png", "sad/2.png")
    choices = [{}, {"ignore": ("sad",)}, {"ignore": ("disgust",)}]
    choices += [{"classes": {"disgust": "angry"}}, {"classes": {"disgust": "fear"}}]
    assert len({FolderFaces(tmp_path, **one).digest() for one in choices}) == 5
    upper, lower = (FolderFaces(tmp_path, ignore=(name,)).digest() for name in ("SAD", "sad"))
    assert upper == lower


@pytest.mark.parametrize(
    ("ignore", "classes", "datum"),
    [
        (("contempt", "contemt"), {}, "contemt"),
        (("contempt",), {"contemt": "disgust"}, "contemt"),
        ((), {"contempt": "awe"}, "awe"),
        (("contempt",), {"contempt": "disgust"}, "contempt"),
        (("contempt", "sad"), {}, "--ignore"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(
    tmp_path: Path, ignore: tuple[str, ...], classes: dict[str, str], datum: str
) -> None:
    with pytest.raises(FerError, match=datum):
        FolderFaces(contempt(tmp_path), ignore=ignore, classes=classes).index()


def test_an_unknown_class_names_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="Contempt") as caught:
        FolderFaces(contempt(tmp_path)).index()
    assert "--ignore contempt" in caught.value.hint


def test_the_sample_has_no_other_classes() -> None:
    with pytest.raises(FerError, match="sample"):
        open_faces("sample", ignore=("contempt",))


def test_nothing_chosen_leaves_a_digest_as_it_is() -> None:
    assert Labels().folder_digest("d" * 64) == Labels().digest("d" * 64) == "d" * 64


def test_names_that_a_terminal_would_obey_are_escaped(tmp_path: Path) -> None:
    fill(tmp_path, "sad/1.png", "sad/\x1b[2J\n.txt")
    assert "sad/\\x1b[2J\\n.txt" in note_about(FolderFaces(tmp_path).index(), "not pictures")
