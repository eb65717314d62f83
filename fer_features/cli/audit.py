"""``fer data audit`` and ``fer data twins``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_features.cli.data import show_notes
from fer_features.cli.extract import bad_dicts, show_bad
from fer_features.cli.flags import CacheDir, Json
from fer_features.config import CACHE_DIR, COPIES_INDEXED, EMOTIONS, NEAR, USAGES, DataConfig
from fer_features.runtime.console import emit_json, print_line, print_wrapped, table
from fer_features.runtime.files import check_replaced, write_text
from fer_features.runtime.progress import show_progress
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    from fer_features.data.audit import Audit, Leak, Opinion
    from fer_features.data.twin_table import TwinTable

_ADVICE = (
    "Leaks raise test scores. fer fit --split grouped keeps all copies of an image on one side; "
    "--split usage --drop twins leaves out the copies in the earlier parts."
)
_MEANING = {
    "exact twin": "the same bytes as another image",
    "near twin": "the same picture as another, other bytes",
    "mirrored twin": "the same picture as another, mirrored",
    "registered twin": "another's photograph shifted, scaled or lit otherwise, or of its family",
    "exact conflict": "the same bytes with another label",
    "similar, other label": "much like another with another label; in aligned sets one person",
    "constant": "one grey level",
    "exact leak": "in PublicTest or PrivateTest, and the same bytes in an earlier official part",
    "near leak": "an exact leak, or the same picture in other bytes or mirrored in such a part",
    "registered leak": "a near leak, or a copy of any other kind in such a part",
    "no face": "most voters see no face",
    "other majority": "most voters chose another label",
}


PAIR_COLUMNS = ("row_a", "row_b", "sha256_a", "sha256_b", "kind", "correlation")
AUDIT_COLUMNS = ("row", "usage", "emotion", "findings", "group", "first")


def audit(
    config: DataConfig,
    *,
    ferplus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="FER+'s votes, a row for each of fer2013.csv's."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for rows.csv and worst.png.")] = Path(
        "runs/audit"
    ),
    threshold: Annotated[
        float, typer.Option(help="Images whose pixels correlate more than this are near twins.")
    ] = NEAR,
    cache_dir: CacheDir = CACHE_DIR,
    json: Json = False,
) -> None:
    """Find copies, leaks between the official parts, conflicting labels and empty images."""
    from fer_features.cli.figures import twin_sheet
    from fer_features.data import open_source
    from fer_features.data.audit import audit as run
    from fer_features.runtime.figures import save_figure

    source = open_source(config)
    check_replaced(out / "rows.csv", ",".join(AUDIT_COLUMNS).encode(), what="list of an audit")
    show_notes(source.index().notes)
    found = run(
        source, ferplus=ferplus, threshold=threshold, progress=show_progress, cache_dir=cache_dir
    )
    files = [str(write_rows(found, out / "rows.csv"))]
    if found.largest_group:
        figure = twin_sheet(found.faces, found.group, found.twins.groups.exact, name=found.name)
        files.append(str(save_figure(figure, out / "worst.png")))
    bad = source.index().bad
    if json:
        emit_json({**found.to_dict(), "files": files, "bad_rows": bad_dicts(bad)})
        return
    show_bad(bad)
    show_audit(found)
    print_line("\n".join(files))


def twins(
    config: DataConfig,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file for the pairs.")
    ] = None,
    cache_dir: CacheDir = CACHE_DIR,
    json: Json = False,
) -> None:
    """Find copies of one photograph: exact, near, mirrored, registered, and families.

    Registered copies fit each other when one is shifted, scaled or mirrored. A family is found by
    its file names, such as Training_3908.jpg and Training_3908.jpg3.jpg, whatever the images are.

    The file has a line for each pair: row_a, row_b, sha256_a, sha256_b, kind, correlation. Rows are
    counted from 0, without the header; the hashes are of the 2,304 pixel bytes.
    """
    from fer_features.data import open_source
    from fer_features.data.audit import leaks_between
    from fer_features.data.twin_table import twin_table

    source = open_source(config)
    if out is not None:
        check_replaced(out, ",".join(PAIR_COLUMNS).encode(), what="file of pairs")
    found = twin_table(source, cache_dir, progress=show_progress)
    index = source.index()
    show_notes(index.notes)
    written = None if out is None else str(_write_csv(out, _lines_of_pairs(found)))
    counts, leaks = _count_twins(found), leaks_between(index.usage, found.twins.groups)
    if json:
        rest = {"leaks": [*map(vars, leaks)], "notes": index.notes, "pairs_file": written}
        emit_json({**counts, **rest})
        return
    print_line(
        f"{source.name}: {counted(counts['rows'], 'image')}, {counts['in_a_group']:,} of them "
        "with a copy"
    )
    for kind, n in counts["pairs"].items():
        print_line(f"{kind + ' pairs':22} {n:,}")
    if found.twins.indexed:
        print_line(COPIES_INDEXED)
    print_line(f"largest group          {counted(counts['largest_group'], 'image')}\n")
    _show_leaks(leaks)
    if written:
        print_line(written)


def show_audit(found: Audit) -> None:
    """Print the findings, the leaks and the voters' opinion as tables."""
    from fer_features.data.twins import KINDS

    rows = [
        [name, _MEANING[name], f"{int(images.sum()):,}", f"{found.groups(name):,}"]
        for name, images in found.findings.items()
    ]
    table(
        ["finding", "meaning", "images", "different"],
        rows,
        title=f"{found.name}: {counted(len(found), 'image')}; near twins correlate above "
        f"{found.threshold}",
        text_columns=["finding", "meaning"],
    )
    print_line(f"surplus exact copies   {found.copies:,}")
    for kind, name in list(enumerate(KINDS))[1:]:
        print_line(f"{name + ' pairs':22} {found.twins.count(kind):,}")
    if found.twins.indexed:
        print_line(COPIES_INDEXED)
    print_line(f"largest group          {counted(found.largest_group, 'image')}")
    print_line(f"images in a group      {int((found.group > 0).sum()):,}\n")
    _show_leaks(found.leaks)
    if found.opinion is not None:
        _show_opinion(found.opinion)


