"""Memory that is looked at before a large array is made."""

from pathlib import Path

import numpy as np
import pytest

from fer_features.errors import FerError
from fer_features.runtime import memory

MEMINFO = "MemTotal:  24000000 kB\nMemAvailable:  2000000 kB\nSwapFree:  500000 kB\n"


@pytest.mark.parametrize(
    ("meminfo", "limit", "expected"),
    [
        (MEMINFO, None, 2_560_000_000),
        (MEMINFO, "1000000000\n", 1_000_000_000),
        (MEMINFO, "max\n", 2_560_000_000),
        (MEMINFO.replace("SwapFree", "Other"), None, 2_048_000_000),
        ("nothing\n", None, None),
        (None, None, None),
    ],
)
def test_what_is_free(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meminfo: str | None,
    limit: str | None,
    expected: int | None,
) -> None:
    for name, text in (("_MEMINFO", meminfo), ("limit", limit)):
        if text is not None:
            (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "_MEMINFO")
    monkeypatch.setattr(memory, "_LIMITS", (tmp_path / "limit",))
    assert memory.free_memory() == expected


def test_an_array_that_memory_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 300_000_000)
    assert memory.new_array((70_000_000,), "f4", "rows").dtype == np.float32
    with pytest.raises(FerError, match=r"80 rows: 0\.3 GB of memory are needed, 0\.3 GB are free"):
        memory.new_array((80, 1_000_000), np.float32, "80 rows")
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    assert memory.new_array((80, 1_000_000), np.float32, "80 rows").shape == (80, 1_000_000)
