import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from fer_features.errors import FerError
from fer_features.store import Cache, CacheWriter, Header, Rows, check_same, latest_cache

HEADER = Header(
    spec={"backbone": "tiny", "layers": ["top"]},
    dataset={"name": "three faces", "seed": 0},
    key="0123456789abcdef",
    software={"fer_features": "0"},
)
OUTPUTS = {"top/pooled": ((2,), "float32"), "top/map": ((1, 2, 2), "float16")}


def rows(*numbers: int) -> Rows:
    n = np.array(numbers)
    return Rows(
        emotion=(n % 7).astype(np.int8),
        usage=np.zeros(len(n), np.int8),
        sha256=np.array([b"%064d" % one for one in n], "S64"),
        source_row=n.astype(np.int64),
    )


def features(*numbers: int) -> dict[str, np.ndarray]:
    n = np.array(numbers, np.float32)
    return {
        "top/pooled": np.stack([n, -n], axis=1),
        "top/map": np.tile(n[:, None, None, None], (1, 1, 2, 2)).astype(np.float16),
    }


def writer(path: Path, n_rows: int = 3) -> CacheWriter:
    return CacheWriter(path, n_rows=n_rows, outputs=OUTPUTS, header=HEADER)


def interrupted(path: Path, error: BaseException) -> None:
    with writer(path) as cache:
        cache.write(rows(4), features(4))
        raise error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sub" / "one.h5"
    with writer(path) as cache:
        cache.write(rows(4, 7), features(4, 7))
        cache.write(rows(9), features(9))
    return path


def test_what_was_written_is_read(path: Path) -> None:
    with Cache(path) as cache:
        assert len(cache) == 3
        assert cache.header == HEADER
        assert cache.layers == ("top",)
        assert cache.shapes() == {"top/map": (3, 1, 2, 2), "top/pooled": (3, 2)}
        assert cache.read("top", "pooled").tolist() == [[4, -4], [7, -7], [9, -9]]
        assert cache.read("top", "map").dtype == np.float16
        assert cache.read("top", "map")[2].tolist() == [[[9, 9], [9, 9]]]
        assert cache.rows.source_row.tolist() == [4, 7, 9]
        assert cache.rows.emotion.tolist() == [4, 0, 2]
        assert cache.rows.sha256[1] == b"%064d" % 7


def test_some_rows_are_read(path: Path) -> None:
    with Cache(path) as cache:
        assert cache.read("top", "pooled", np.array([0, 2])).tolist() == [[4, -4], [9, -9]]


def test_rows_of_many_chunks_are_gathered(tmp_path: Path, rng: np.random.Generator) -> None:
    shape, n = (3, 3, 1536), 700  # about 38 rows in a chunk
    values = rng.random((n, *shape), np.float32).astype(np.float16)
    path = tmp_path / "large.h5"
    outputs = {"top/map": (shape, "float16")}
    with CacheWriter(path, n_rows=n, outputs=outputs, header=HEADER) as cache:
        for start in range(0, n, 50):
            part = slice(start, start + 50)
            cache.write(rows(*range(start, start + 50)), {"top/map": values[part]})
    wanted = np.sort(rng.choice(n, 333, replace=False))
    with Cache(path) as read:
        assert (read.read("top", "map", wanted) == values[wanted]).all()


def test_plain_h5py_reads_it(path: Path) -> None:
    with h5py.File(path) as file:
        assert file["features/top/pooled"][1].tolist() == [7, -7]
        assert file["rows/done"][:].all()
        assert file.attrs["complete"]
        assert file["features/top/map"].fletcher32


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        interrupted(tmp_path / "one.h5", RuntimeError("stop"))
    assert list(tmp_path.iterdir()) == []


def test_missing_rows_are_never_completed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="1 of 3"), writer(tmp_path / "one.h5") as cache:
        cache.write(rows(4), features(4))
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_whole(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        interrupted(path, KeyboardInterrupt())
    assert path.read_bytes() == before


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_no_number_names_its_row(tmp_path: Path, bad: float) -> None:
    values = features(4, 7)
    values["top/pooled"][1, 0] = bad
    with (
        pytest.raises(FerError, match="top/pooled of row 7"),
        writer(tmp_path / "one.h5") as cache,
    ):
        cache.write(rows(4, 7), values)


def test_a_second_writer_is_told_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    with writer(path) as cache:
        with pytest.raises(FerError, match="another extraction is writing"):
            writer(path)
        cache.write(rows(4, 7, 9), features(4, 7, 9))
    with Cache(path) as read:
        assert len(read) == 3


def test_a_missing_cache_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="no such cache"):
        Cache(tmp_path / "none.h5")


def test_a_foreign_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "text.h5"
    file.write_text("no HDF5 at all")
    with pytest.raises(FerError, match="not a readable HDF5 file"):
        Cache(file)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = 1
    with pytest.raises(FerError, match="not a feature cache"):
        Cache(tmp_path / "other.h5")


def test_a_truncated_file_is_an_error(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FerError, match="not a readable HDF5 file"):
        Cache(path)


def test_a_newer_format_is_an_error(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(FerError, match="newer than this program's"):
        Cache(path)


def test_an_incomplete_file_is_an_error(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["rows/done"][1] = False
    with pytest.raises(FerError, match="not complete"):
        Cache(path)


def test_damaged_features_are_an_error(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(np.array([4, -4, 7, -7], np.float32).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with Cache(path) as cache, pytest.raises(FerError, match="top/pooled is damaged"):
        cache.read("top", "pooled")


def test_an_output_that_is_not_held_names_those_that_are(path: Path) -> None:
    with Cache(path) as cache, pytest.raises(FerError) as caught:
        cache.read("bottom", "pooled")
    assert "top/map, top/pooled" in caught.value.hint


def test_a_mismatch_names_the_field(path: Path) -> None:
    with Cache(path) as cache:
        check_same(cache, spec=HEADER.spec, dataset={"seed": 0})
        with pytest.raises(FerError, match=r"dataset\.seed is 0, not 1"):
            check_same(cache, spec=HEADER.spec, dataset={"seed": 1})


def test_the_latest_cache_is_the_one_used_last(path: Path) -> None:
    newer = path.with_name("newer.h5")
    newer.write_bytes(path.read_bytes())
    os.utime(newer, (2e9, 2e9))
    os.utime(path, (1e9, 1e9))
    assert latest_cache(path.parent) == newer
    os.utime(path, (3e9, 3e9))
    assert latest_cache(path.parent) == path


def test_no_cache_at_all_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(FerError) as caught:
        latest_cache(tmp_path)
    assert "fer extract" in caught.value.hint
