"""Files in a store, by pyarrow's file systems: of this machine, and one in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_features.errors import FerError
from fer_features.extract.ray_store import Store, is_uri

fs = pytest.importorskip("pyarrow.fs")


@pytest.fixture(params=["file", "subtree", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    made = Store((tmp_path / "bucket").as_uri())
    if request.param == "subtree":
        (tmp_path / "other").mkdir()
        made._files = fs.SubTreeFileSystem(str(tmp_path / "other"), fs.LocalFileSystem())
        made._path = "bucket"
    if request.param == "memory":
        made._files, made._path = fs._MockFileSystem(), "bucket"
    return made


def test_what_is_put_is_named_and_fetched_until_it_is_removed(store: Store, tmp_path: Path) -> None:
    assert store.names() == []
    path = tmp_path / "a-shard-1-of-2.h5"
    for content in (b"one", b"another"):
        path.write_bytes(content)
        store.put(path)
        assert store.names() == [path.name]
        fetched = store.fetch(tmp_path / "here", path.name)
        assert (fetched.name, fetched.read_bytes()) == (path.name, content)
    store.remove()
    assert store.names() == []
    store.remove()


def test_a_folder_is_fetched_with_all_that_is_in_it(tmp_path: Path) -> None:
    for emotion in ("happy", "sad"):
        (tmp_path / "faces" / emotion).mkdir(parents=True)
        (tmp_path / "faces" / emotion / "1.png").write_bytes(emotion.encode())
    fetched = Store((tmp_path / "faces").as_uri()).fetch(tmp_path / "here")
    assert fetched == tmp_path / "here" / "faces"
    assert (fetched / "sad" / "1.png").read_bytes() == b"sad"


def test_what_is_missing_or_no_store_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FerError, match="no such file"):
        store.fetch(tmp_path / "here", "missing.h5")
    with pytest.raises(FerError, match="nonsense://a"):
        Store("nonsense://a")


def test_what_is_a_uri() -> None:
    assert is_uri("s3://bucket/faces.csv")
    assert not is_uri("folder/faces.csv")
