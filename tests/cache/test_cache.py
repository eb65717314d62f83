from pathlib import Path

import h5py
import numpy as np
import pytest
from examples import HEADER, features, journal, make_cache, merge, rows, selection

from fer_features.cache import Cache, check_same, open_writer
from fer_features.cache.faults import unreadable
from fer_features.cache.format import USERBLOCK
from fer_features.errors import FerError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_cache(tmp_path / "sub" / "one.h5", [4, 7], [9])


def test_what_was_written_is_read(path: Path) -> None:
    with Cache(path) as cache:
        assert len(cache) == 3
        assert cache.header == HEADER
        assert cache.complete
        assert cache.shapes() == {"top/map": (3, 1, 2, 2), "top/pooled": (3, 2)}
        assert cache.read("top", "pooled").tolist() == [[4, -4], [7, -7], [9, -9]]
        assert cache.read("top", "map").dtype == np.float16
        assert cache.read("top", "map")[2].tolist() == [[[9, -9], [9, -9]]]
        assert cache.rows.source_row.tolist() == [4, 7, 9]
        assert cache.rows.emotion.tolist() == [4, 0, 2]
        assert cache.rows.sha256[1] == b"%064d" % 7
        assert cache.selection().layers == ("top",)
        assert cache.places(cache.selection()).tolist() == [0, 1, 2]


def test_some_rows_are_read(path: Path) -> None:
    with Cache(path) as cache:
        assert cache.read("top", "pooled", np.array([0, 2])).tolist() == [[4, -4], [9, -9]]


def test_rows_of_many_chunks_are_gathered(tmp_path: Path, rng: np.random.Generator) -> None:
    shape, n = (3, 3, 1536), 700  # about 38 rows in a chunk
    values = rng.random((n, *shape), np.float32).astype(np.float16)
    path = tmp_path / "large.h5"
    with open_writer(path) as writer:
        with writer.journal(
            header=HEADER,
            selection=selection(*range(n), features=["top/map"]),
            software={},
            columns={"top/map": (shape, "float16")},
        ) as journal:
            for start in range(0, n, 50):
                numbers = range(start, start + 50)
                journal.append(rows(*numbers), {"top/map": values[start : start + 50]})
        writer.compact()
    wanted = np.sort(rng.choice(n, 333, replace=False))
    with Cache(path) as read:
        assert (read.read("top", "map", wanted) == values[wanted]).all()
        assert (read.read("top", "map") == values).all()


def test_plain_h5py_reads_it(path: Path) -> None:
    with h5py.File(path) as file:
        assert file["features/top/pooled"][1].tolist() == [7, -7]
        assert file["rows/source_row"][:].tolist() == [4, 7, 9]
        assert file["rows/done"][:].all()
        assert file["features/top/map"].fletcher32
        assert file["rows/emotion"].fletcher32


def test_hdf5s_own_locks_are_never_taken(path: Path) -> None:
    """They fail on some network file systems; with one held, opening would fail here as there."""
    import fcntl

    with path.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        Cache(path).close()
        journal(path, [[1]], selection(1, task="more"))
        merge(path)
    with Cache(path) as cache, path.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the reader has none
        assert len(cache) == 4


def test_a_missing_cache_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FerError, match=r"none\.h5"):
        Cache(tmp_path / "none.h5")


def test_a_foreign_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "text.h5"
    file.write_text("no HDF5 at all")
    with pytest.raises(FerError, match=r"text\.h5.* HDF5"):
        Cache(file)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = 1
    with pytest.raises(FerError, match=r"other\.h5"):
        Cache(tmp_path / "other.h5")


@pytest.mark.parametrize("kept", [0, 100, USERBLOCK, 1500, 3000, -1])
def test_a_truncated_file_is_an_error(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FerError, match=r"one\.h5"):
        Cache(path)


@pytest.mark.parametrize(("version", "advice"), [(4, "git pull"), (1, "version")])
def test_another_format_is_an_error(path: Path, version: int, advice: str) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = version
    with pytest.raises(FerError, match=rf"one\.h5.* {version}\b") as caught:
        Cache(path)
    assert advice in caught.value.hint


@pytest.mark.parametrize(
    "table", ["rows/emotion", "rows/usage", "rows/source_row", "rows/done", "rows/sha256"]
)
def test_a_changed_label_is_an_error(path: Path, table: str) -> None:
    """Also one that was changed with HDF5's own means, so that its checksums are right."""
    with h5py.File(path, "a") as file:
        changed = np.roll(file[table][:].view("u1"), 1)
        changed[0] ^= 1
        file[table][...] = changed.view(file[table].dtype)
    with pytest.raises(FerError, match=r"one\.h5.* damaged"):
        Cache(path)


