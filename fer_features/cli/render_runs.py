"""Runs and comparisons as people read them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fer_features.errors import FerError
from fer_features.runs.labels import (
    UNKNOWN,
    base_features,
    learnt_from,
    provenance_unknown,
    seen_parts,
)
from fer_features.runtime.console import emit_json, say, table, width

if TYPE_CHECKING:
    from fer_features.runs.compare import Comparison
    from fer_features.runs.repeats import LeakEffect, OverSeeds, TestPart
    from fer_features.runs.run import Run
    from fer_features.runs.verdicts import Verdict

FORMATS = ("table", "markdown", "csv", "json")


def run_dict(run: Run) -> dict[str, Any]:
    """A run as plain JSON types, without its learning curves."""
    record = run.record
    scores = ("id", "validation", "test", "intervals", "cv", "sizes", "calibration", "operate")
    kept = (*scores, "leak", "seconds", "split", "task", "data", "command")
    return {
        "path": str(run.path),
        "head": record["head"]["name"],
        "chosen": record["head"]["chosen"],
        **{name: record[name] for name in kept},
    }


def show_run(run: Run) -> None:
    """A run's scores in one line, and what else it found in a line each."""
    from fer_features.runs.formats import with_interval

    record = run.record
    validation, test = record["validation"], record["test"]
    interval = record["intervals"]["accuracy"]
    say(
        f"{record['head']['name']}: validation accuracy {validation['accuracy']:.4f}, "
        f"test accuracy {with_interval(test['accuracy'], interval)}, F1 {test['f1']:.4f}; "
        f"fitted in {record['seconds']['fit']:.1f} s; {run.path}"
    )
    say(f"  features of {base_features(record)}, learnt from {learnt_from(record)}")
    gone = ", ".join(f"{n:,} {name}" for name, n in record["data"]["dropped"].items())
    if gone:
        say(f"  rows left out: {gone}")
    for part, n in seen_parts(record).items():
        say(
            f"  SEEN IMAGES: the weights have learnt from {n:,} of the "
            f"{record['split'][part]:,} {part} images"
        )
    if provenance_unknown(record):
        say(
            f"  {UNKNOWN}: which images the weights have learnt from is not known, or copies of "
            "them cannot be recognised"
        )
    if record["cv"]:
        mean, std = record["cv"]["mean"], record["cv"]["std"]
        say(
            f"  {record['cv']['folds']} folds: accuracy {mean['accuracy']:.4f} "
            f"± {std['accuracy']:.4f}, F1 {mean['f1']:.4f} ± {std['f1']:.4f} (mean ± standard "
            "deviation)"
        )
    if record["calibration"]:
        before = record["calibration"]["before"]["test"]
        say(
            f"  calibrated ({record['calibration']['method']}): test log loss "
            f"{before['log_loss']:.4f} → {test['log_loss']:.4f}, ECE {before['ece']:.4f} → "
            f"{test['ece']:.4f}"
        )
    if record["sizes"]:
        steps = ", ".join(
            f"{one['rows']:,}: {one['validation_accuracy']:.4f}" for one in record["sizes"]
        )
        say(f"  validation accuracy by training images: {steps}")
    if record["operate"]:
        wish = record["operate"]
        if wish["threshold"] is None:
            say(f"  {wish['unmet']}")
            return
        say(
            f"  {wish['wish']} {wish['value']:g} on validation: threshold {wish['threshold']:.4f}; "
            f"test precision {wish['test']['precision']:.4f}, recall {wish['test']['recall']:.4f}"
        )


def show_seeds(runs: Sequence[Run]) -> None:
    """Mean and spread over the seeds of what has just been fitted."""
    from fer_features.runs.repeats import over_seeds

    _show_seeds(over_seeds(runs))


def _show_seeds(found: Sequence[OverSeeds]) -> None:
    for title in dict.fromkeys(one.title for one in found):
        rows = [
            [
                one.head,
                one.features,
                f"{len(one.runs)}",
                *(
                    _mean_and_std(one, part, score)
                    for part, score in (
                        ("validation", "accuracy"),
                        ("test", "accuracy"),
                        ("test", "f1"),
                    )
                ),
            ]
            for one in found
            if one.title == title
        ]
        table(
            ["head", "features", "seeds", "val acc", "test acc", "test F1"],
            rows,
            title=f"{title}: mean ± standard deviation over seeds",
            text_columns=["head", "features"],
        )
        say()


