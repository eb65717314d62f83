"""Trained networks on the page of results, from the records in their weights files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import markdown_table
from fer_features.backbones.weights_file import read_weights


def trained_section(files: Sequence[Path]) -> str:
    """Heading, table and commands of weights files of `fer train`, the best on validation first.

    Args:
        files: at least one, of one task.

    Raises:
        FerError: a file cannot be read.
    """
    found = [(path.stem, read_weights(path).provenance) for path in files]
    found.sort(key=lambda one: -one[1]["scores"]["validation"]["accuracy"])
    headings = ["network", "learnt from", "backend, minutes", "val", "bal.", "test", "bal."]
    rows = [_row(name, provenance) for name, provenance in found]
    note = (
        "By each network's own classifier, the mean over an image and its mirror image, one "
        "training each. Minutes are of the whole training, beside whatever else ran there. Without "
        "copies, validation is without images that have one in the test part, too. A row with "
        "copies is no rival: it is scored on images whose copies it has learnt. [What is without "
        "any copy, and another package on the same images](fernet.md#scores)."
    )
    commands = "\n".join(f"$ {one['command']} --out {name}.h5" for name, one in found)
    notes = "\n".join(f"- {name}: {one['note']}." for name, one in found if "note" in one)
    parts = ["## seven, trained networks", note, markdown_table(headings, rows, n_text=3)]
    parts += [notes] if notes else []
    return "\n\n".join([*parts, f"```console\n{commands}\n```"])


def _row(name: str, provenance: dict[str, Any]) -> list[str]:
    data, scores = provenance["data"], provenance["scores"]
    start = provenance.get("start")
    copies = "with copies" if provenance["identity"].get("keep_copies") else "without copies"
    teachers = ", ".join(Path(one["name"]).stem for one in provenance.get("teachers", []))
    numbers = [
        f"{scores[part][key]:.4f}" if part in scores else "–"
        for part in ("validation", "test")
        for key in ("accuracy", "balanced_accuracy")
    ]
    return [
        f"`{provenance['backbone']}` ({name})"
        + (f"<br>from {start['label']}" if start else "")
        + (f"<br>teachers {teachers}" if teachers else ""),
        f"{data['train']:,} images, {copies}",
        f"{provenance['software']['backend']}, {provenance['seconds'] / 60:.1f}",
        *numbers,
    ]