@pytest.mark.parametrize("name", ["spec", "dataset", "key", "software", "outputs", "choices"])
def test_a_changed_attribute_is_an_error(path: Path, name: str) -> None:
    with h5py.File(path, "a") as file:
        file.attrs[name] = file.attrs[name].replace("0", "1").replace("t", "T") + " "
    with pytest.raises(FerError, match=r"one\.h5.* damaged"):
        Cache(path)


def test_damaged_features_are_an_error(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(np.array([4, -4, 7, -7], np.float32).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with Cache(path) as cache, pytest.raises(FerError, match=r"damaged.* top/pooled"):
        cache.read("top", "pooled")


def test_an_output_that_is_not_held_names_those_that_are(path: Path) -> None:
    with Cache(path) as cache, pytest.raises(FerError) as caught:
        cache.read("bottom", "pooled")
    assert all(name in caught.value.hint for name in ("top/map", "top/pooled"))


def test_rows_without_the_feature_are_never_read_as_zeros(path: Path) -> None:
    low = {"low/pooled": ((1,), "float32")}
    journal(path, [[9]], selection(4, 9, features=list(low)), columns=low)
    merge(path)
    with Cache(path) as cache:
        assert cache.read("low", "pooled", np.array([2])).tolist() == [[9]]
        with pytest.raises(FerError, match=r"low/pooled .*\b1 .*\b3 rows"):
            cache.read("low", "pooled")


def test_an_interrupted_selection_is_an_error_with_its_progress(path: Path) -> None:
    journal(path, [[1]], selection(1, 2, 4, task="more"))
    merge(path)
    with Cache(path) as cache:
        assert not cache.complete
        assert cache.selection(selection(4, 7, 9).id).rows.tolist() == [4, 7, 9]
        with pytest.raises(FerError, match=r"\b2 of 3 rows") as caught:
            cache.selection()
        assert "fer extract" in caught.value.hint


def test_a_mismatch_names_the_field(path: Path) -> None:
    with Cache(path) as cache:
        check_same(cache, spec=HEADER.spec, dataset={"sha256": "d" * 64})
        with pytest.raises(FerError, match=r"dataset\.sha256 .*'d+'.* 'e'"):
            check_same(cache, spec=HEADER.spec, dataset={"sha256": "e"})
        with pytest.raises(FerError, match=r"spec\.weights .*'random:0'.* 'imagenet'"):
            check_same(cache, spec={"weights": "imagenet"}, dataset={})


def test_features_of_examples_are_worked_out_by_hand() -> None:
    assert features(3)["top/pooled"].tolist() == [[3, -3]]


def test_a_cache_that_is_open_elsewhere_is_called_so(path: Path) -> None:
    with h5py.File(path, "a") as other:
        other.flush()
        with pytest.raises(FerError, match=r"one\.h5.* elsewhere") as caught:
            Cache(path)
    assert "delete" not in caught.value.hint
    Cache(path).close()


LOCKED = "Unable to synchronously open file (unable to lock file, errno = 11)"
ALREADY = "Unable to open file (file is already open for write (may use <h5clear file>))"
FORBIDDEN = "Unable to open file (errno = 13, error message = 'Permission denied')"
BROKEN_DISK = "Can't read data (errno = 5, error message = 'Input/output error')"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LOCKED, "elsewhere"),
        (ALREADY, "elsewhere"),
        (FORBIDDEN, "Permission denied"),
        (BROKEN_DISK, "Input/output error"),
    ],
)
def test_the_hint_for_a_file_that_may_be_intact_does_not_name_deleting(
    path: Path, text: str, message: str
) -> None:
    found = unreadable(path, OSError(text))
    assert message in found.message
    assert "delete" not in found.hint


def test_a_damaged_cache_names_what_deleting_it_loses(path: Path) -> None:
    size = path.stat().st_size - 1
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FerError, match=r"one\.h5.* damaged: it is truncated") as caught:
        Cache(path)
    assert f"{size / 1e6:,.1f} MB" in caught.value.hint
    assert "copied" in caught.value.hint


def test_a_file_of_others_is_not_to_be_deleted(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5 at all")
    with pytest.raises(FerError, match=r"text\.h5 is no HDF5 file, or only a part") as caught:
        Cache(tmp_path / "text.h5")
    assert "delete" not in caught.value.hint
