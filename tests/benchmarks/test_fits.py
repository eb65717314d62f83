"""`python -m benchmarks fits`: a cache's rows repeated, and `fer fit` on them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import extract_tiny

from benchmarks.config import FitsConfig
from benchmarks.fits import measure_fits, show_fits
from benchmarks.repeated import repeat_cache
from fer_features.cache import Cache
from fer_features.config import FitConfig
from fer_features.data import open_faces
from fer_features.data.twin_table import twin_table
from fer_features.errors import FerError
from fer_features.fit.dataset import load_dataset


def test_a_cache_repeated_with_noise_needs_no_search_for_copies(tmp_path: Path) -> None:
    source = extract_tiny(tmp_path, outputs=("pooled",), per_class=20)
    twin_table(open_faces("sample"), tmp_path)
    (tmp_path / "new").mkdir()
    path = tmp_path / "new" / "repeated.h5"
    repeat_cache(source, path, rows=100)
    with Cache(source) as cache, Cache(path) as repeated:
        assert (len(cache), len(repeated)) == (40, 100)
        own, found = cache.read("second", "pooled"), repeated.read("second", "pooled")
        noise = found[:40] - own
        np.testing.assert_allclose(noise.std(axis=0), 0.5 * own.std(axis=0), rtol=0.5)
        assert not np.array_equal(found[:40], found[40:80])
        np.testing.assert_array_equal(repeated.rows.emotion[80:], cache.rows.emotion[:20])
        groups = load_dataset(repeated, FitConfig(cache=path)).groups
    np.testing.assert_array_equal(groups.linked[:40], groups.linked[40:80])


def test_without_a_table_of_copies_there_is_an_error(tiny_cache: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(tiny_cache, tmp_path))  # other tests leave a table beside it
    with pytest.raises(FerError, match="no table of copies beside"):
        repeat_cache(alone, tmp_path / "repeated.h5", rows=100)


@pytest.mark.long
def test_fits_are_timed_and_ended_after_their_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = extract_tiny(tmp_path, outputs=("pooled",))
    twin_table(open_faces("sample"), tmp_path)
    measured = measure_fits(FitsConfig(source, heads=("ridge", "dense"), rows=1000))
    ridge, dense = measured.fits
    assert ridge.outcome == "done"
    assert min(ridge.seconds, ridge.peak_bytes) > 0
    assert dense.outcome.startswith("error")
    assert not list(tmp_path.glob(".bench-*"))
    show_fits(measured)
    assert "1,000 rows" in capsys.readouterr().out
    (late,) = measure_fits(FitsConfig(source, heads=("ridge",), rows=1000, limit_s=1)).fits
    assert late.outcome == "out of time"