def _mean_and_std(one: OverSeeds, part: str, score: str) -> str:
    mean, std = one.mean(part, score), one.std(part, score)
    return "–" if mean is None or std is None else f"{mean:.4f} ± {std:.4f}"


_NARROW = {
    "head": "head",
    "features": "features",
    "validation accuracy": "val acc",
    "test accuracy": "test acc [95 %]",
    "fit seconds": "fit s",
}
_WIDE = {
    "head": "head",
    "features": "features",
    "validation accuracy": "val acc",
    "test accuracy": "test acc [95 %]",
    "test balanced_accuracy": "balanced",
    "test precision": "prec",
    "test recall": "rec",
    "test f1": "F1",
    "test roc_auc": "AUC",
    "test average_precision": "AP",
    "test log_loss": "log loss",
    "test brier": "Brier",
    "test ece": "ECE",
    "fit seconds": "fit s",
    "predict seconds": "pred s",
}
_WIDE_ENOUGH = 150


def check_format(format_: str) -> None:
    """Make sure that a format is known.

    Raises:
        FerError: it is not.
    """
    if format_ not in FORMATS:
        raise FerError(f"no such format: {format_}", hint=f"known are {', '.join(FORMATS)}")


def show_comparisons(
    tables: Sequence[Comparison],
    verdicts: Sequence[Verdict | None],
    *,
    seeds: Sequence[OverSeeds] = (),
    leaks: Sequence[LeakEffect] = (),
    format_: str = "table",
) -> None:
    """Comparisons as a table, Markdown, CSV or JSON on stdout."""
    from fer_features.runs import formats as compare_formats

    if format_ == "json":
        emit_json(compare_formats.to_json(tables, verdicts, seeds, leaks))
    elif format_ == "csv":
        print(compare_formats.to_csv(tables), end="")
    elif format_ == "markdown":
        print(compare_formats.to_markdown(tables, verdicts), end="")
    else:
        for one, verdict in zip(tables, verdicts, strict=True):
            _show_comparison(one, verdict)
        _show_seeds(seeds)
        _show_leaks(leaks)
        if width() < _WIDE_ENOUGH:
            say("More columns in a wider terminal, or with --format markdown, csv or json.")


def _show_comparison(comparison: Comparison, verdict: Verdict | None) -> None:
    from fer_features.runs.formats import cells

    shown = _WIDE if width() >= _WIDE_ENOUGH else _NARROW
    rows = comparison.rows()
    if comparison.same_head_twice:  # only its run tells one from the other; the published has none
        rows = [{**row, "head": row["run"] or row["head"]} for row in rows]
    table(
        list(shown.values()),
        [cells(row, shown) for row in rows],
        title=comparison.title,
        text_columns=["head", "features"],
        last_apart=comparison.published,
    )
    marked = [("=", verdict.text())] if verdict is not None else []
    marked += [
        ("·", f"{name}: learnt from {text}") for name, text in comparison.learnt_from.items()
    ]
    marked += [("!", text) for text in comparison.notes]
    for mark, line in marked:
        text = f"{mark} {line}"
        say(textwrap.fill(text, width() - 2, initial_indent="  ", subsequent_indent="    "))
    say()


def _show_leaks(leaks: Sequence[LeakEffect]) -> None:
    if not leaks:
        return
    rows = []
    for one in leaks:
        record = one.run.record
        rows.append(
            [
                record["head"]["name"],
                one.features,
                f"{record['split']['name']} {record['seed']}",
                f"{record['test']['accuracy']:.4f}",
                f"{100 * one.effect:+.2f}" if one.effect is not None else "–",
                *(_accuracy_of(part) for part in (one.with_copy, one.without_copy)),
            ]
        )
    table(
        ["head", "features", "split, seed", "test acc", "points", "with a copy", "without"],
        rows,
        title="Splits that leak: accuracy on test images with a copy in training or validation",
        text_columns=["head", "features", "split, seed"],
    )
    text = (
        "points is what the images with a copy add to the whole: test acc less the accuracy "
        "without them. In brackets 95 % intervals; all of one run, on its own test images."
    )
    say(textwrap.fill(text, width() - 2, initial_indent="  ", subsequent_indent="  "))
    say()


def _accuracy_of(part: TestPart | None) -> str:
    from fer_features.runs.formats import with_interval

    return "–" if part is None else f"{with_interval(part.accuracy, part.interval)} of {part.n:,}"
