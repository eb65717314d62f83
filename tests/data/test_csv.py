"""``fer2013.csv`` in all its forms, good and bad."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_features.data import Faces, open_faces, read_all
from fer_features.data.csv import CsvFaces
from fer_features.errors import FerError

HEADER = "emotion,pixels,Usage"
LABELS = [(0, "Training"), (3, "Training"), (6, "PublicTest"), (4, "PrivateTest")]
IMAGES = np.random.default_rng(7).integers(0, 256, (4, 48, 48)).astype(np.uint8)


def text_of(image: np.ndarray) -> str:
    return " ".join(str(value) for value in image.ravel())


ROWS = [f"{label},{text_of(image)},{usage}" for (label, usage), image in zip(LABELS, IMAGES)]  # noqa: B905
GOOD = "\n".join([HEADER, *ROWS]) + "\n"


def write(folder: Path, content: str | bytes, name: str = "fer2013.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: dict[str, str], packing: str = "") -> Path:
    with tarfile.open(path, f"w:{packing}") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content.encode())
            archive.addfile(about, io.BytesIO(content.encode()))
    return path


def assert_good(faces: Faces) -> None:
    assert (faces.images == IMAGES).all()
    assert faces.images.dtype == np.uint8
    assert faces.emotion.tolist() == [0, 3, 6, 4]
    assert faces.usage.tolist() == [0, 0, 1, 2]
    assert faces.row.tolist() == [0, 1, 2, 3]
    assert faces.sha256[2] == hashlib.sha256(IMAGES[2].tobytes()).hexdigest().encode()


KAGGLE = {"./fer2013/README": "x" * 999, "./fer2013/fer2013.csv": GOOD, "./fer2013/test.csv": "a"}
PACKED: dict[str, Callable[[Path], Path]] = {
    "plain": lambda folder: write(folder, GOOD),
    "bz2": lambda folder: write(folder, bz2.compress(GOOD.encode()), "fer2013.csv.bz2"),
    "gz": lambda folder: write(folder, gzip.compress(GOOD.encode()), "fer2013.csv.gz"),
    "xz": lambda folder: write(folder, lzma.compress(GOOD.encode()), "fer2013.csv.xz"),
    "zip": lambda folder: write_zip(folder / "archive.zip", {"fer2013/fer2013.csv": GOOD}),
    "tar": lambda folder: write_tar(folder / "fer2013.tar", KAGGLE),
    "tar.gz": lambda folder: write_tar(folder / "fer2013.tar.gz", KAGGLE, "gz"),
    "tgz": lambda folder: write_tar(folder / "fer2013.tgz", KAGGLE, "gz"),
    "tar.xz": lambda folder: write_tar(folder / "fer2013.tar.xz", KAGGLE, "xz"),
    "tar-as-gz": lambda folder: write_tar(folder / "fer2013.gz", KAGGLE, "gz"),
    "tar-as-csv": lambda folder: write_tar(folder / "fer2013.csv", KAGGLE, "gz"),
}


@pytest.mark.parametrize("packing", PACKED)
def test_reads_all_rows_however_packed(tmp_path: Path, packing: str) -> None:
    source = open_faces(PACKED[packing](tmp_path))
    assert_good(read_all(source))


@pytest.mark.parametrize("packing", PACKED)
def test_reads_chosen_rows_in_batches_and_again(tmp_path: Path, packing: str) -> None:
    source = CsvFaces(PACKED[packing](tmp_path))
    for _ in range(2):
        batches = list(source.read(np.array([0, 2, 3]), batch_size=2))
        assert [batch.row.tolist() for batch in batches] == [[0, 2], [3]]
        assert (batches[0].images == IMAGES[[0, 2]]).all()
        assert (batches[1].images == IMAGES[[3]]).all()
        assert batches[1].usage.tolist() == [2]


@pytest.mark.parametrize("packing", PACKED)
def test_digest_is_that_of_the_text_however_packed(tmp_path: Path, packing: str) -> None:
    path = PACKED[packing](tmp_path)
    source = CsvFaces(path)
    expected = hashlib.sha256(GOOD.encode()).hexdigest()
    assert source.digest() == expected
    source.index()
    assert source.digest() == expected
    assert source.name == path.name


NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
OTHER = ("ANGER", "Disgusted", "Fearful", "Happiness", '"Sad"', "SURPRISED", "Neutral")
QUOTED = [f'"{label}","{text_of(image)}","{u}"' for (label, u), image in zip(LABELS, IMAGES)]  # noqa: B905
SWAPPED = [f"{label},{u}, {text_of(image)}" for (label, u), image in zip(LABELS, IMAGES)]  # noqa: B905


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(["emotion, Usage, pixels", *SWAPPED]),
        "\r\n".join(["emotion, Usage, pixels", *SWAPPED, ""]),
        "\r\n".join([HEADER, *ROWS, ""]),
        "\n".join(['"emotion","pixels","Usage"', *QUOTED]),
        "\n".join([HEADER, *ROWS]),
        "\n".join([HEADER, *ROWS, "", "  ", "", ""]),
        "\ufeff" + GOOD,
        "\n".join([f"id,{HEADER},note", *(f"7,{row},é" for row in ROWS)]),
        "\n".join([f"who,{HEADER},note", *(f'"a, b",{row}, "5"", c,,d"' for row in ROWS)]),
        "\n".join([f'"a,b",{HEADER}', *(f"7,{row}" for row in ROWS)]),
        "\n".join([f"note,{HEADER}", *(f'"a ""b"", c",{row}' for row in ROWS)]),
        GOOD.replace(" ", "  "),
        GOOD.replace(",Tr", "  ,Tr").replace(",P", " \t, P"),
        GOOD.lower(),
        GOOD.upper(),
        re.sub(r"^(\d),", r"\1.0,", GOOD, flags=re.MULTILINE),
        re.sub(r"^(\d),", lambda m: f"{NAMES[int(m[1])]},", GOOD, flags=re.MULTILINE),
        re.sub(r"^(\d),", lambda m: f" {OTHER[int(m[1])]} ,", GOOD, flags=re.MULTILINE),
    ],
    ids=[
        "swapped",
        "swapped-crlf",
        "crlf",
        "quoted",
        "no-last-end",
        "blank-last",
        "bom",
        "more",
        "quoted-commas",
        "quoted-header",
        "doubled-quotes",
        "doubled-blanks",
        "trailing-blanks",
        "lower",
        "upper",
        "decimals",
        "names",
        "other-names",
    ],
)
def test_accepts_other_ways_to_write_the_same(tmp_path: Path, content: str) -> None:
    assert_good(read_all(CsvFaces(write(tmp_path, content))))


def test_without_usage_it_is_unknown(tmp_path: Path) -> None:
    rows = [row.rpartition(",")[0] for row in ROWS]
    source = CsvFaces(write(tmp_path, "\n".join(["emotion,pixels", *rows]), "train.csv"))
    assert source.index().usage.tolist() == [-1] * 4
    assert (read_all(source).images == IMAGES).all()


def test_index_is_made_once_and_decodes_no_pixels(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace(text_of(IMAGES[1]), "x " * 2303 + "x"))
    source = CsvFaces(path)
    index = source.index()
    assert index.row.dtype == np.int64
    assert index.emotion.tolist() == [0, 3, 6, 4]
    assert index.bad == ()
    path.unlink()
    assert source.index() is index


def broken(row: int, change: Callable[[str], str]) -> str:
    rows = list(ROWS)
    rows[row] = change(rows[row])
    return "\n".join([HEADER, *rows]) + "\n"


def with_first_pixel(value: str) -> Callable[[str], str]:
    return lambda row: re.sub(r"^(\d),\d+ ", rf"\1,{value} ", row)


# What is done to a row, and the datum that its error names.
SEEN_BY_INDEX = {
    "few-fields": (lambda row: row.rpartition(",")[0], "2 "),
    "many-fields": (lambda row: row + ",", "4 "),
    "emotion-7": (lambda row: "7" + row[1:], "'7'"),
    "emotion-empty": (lambda row: row[1:], "''"),
    "few-pixels": (lambda row: re.sub(r",\d+ ", ",", row), "2303 "),
    "many-pixels": (lambda row: row.replace(",", ",1 ", 1), "2305 "),
    "no-pixels": (lambda row: row[:2] + ",Training", "0 "),
    "usage": (lambda row: row.replace("PublicTest", "Test"), "'Test'"),
}
SEEN_BY_READ = {
    value: (with_first_pixel(value), f"pixel 0 is '{value}'")
    for value in ("300", "256", "-1", "abc", "1.5", "1e1", "0x1")
}


@pytest.mark.parametrize(("change", "reason"), SEEN_BY_INDEX.values(), ids=SEEN_BY_INDEX)
def test_index_names_the_first_bad_row(
    tmp_path: Path, change: Callable[[str], str], reason: str
) -> None:
    source = CsvFaces(write(tmp_path, broken(2, change)))
    with pytest.raises(FerError) as caught:
        source.index()
    assert "fer2013.csv, row 2 (line 4)" in caught.value.message
    assert reason in caught.value.message
    assert "--skip-bad" in caught.value.hint


def test_a_pixel_that_is_missing_between_two_blanks_is_found_by_read(tmp_path: Path) -> None:
    content = broken(2, lambda row: re.sub(r" \d+ ", "  ", row, count=1))
    with pytest.raises(FerError, match=r" row 2 .* 2303 "):
        read_all(CsvFaces(write(tmp_path, content)))
    index = CsvFaces(write(tmp_path, content), skip_bad=True).index()
    assert [one.row for one in index.bad] == [2]


@pytest.mark.parametrize("packing", ["plain", "gz"])
@pytest.mark.parametrize(("change", "reason"), SEEN_BY_READ.values(), ids=SEEN_BY_READ)
def test_read_names_the_bad_row_and_reads_the_others(
    tmp_path: Path, packing: str, change: Callable[[str], str], reason: str
) -> None:
    content = broken(2, change).encode()
    path = write(tmp_path, content if packing == "plain" else gzip.compress(content))
    source = CsvFaces(path)
    assert (next(source.read(np.array([0, 1, 3]))).images == IMAGES[[0, 1, 3]]).all()
    with pytest.raises(FerError) as caught:
        list(source.read(np.array([1, 2])))
    assert "fer2013.csv, row 2 (line 4)" in caught.value.message
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("change", "reason"),
    [*SEEN_BY_INDEX.values(), *SEEN_BY_READ.values()],
    ids=[*SEEN_BY_INDEX, *SEEN_BY_READ],
)
def test_skip_bad_leaves_the_row_out_and_says_why(
    tmp_path: Path, change: Callable[[str], str], reason: str
) -> None:
    source = CsvFaces(write(tmp_path, broken(2, change)), skip_bad=True)
    index = source.index()
    assert index.row.tolist() == [0, 1, 3]
    assert index.usage.tolist() == [0, 0, 2]
    assert [one.row for one in index.bad] == [2]
    assert reason in index.bad[0].reason
    assert (read_all(source).images == IMAGES[[0, 1, 3]]).all()
    with pytest.raises(FerError, match=r"row 2\b"):
        source.read(np.array([2]))


def test_skip_bad_lists_bad_rows_in_order_through_many_blocks(tmp_path: Path) -> None:
    bad = {4: with_first_pixel("999")(ROWS[0]), 5: "7" + ROWS[0][1:], 20: ROWS[0][:-1]}
    bad[39] = with_first_pixel("x")(ROWS[0])
    rows = [bad.get(row, ROWS[0]) for row in range(40)]
    index = CsvFaces(write(tmp_path, "\n".join([HEADER, *rows])), skip_bad=True).index()
    assert [one.row for one in index.bad] == [4, 5, 20, 39]
    assert index.row.tolist() == [row for row in range(40) if row not in bad]


def test_lines_are_counted_with_the_blank_ones(tmp_path: Path) -> None:
    content = "\n".join([HEADER, "", ROWS[0], "", "", "9" + ROWS[1][1:]])
    with pytest.raises(FerError, match=re.escape("row 1 (line 6)")):
        CsvFaces(write(tmp_path, content)).index()


NO_TABLE = {
    "empty": (b"", ""),
    "blank": (b"\n\n", ""),
    "header": (f"{HEADER}\n", ""),
    "no-emotion": (f"pixels\n{text_of(IMAGES[0])}\n", "emotion"),
    "no-pixels": ("emotion,Usage\n", "pixels"),
    "twice": ("emotion,pixels,Pixels\n", "emotion, pixels, Pixels"),
    "no-header": (ROWS[0], "emotion"),
    "binary": (bytes(range(256)) * 9, "UTF-8"),
    "utf-16": (HEADER.encode("utf-16"), "UTF-8"),
    "endless": (HEADER + "\n" + "1" * (1 << 20), "line 2 "),
    "7-zip": (b"7z\xbc\xaf\x27\x1c\0\4", "UTF-8"),
}


@pytest.mark.parametrize(("content", "datum"), NO_TABLE.values(), ids=NO_TABLE)
def test_refuses_what_is_no_table_of_faces(
    tmp_path: Path, content: str | bytes, datum: str
) -> None:
    with pytest.raises(FerError) as caught:
        CsvFaces(write(tmp_path, content)).index()
    assert caught.value.message.startswith("fer2013.csv")
    assert datum in caught.value.message
    assert len(caught.value.message) < 160
    assert "\n" not in str(caught.value)


def test_says_which_row_is_bad_if_all_are(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n0,1 2,Training\n")
    with pytest.raises(FerError, match=r"row 0\b.*\b2 "):
        CsvFaces(path, skip_bad=True).index()


@pytest.mark.parametrize("packing", ["gz", "xz", "zip", "tar.gz", "tar.xz"])
def test_a_packed_file_cut_short_is_refused(tmp_path: Path, packing: str) -> None:
    path = PACKED[packing](tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FerError, match=re.escape(path.name)) as caught:
        CsvFaces(path).index()
    assert "download" in caught.value.hint


@pytest.mark.parametrize("packing", ["gz", "xz", "zip", "tar.gz", "tar.xz"])
def test_a_damaged_packed_file_is_refused(tmp_path: Path, packing: str) -> None:
    path = PACKED[packing](tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FerError, match=re.escape(path.name)):
        CsvFaces(path).index()


@pytest.mark.parametrize("name", ["fer2013.csv.gz", "fer2013.xz", "fer2013.tar", "fer2013.zip"])
def test_a_wrong_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FerError, match=re.escape(name)) as caught:
        CsvFaces(write(tmp_path, GOOD, name)).index()
    assert "download" in caught.value.hint


def test_prefers_fer2013_and_then_icml_in_a_zip(tmp_path: Path) -> None:
    other = "\n".join(["pixels", text_of(IMAGES[0])])
    swapped = "\n".join(["emotion, Usage, pixels", *SWAPPED])
    members = {"test.csv": other, "__MACOSX/._x.csv": "", "icml_face_data.csv": swapped}
    assert_good(read_all(CsvFaces(write_zip(tmp_path / "a.zip", members))))
    members = {"icml_face_data.csv": other, "deep/FER2013.csv": GOOD}
    assert_good(read_all(CsvFaces(write_zip(tmp_path / "b.zip", members))))


def test_takes_the_one_table_of_a_zip_made_by_macos(tmp_path: Path) -> None:
    members = {"faces.csv": GOOD, "__MACOSX/._faces.csv": "\0", "notes.txt": ""}
    assert_good(read_all(CsvFaces(write_zip(tmp_path / "a.zip", members))))


def test_lists_the_members_it_cannot_choose_from(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.csv": GOOD, "a.csv": GOOD, "c.txt": ""})
    with pytest.raises(FerError, match=r"a\.zip .*a\.csv.*b\.csv"):
        CsvFaces(path).index()
    with pytest.raises(FerError, match=r"b\.zip .*\.csv"):
        CsvFaces(write_zip(tmp_path / "b.zip", {"c.txt": ""})).index()


def test_a_locked_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"fer2013.csv": GOOD})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # "encrypted", in the member's own header and in the list of members
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(FerError, match=r"a\.zip .*encrypted"):
        CsvFaces(path).index()


def test_a_file_that_is_gone_or_a_folder_is_refused(tmp_path: Path) -> None:
    for source in (CsvFaces(tmp_path / "no.csv"), CsvFaces(tmp_path)):
        for use in (source.index, source.digest):
            with pytest.raises(FerError, match=source.name):
                use()


def test_a_file_that_changed_after_the_index_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    source = CsvFaces(path)
    source.index()
    os.utime(path, ns=(1, 1))
    with pytest.raises(FerError, match=r"fer2013\.csv"):
        list(source.read(np.array([0])))


@pytest.mark.parametrize(
    ("rows", "batch_size", "message"),
    [
        ([0, 4], 1, "row 4"),
        ([-1], 1, "row -1"),
        ([2, 1], 1, "ascending"),
        ([1, 1], 1, "ascending"),
        ([0], 0, "batch"),
    ],
)
def test_refuses_rows_it_cannot_read(
    tmp_path: Path, rows: list[int], batch_size: int, message: str
) -> None:
    with pytest.raises(FerError, match=message):
        CsvFaces(write(tmp_path, GOOD)).read(np.array(rows), batch_size=batch_size)


def test_no_rows_are_no_batches(tmp_path: Path) -> None:
    assert list(CsvFaces(write(tmp_path, GOOD)).read(np.array([], np.int64))) == []


def test_a_broken_tar_is_refused(tmp_path: Path) -> None:
    path = PACKED["tar"](tmp_path)
    path.write_bytes(path.read_bytes()[:30000])
    with pytest.raises(FerError, match=r"fer2013\.tar"):
        CsvFaces(path).index()
    with pytest.raises(FerError, match=r"b\.tar .*\.csv"):
        CsvFaces(write_tar(tmp_path / "b.tar", {"fer2013/README": ""})).index()


def labelled(*names: str) -> str:
    rows = [f"{name},{row[2:]}" for name, row in zip(names, ROWS, strict=True)]
    return "\n".join([HEADER, *rows])


@pytest.mark.parametrize(
    ("label", "advice"),
    [
        ("contempt", ("--ignore contempt", "--map contempt=disgust")),
        ("Contempt", ("--ignore contempt", "--map contempt=disgust")),
        ("7", ("--ignore 7", "--map 7=disgust")),
        ("7.0", ("--ignore 7", "--map 7=disgust")),
        ("no face", ("--ignore 'no face'", "--map 'no face=disgust'")),
    ],
)
def test_an_unknown_label_can_be_left_out_or_mapped(
    tmp_path: Path, label: str, advice: tuple[str, str]
) -> None:
    path = write(tmp_path, labelled("happy", label, "3", "1.0"))
    plain = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(FerError, match="row 1 ") as caught:
        CsvFaces(path).index()
    assert all(one in caught.value.hint for one in advice)

    without = CsvFaces(path, ignore=[label.upper()])
    assert without.index().row.tolist() == [0, 2, 3]
    assert without.index().emotion.tolist() == [3, 3, 1]
    assert (without.index().ignored, without.index().source_rows) == (1, 4)
    (note,) = without.index().notes
    assert f"--ignore {label.upper()}" in note
    assert note.endswith(": 1 row")
    assert (read_all(without).images == IMAGES[[0, 2, 3]]).all()

    mapped = CsvFaces(path, classes={label: "Sadness"})
    assert mapped.index().emotion.tolist() == [3, 4, 3, 1]
    assert mapped.index().ignored == 0
    assert len({plain, without.digest(), mapped.digest()}) == 3
    assert CsvFaces(path, classes={label: "4"}).digest() == mapped.digest()


def test_known_labels_can_be_left_out_or_mapped_too(tmp_path: Path) -> None:
    path = write(tmp_path, labelled("happy", "3", "Happiness", "0"))
    assert CsvFaces(path, ignore=["happy"]).index().row.tolist() == [3]
    assert CsvFaces(path, classes={"3": "fear"}).index().emotion.tolist() == [2, 2, 2, 0]
    with pytest.raises(FerError, match=r" 4 .*--ignore"):
        CsvFaces(path, ignore=["happy", "0"]).index()


@pytest.mark.parametrize("rule", [{"ignore": ["contmpt"]}, {"classes": {"8": "sad"}}])
def test_a_rule_that_no_row_meets_is_an_error(tmp_path: Path, rule: dict[str, list[str]]) -> None:
    with pytest.raises(FerError, match=r"csv has .* (contmpt|8) "):
        CsvFaces(write(tmp_path, GOOD), **rule).index()
    assert CsvFaces(write(tmp_path, GOOD)).index().notes == ()


def test_rules_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(FerError, match="contempt=joy"):
        CsvFaces(path, classes={"contempt": "joy"})
    with pytest.raises(FerError, match=r"[Cc]ontempt"):
        CsvFaces(path, ignore=["Contempt"], classes={"contempt": "disgust"})


ALL_BAD = {
    "size": (lambda row: row.replace(" ", " 0 "), "48×48"),
    "fields": (lambda row: row + ",1", "column"),
    "label": (lambda row: "contempt" + row[1:], "0 to 6"),
    "usage": (lambda row: re.sub("[A-Z].*", "test", row), "Usage"),
    "values": (lambda row: row.replace(" ", " 0."), "255"),
}


@pytest.mark.parametrize("skip_bad", [True, False])
@pytest.mark.parametrize(("change", "advice"), ALL_BAD.values(), ids=ALL_BAD)
def test_where_all_rows_have_one_fault_skipping_them_is_not_advised(
    tmp_path: Path, change: Callable[[str], str], advice: str, skip_bad: bool
) -> None:
    path = write(tmp_path, "\n".join([HEADER, *map(change, ROWS)]))
    with pytest.raises(FerError) as caught:
        read_all(CsvFaces(path, skip_bad=skip_bad))
    assert advice in caught.value.hint
    assert "--skip-bad" not in caught.value.hint
    rows = [*map(change, ROWS[:2]), *ROWS[2:]]
    with pytest.raises(FerError, match="row 0 ") as caught:
        read_all(CsvFaces(write(tmp_path, "\n".join([HEADER, *rows]))))
    assert "--skip-bad" in caught.value.hint
