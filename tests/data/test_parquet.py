"""Parquet files as a source of faces."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_features.config import FitConfig
from fer_features.data import open_faces, read_all
from fer_features.data.audit import audit
from fer_features.data.summary import summarize
from fer_features.errors import FerError
from fer_features.extract.run import extract_features
from fer_features.fit.fit import fit_each
from fer_features.model.evaluate import read_groups


def png(level: int, *, size: tuple[int, int] = (48, 48)) -> bytes:
    """A picture file of one grey level with a white corner."""
    image = np.full(size[::-1], level, np.uint8)
    image[0, 0] = 255
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def write(path: Path, *, classes: list[str] | None = None, group: int = 2, **columns: Any) -> Path:
    """A Parquet file, with class names of the column ``label`` as ``datasets`` writes them."""
    table = pa.table(columns)
    if classes:
        about = {"info": {"features": {"label": {"names": classes, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


def hugging(*pictures: bytes | None) -> pa.Array:
    """The column that ``datasets`` writes for pictures."""
    type_ = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": one, "path": "a.png"} for one in pictures], type_)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "struct"])
def test_reads_pictures_and_names(tmp_path: Path, binary: bool) -> None:
    pictures = [png(level) for level in range(5)]
    names = ["happy", "Anger", "sadness", "neutral", "fear"]
    image = pictures if binary else hugging(*pictures)
    source = open_faces(write(tmp_path / "faces.parquet", image=image, label=names))
    faces = read_all(source)
    assert source.name == "faces.parquet"
    assert faces.emotion.tolist() == [3, 0, 4, 6, 2]
    assert faces.usage.tolist() == [-1] * 5
    assert faces.images[:, 1, 1].tolist() == list(range(5))
    assert source.index().notes == ()


def test_reads_only_the_rows_asked_for_in_any_batches(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", image=[png(level) for level in range(9)], label=["sad"] * 9, group=4
    )
    source = open_faces(path)
    found = [
        part.images[:, 1, 1].tolist() for part in source.read(np.array([1, 6, 8]), batch_size=2)
    ]
    assert found == [[1, 6], [8]]
    assert list(source.read(np.array([], np.int64))) == []


def test_the_parts_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    for number, name in enumerate(
        ["test-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002", "validation-0"]
    ):
        write(folder / f"{name}.parquet", image=[png(number)] * 3, label=["happy", "sad", "fear"])
    (folder / "README.md").touch()
    source = open_faces(folder)
    faces = read_all(source)
    assert faces.usage.tolist() == [2] * 3 + [0] * 6 + [1] * 3
    assert faces.images[::3, 1, 1].tolist() == [0, 1, 2, 3]
    assert source.index().notes == ("skipped, not *.parquet: 1, for example README.md",)


def test_numbers_have_the_names_of_the_metadata(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        classes=["neutral", "happiness", "sadness"],
        image=hugging(*[png(0)] * 4),
        label=[0, 1, 2, 1],
    )
    index = open_faces(path).index()
    assert index.emotion.tolist() == [6, 3, 4, 3]
    assert index.notes == ()


def test_other_numbers_are_fer2013_s_which_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", image=[png(0)] * 3, label=[0, 3, 6])
    index = open_faces(path).index()
    assert index.emotion.tolist() == [0, 3, 6]
    (note,) = index.notes
    assert note.startswith("numbers in column label are read in FER2013's order: 0 angry")


def test_numbers_beyond_fer2013_s_are_refused_unless_each_has_a_rule(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", image=[png(0)] * 3, label=[0, 1, 7])
    for ignore in ((), ("7",)):
        with pytest.raises(FerError, match="numbers beyond FER2013's 0 to 6, such as 7"):
            open_faces(path, ignore=ignore).index()
    rules = {"0": "neutral", "1": "happy"}
    index = open_faces(path, ignore=("7",), classes=rules).index()
    assert index.emotion.tolist() == [6, 3]
    assert index.ignored == 1
    assert open_faces(path, ignore=("7",), classes=rules).digest() != open_faces(path).digest()


@pytest.mark.parametrize("kind", ["text", "uint8", "int64"])
def test_reads_fer2013_s_own_form(tmp_path: Path, kind: str, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (3, 2304)).astype(np.uint8)
    pixels: Any = [" ".join(map(str, one)) for one in images.tolist()]
    if kind != "text":
        pixels = pa.array(images.tolist(), pa.list_(getattr(pa, kind)()))
    path = write(
        tmp_path / "a.parquet",
        emotion=[0, 3, 6],
        pixels=pixels,
        Usage=["Training", "PublicTest", "PrivateTest"],
    )
    faces = read_all(open_faces(path))
    assert (faces.images.reshape(3, -1) == images).all()
    assert faces.usage.tolist() == [0, 1, 2]
    assert summarize(open_faces(path)).pictures is None


def test_bad_rows_are_errors_or_are_left_out(tmp_path: Path) -> None:
    pictures = [png(0), b"no picture", None, png(3), png(4), png(5)]
    names = ["happy", "happy", "sad", "contempt", None, "sad"]
    parts = ["train", "train", "test", "val", "val", "val"]
    path = write(tmp_path / "a.parquet", image=hugging(*pictures), label=names, split=parts)
    with pytest.raises(FerError, match=r"a\.parquet \(row 3\): label is 'contempt'") as caught:
        open_faces(path).index()
    assert "--ignore contempt" in caught.value.hint
    index = open_faces(path, skip_bad=True).index()
    assert index.row.tolist() == [0, 5]
    assert index.source_rows == 6
    reasons = {one.row: one.reason for one in index.bad}
    assert reasons == {
        1: "it is no picture of a known type",
        2: "it holds no picture",
        3: "label is 'contempt', none of the labels",
        4: "label is empty, none of the labels",
    }
    good = write(tmp_path / "b.parquet", image=hugging(*pictures[:2]), label=names[:2])
    with pytest.raises(FerError, match=r"b\.parquet \(row 1\): it is no picture"):
        read_all(open_faces(good))


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [([0] * 2303, "2303 pixels"), ([256] * 2304, "from 0 to 255"), ("1 2", "2 pixels instead")],
    ids=["few", "large", "text"],
)
def test_bad_pixels_are_named(tmp_path: Path, pixels: Any, reason: str) -> None:
    path = write(tmp_path / "a.parquet", pixels=[pixels], label=["sad"])
    with pytest.raises(FerError, match=rf"\(row 0\): .*{reason}"):
        read_all(open_faces(path))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [1]}, "no column for the image"),
        ({"image": [b"a"]}, "no column for the label"),
        ({"image": [b"a"], "pixels": ["1"], "label": [1]}, "more than one column for the image"),
        ({"photo": [b"a"], "mask": [b"a"], "label": [1]}, "more than one column for the image"),
        ({"image": [b"a"], "label": [1], "emotion": [2]}, "more than one column for the label"),
        ({"image": ["a.png"], "label": [1]}, "image is of no type"),
        ({"image": [b"a"], "label": [[1]]}, "label is of no type"),
    ],
)
def test_columns_that_are_missing_or_ambiguous(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(FerError, match=message) as caught:
        open_faces(write(tmp_path / "a.parquet", **columns)).index()
    assert all(name in caught.value.message for name in columns)


def test_a_single_column_of_pictures_needs_no_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", img_bytes=[png(9)], labels=["sad"], width=[48])
    assert read_all(open_faces(path)).images[0, 1, 1] == 9


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", image=pa.array([], pa.binary()), label=pa.array([], "string")
    )
    with pytest.raises(FerError, match="no usable row"):
        open_faces(path).index()


def test_files_of_a_folder_have_one_form(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", image=[png(0)], label=["sad"])
    write(tmp_path / "b.parquet", image=[png(0)], label=[4])
    write(tmp_path / "c.parquet", image=[png(0)], emotion=["sad"])
    with pytest.raises(FerError, match=r"c\.parquet has other columns"):
        open_faces(tmp_path).index()


def test_damaged_and_changed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(FerError, match=r"a\.parquet is no Parquet file"):
        open_faces(path).index()
    source = open_faces(write(path, image=[png(0)], label=["sad"]))
    source.index()
    write(path, image=[png(0), png(1)], label=["sad", "sad"])
    with pytest.raises(FerError, match="has changed"):
        read_all(source)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(FerError, match="need pyarrow") as caught:
        open_faces(path).index()
    assert caught.value.hint.startswith("pip install")


def test_the_digest_is_of_content_and_parts(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", image=[png(0)], label=["sad"])
    same = write(tmp_path / "b.parquet", image=[png(0)], label=["sad"])
    other = write(tmp_path / "c.parquet", image=[png(1)], label=["sad"])
    part = write(tmp_path / "train.parquet", image=[png(0)], label=["sad"])
    digests = [open_faces(path).digest() for path in (first, same, other, part)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def a_set(folder: Path, rng: np.random.Generator) -> tuple[Path, Path]:
    """The same 24 pictures in class folders and in two Parquet files, in the order of the paths."""
    pictures, names, parts = [], [], []
    for part, count in (("test", 2), ("train", 8), ("val", 2)):
        for name in ("happy", "sad"):
            (folder / "folder" / part / name).mkdir(parents=True)
            for number in range(count):
                file = folder / "folder" / part / name / f"{number}.png"
                image = rng.integers(0, 256, (60, 50, 3)).astype(np.uint8)
                Image.fromarray(image).save(file)
                pictures.append(file.read_bytes())
                names.append(name)
                parts.append(part)
    for number, rows in enumerate((slice(0, 10), slice(10, None))):
        write(
            folder / "parquet" / f"part-{number}.parquet",
            image=hugging(*pictures[rows]),
            label=names[rows],
            split=parts[rows],
            age=["old", None] * len(pictures[rows][::2]),
        )
    return folder / "folder", folder / "parquet"


def test_a_folder_and_a_parquet_file_give_equal_features_and_fits(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    found = []
    for path in a_set(tmp_path, rng):
        config = {"backbone": "pixels", "task": "binary", "cache_dir": tmp_path / "cache"}
        cache = extract_features(path, **config)
        data = cache.dataset()
        fits = FitConfig(cache.path, heads=("logreg",), split="usage", runs_dir=tmp_path / "runs")
        (run,) = fit_each(fits)
        found.append((data.X, data.y, cache.rows.usage, run.record.test))
        assert len(audit(open_faces(path)).to_dict()) > 0
    for one, other in zip(*found, strict=True):
        np.testing.assert_equal(one, other)


def test_pictures_are_described_and_columns_are_groups(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    _, path = a_set(tmp_path, rng)
    pictures = summarize(open_faces(path)).pictures
    assert pictures is not None
    assert pictures.sizes == {(50, 60): 24}
    assert read_groups(open_faces(path), "AGE").tolist() == ["old", "(none)"] * 12
