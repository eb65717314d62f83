"""An audit as people read it, and the table of its rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.twins import KINDS, every_pair
from fer_features.errors import FerError, reason_of
from fer_features.runtime.console import say, table
from fer_features.runtime.files import draft_of

if TYPE_CHECKING:
    from fer_features.data.audit import Audit, Leak, Opinion
    from fer_features.data.twin_table import TwinTable

_MEANING = {
    "exact twin": "the same bytes as another image",
    "near twin": "the same picture as another, other bytes",
    "mirrored twin": "the same picture as another in a mirror",
    "registered twin": "another's photograph shifted, scaled or lit otherwise, or of its family",
    "exact conflict": "the same bytes with another label",
    "similar, other label": "much like another with another label; in aligned sets one person",
    "constant": "one grey level",
    "exact leak": "the same bytes in an earlier official part",
    "near leak": "the same picture in an earlier official part",
    "registered leak": "a copy of any kind in an earlier official part",
    "no face": "most voters see no face",
    "other majority": "most voters chose another label",
}


def show_audit(found: Audit) -> None:
    """The findings, the leaks and the voters' opinion as tables."""
    rows = [
        [name, _MEANING[name], f"{int(images.sum()):,}", f"{found.groups(name):,}"]
        for name, images in found.findings.items()
    ]
    table(
        ["finding", "meaning", "images", "different"],
        rows,
        title=f"{found.name}: {len(found):,} images; near twins correlate above {found.threshold}",
        text_columns=["finding", "meaning"],
    )
    say(f"surplus exact copies   {found.copies:,}")
    for kind, name in list(enumerate(KINDS))[1:]:
        say(f"{name + ' pairs':22} {found.twins.count(kind):,}")
    say(f"largest group          {found.largest_group:,} images")
    say(f"images in a group      {int((found.group > 0).sum()):,}")
    say()
    if found.leaks:
        _show_leaks(found.leaks)
    if found.opinion is not None:
        _show_opinion(found.opinion)


def _show_leaks(leaks: tuple[Leak, ...]) -> None:
    rows = [
        [
            leak.part,
            " or ".join(leak.others),
            *(f"{n:,}" for n in (leak.images, leak.exact, leak.near, leak.linked)),
            f"{leak.linked / leak.images:.1%}",
        ]
        for leak in leaks
    ]
    table(
        ["part", "copies in", "images", "exact", "or near", "or registered", "share"],
        rows,
        title="images of official parts that have a copy in others",
        text_columns=["part", "copies in"],
    )


def _show_opinion(opinion: Opinion) -> None:
    counts = np.vstack([opinion.counts, opinion.counts.sum(axis=0)])
    no_face = [*opinion.no_face, opinion.no_face.sum()]
    agree = [*np.diagonal(opinion.counts), np.trace(opinion.counts)]
    rows = []
    for code, name in enumerate([*EMOTIONS, "all"]):
        known = int(counts[code, :-1].sum())
        rows.append(
            [
                name,
                f"{counts[code].sum():,}",
                f"{known:,}",
                f"{agree[code]:,}",
                f"{agree[code] / known:.1%}" if known else "–",
                _most_others(opinion, code) if name != "all" else "",
                f"{no_face[code]:,}",
            ]
        )
    table(
        ["label", "images", "with majority", "agree", "share", "else mostly", "no face"],
        rows,
        title="labels and the majorities of FER+'s voters",
        text_columns=["label", "else mostly"],
        last_apart=True,
    )


def _most_others(opinion: Opinion, code: int) -> str:
    others = opinion.counts[code, :-1].copy()
    others[code] = 0
    most = int(others.argmax())
    return f"{EMOTIONS[most]} ({others[most]:,})" if others[most] else "–"


def write_rows(found: Audit, path: Path) -> Path:
    """Write a line for each image that something was found about, as CSV.

    Columns: ``row``, ``usage``, ``emotion``, ``findings`` with blanks for none and ``; `` between,
    ``group`` of twins (1 is the worst; empty for none), ``first`` row of the same bytes, and with
    votes ``ferplus``, the voters' majority (empty for none).

    Raises:
        FerError: it cannot be written.
    """
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\n")
    voted = found.opinion is not None
    out.writerow(["row", "usage", "emotion", "findings", "group", "first", *["ferplus"] * voted])
    first = _first_of_copies(found)
    any_finding = np.any(list(found.findings.values()), axis=0)
    for place in np.flatnonzero(any_finding):
        emotion, usage = EMOTIONS[found.emotion[place]], found.usage[place]
        names = "; ".join(name for name, images in found.findings.items() if images[place])
        line = [found.row[place], USAGES[usage] if usage >= 0 else "", emotion, names]
        line += [found.group[place] or "", first[place]]
        if found.opinion is not None:
            said = found.opinion.majority[place]
            line.append(EMOTIONS[said] if said >= 0 else "")
        out.writerow(line)
    return _write(path, text.getvalue())


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FerError(
            f"{path} cannot be written: {reason_of(error)}",
            hint="make room there, or name another place",
        ) from error
    return path


def _first_of_copies(found: Audit) -> list[int]:
    _, first, group = np.unique(found.twins.groups.exact, return_index=True, return_inverse=True)
    rows: list[int] = found.row[first[group]].tolist()
    return rows


def show_twins(found: TwinTable, usage: NDArray[np.int8], *, name: str) -> None:
    """How many copies of each kind there are, and where."""
    from fer_features.data.audit import leaks_between

    said = twins_dict(found, usage)
    say(f"{name}: {said['rows']:,} images, {said['in_a_group']:,} of them with a copy")
    for kind, n in said["pairs"].items():
        say(f"{kind + ' pairs':22} {n:,}")
    say(f"largest group          {said['largest_group']:,} images")
    say()
    leaks = leaks_between(usage, found.twins.groups)
    if leaks:
        _show_leaks(leaks)


def twins_dict(found: TwinTable, usage: NDArray[np.int8]) -> dict[str, Any]:
    """The same as plain JSON types."""
    from fer_features.data.audit import leaks_between

    linked = found.twins.groups.linked
    size = np.bincount(linked)
    kinds = np.bincount(every_pair(found.twins)[1], minlength=len(KINDS))
    return {
        "rows": len(linked),
        "pairs": dict(zip(KINDS, kinds.tolist(), strict=True)),
        "in_a_group": int((size[linked] > 1).sum()),
        "largest_group": int(size.max(initial=0)),
        "leaks": [
            {**vars(leak), "others": list(leak.others)}
            for leak in leaks_between(usage, found.twins.groups)
        ],
    }


def write_pairs(found: TwinTable, path: Path) -> Path:
    """Write a line for each pair of copies, as CSV.

    Raises:
        FerError: it cannot be written.
    """
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["row_a", "row_b", "sha256_a", "sha256_b", "kind", "correlation"])
    for (a, b), kind, r in zip(*every_pair(found.twins), strict=True):
        hashes = (found.sha256[place].decode() for place in (a, b))
        out.writerow([found.row[a], found.row[b], *hashes, KINDS[kind], f"{r:.4f}"])
    return _write(path, text.getvalue())