def _show_leaks(leaks: Sequence[Leak]) -> None:
    if not leaks:
        return
    rows = [
        [
            leak.part,
            " or ".join(leak.others),
            *(f"{n:,}" for n in (leak.images, leak.exact, leak.near, leak.linked)),
            f"{leak.linked / leak.images:.1%}",
        ]
        for leak in leaks
    ]
    width = table(
        ["part", "copies in", "images", "exact", "or near", "or registered", "share"],
        rows,
        title="images of official parts that have a copy in others",
        text_columns=["part", "copies in"],
    )
    if any(leak.linked for leak in leaks):
        print_wrapped(_ADVICE, width)
        print_line()


def _show_opinion(opinion: Opinion) -> None:
    """Print how far the labels agree with the voters' majorities."""
    import numpy as np

    counts = opinion.counts
    known, agree = counts[:, :-1].sum(axis=1), np.diagonal(counts)
    columns = np.column_stack([counts.sum(axis=1), known, agree, opinion.no_face])
    names = [*EMOTIONS, "all"]
    mostly = [*(_most_others(opinion, code) for code in range(len(EMOTIONS))), ""]
    rows = []
    for name, numbers, others in zip(names, [*columns, columns.sum(axis=0)], mostly, strict=True):
        share = f"{numbers[2] / numbers[1]:.1%}" if numbers[1] else "–"
        *labelled, no_face = (f"{n:,}" for n in numbers)
        rows.append([name, *labelled, share, others, no_face])
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


def _count_twins(found: TwinTable) -> dict[str, Any]:
    import numpy as np

    from fer_features.data.twins import KINDS, every_pair

    linked = found.twins.groups.linked
    size = np.bincount(linked)
    kinds = np.bincount(every_pair(found.twins)[1], minlength=len(KINDS))
    return {
        "rows": len(linked),
        "pairs": dict(zip(KINDS, kinds.tolist(), strict=True)),
        "indexed": found.twins.indexed,
        "in_a_group": int((size[linked] > 1).sum()),
        "largest_group": int(size.max(initial=0)),
    }


def write_rows(found: Audit, path: Path) -> Path:
    """Write a line for each image with a finding, as CSV.

    Columns: ``row``, ``usage``, ``emotion``, ``findings`` with ``; `` between, ``group`` of copies
    (1 is the largest; empty for none), ``first`` row of the same bytes, and with votes ``ferplus``,
    the voters' majority (empty for none).

    Raises:
        FerError: it cannot be written.
    """
    import numpy as np

    faces, voted = found.faces, found.opinion is not None
    lines = [[*AUDIT_COLUMNS, *["ferplus"] * voted]]
    _, first, of_row = np.unique(found.twins.groups.exact, return_index=True, return_inverse=True)
    for place in np.flatnonzero(np.any(list(found.findings.values()), axis=0)):
        usage = faces.usage[place]
        names = "; ".join(name for name, images in found.findings.items() if images[place])
        labels = [USAGES[usage] if usage >= 0 else "", EMOTIONS[faces.emotion[place]]]
        copies = [found.group[place] or "", faces.row[first[of_row[place]]]]
        line = [faces.row[place], *labels, names, *copies]
        if found.opinion is not None:
            majority = found.opinion.majority[place]
            line.append(EMOTIONS[majority] if majority >= 0 else "")
        lines.append(line)
    return _write_csv(path, lines)


def _lines_of_pairs(found: TwinTable) -> Iterable[Sequence[object]]:
    from fer_features.data.twins import KINDS, every_pair

    yield PAIR_COLUMNS
    for (a, b), kind, r in zip(*every_pair(found.twins), strict=True):
        hashes = (found.sha256[place].decode() for place in (a, b))
        yield [found.row[a], found.row[b], *hashes, KINDS[kind], f"{r:.4f}"]


def _write_csv(path: Path, lines: Iterable[Sequence[object]]) -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return write_text(path, text.getvalue())
