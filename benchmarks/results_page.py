"""``docs/results.md``, made from run files: every system by task, split and rows left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import msgspec

from benchmarks.markdown import markdown_table
from benchmarks.results_commands import extract_command, not_run_section, shown_command
from benchmarks.trained import trained_section
from fer_features.config import SEEN_COPIES, TWINS
from fer_features.data.tasks import BINARY, SEVEN
from fer_features.errors import FerError
from fer_features.metrics.scores import Scores
from fer_features.runs.published import (
    PUBLISHED,
    PUBLISHED_FINE_TUNED,
    PUBLISHED_MARK,
    PUBLISHED_ROWS,
    is_published_task,
)
from fer_features.runs.record import IMAGENET, RunRecord
from fer_features.runs.repeats import family_key, same_fits
from fer_features.runs.run import Run
from fer_features.runs.table import ComparisonTable, with_interval

SHORT_MARKS = "<!-- results -->", "<!-- end of results -->"
"""What stands around the short table in a document."""

_ABOUT = """\
The first row of a table is the best on validation; the test part chooses nothing. The published
row is of its own random split, and of validation only.

- **features**: the backbone, its input's size, its weights' name and the start of their SHA-256;
  what it has learnt from; the layer, and how its map is used: `pooled` (mean), `grid3` (means over
  a grid of 3 × 3), `map` (all of it). *flip averaged*: the features of an image and of its mirror
  image are averaged; *flip as rows*: both are training rows, and their probabilities are averaged.
- **val**, **test**: accuracy, on test with its 95 % interval. A row with several seeds has the mean
  ± standard deviation over them; its other scores are means.
- **bal.** is balanced accuracy; **F1** that of the positive class, or the classes' mean where there
  is none; **fit s** the seconds to fit and choose the head on cached features, on the machine that
  made the run; an ensemble's are without its members', where these were fitted just before."""

_HEADINGS = ("#", "features", "head", "val", "test [95\u00a0%]")
_PUBLISHED_CELLS = (
    f"`inception_resnet_v2` `imagenet` **{PUBLISHED_MARK}**<br>{IMAGENET}",
    "`dense`",
    f"{PUBLISHED['accuracy']:.4f}",
    "–",
)
"""The published result on frozen features, under the headings."""

_SCORES = {
    "balanced_accuracy": "bal.",
    "f1": "F1",
    "roc_auc": "AUC",
    "log_loss": "log loss",
    "ece": "ECE",
}
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class System:
    """One head on one kind of features, with one seed or several.

    Attributes:
        number: its number on the page.
        runs: its runs, by ascending seed.
    """

    number: int
    runs: tuple[Run, ...]

    @property
    def record(self) -> RunRecord:
        """The first run's record."""
        return self.runs[0].record

    @property
    def features(self) -> str:
        """Backbone, weights and warnings; what it has learnt from; layers, pooling and views."""
        record = self.record
        spec, head = record.cache.spec, record.head
        words = [f"`{spec.backbone}`"]
        if spec.weights != "none":
            words += [f"{spec.size} px"] if spec.size else []
            words += [f"`{one}`" for one in (spec.weights, spec.weights_sha256[:8]) if one]
        words += [spec.precision] if spec.precision != "float32" else []
        words += [spec.preprocess] if spec.preprocess not in ("", "keras") else []
        words += [f"**{mark}**" for mark in record.marks]
        ways = sorted({run.record.head.combine for run in self.runs})  # seeds may choose their own
        how = " or ".join({"rows": "as rows"}.get(way, "averaged") for way in ways)
        kept = [
            f"`{'+'.join(head.layers)}` {head.features}".rstrip(),
            *(f"{v} {how}" for v in head.views),
        ]
        return "<br>".join([" ".join(words), record.learnt_from, ", ".join(kept)])

    @property
    def head(self) -> str:
        """Its name, how it was calibrated, and the seeds, as a range if they have no gap."""
        record = self.record
        calibrated = f", {record.calibration.method}" if record.calibration else ""
        seeds = [run.record.seed for run in self.runs]
        whole = len(seeds) > 1 and seeds[-1] - seeds[0] == len(seeds) - 1
        text = f"{seeds[0]}–{seeds[-1]}" if whole else ", ".join(map(str, seeds))
        return f"`{record.head.name}`{calibrated}<br>seed{'s' * (len(seeds) > 1)}\u00a0{text}"

    def accuracies(self) -> tuple[str, str]:
        """On validation and test: mean and spread, or of a single run the test's interval."""
        records = [run.record for run in self.runs]
        validation = [one.validation.accuracy for one in records]
        test = [one.test.accuracy for one in records]
        interval = self.record.intervals.get("accuracy")
        if len(records) == 1 and interval:
            text = with_interval(test[0], interval).replace(", ", ",\u00a0")
            return f"{validation[0]:.4f}", text.replace(" ", "<br>")
        return _mean_std(validation), _mean_std(test)

    def cells(self) -> list[str]:
        """Its row of the table."""
        tests = [run.record.test for run in self.runs]
        seconds = fmean(run.record.seconds.fit for run in self.runs)
        scores = [_mean_of(tests, name) for name in _SCORES]
        time = f"{seconds:.1f}" if seconds >= 0.95 else f"{seconds:.2g}"
        names = [str(self.number), self.features, self.head]
        return [*names, *self.accuracies(), *scores, time]


@dataclass(frozen=True)
class Section:
    """The systems on the same images, labels, kind of split and rows left out."""

    systems: tuple[System, ...]

    @property
    def record(self) -> RunRecord:
        """The first system's record."""
        return self.systems[0].record

    @property
    def title(self) -> str:
        """Task, split, labels, and which rows were left out."""
        dropped = self.record.data.dropped
        left_out = " and ".join(name for name in (TWINS, SEEN_COPIES) if name in dropped)
        labels = self.record.data.labels
        words = [self.record.task.name, f"split {self.record.split.name}"]
        words += [] if labels == "original" else [f"labels {labels}"]
        return ", ".join([*words, *([f"without {left_out}"] if left_out else [])])

    def about(self) -> str:
        """The images, and how many each part has."""
        splits = [run.record.split for one in self.systems for run in one.runs]
        parts = [_span(getattr(one, part) for one in splits) for part in _PARTS]
        classes = ", ".join(one.name for one in self.record.task.classes)
        return (
            f"{self.record.data_title}; {' / '.join(parts)} of them for training, validation and "
            f"test. Classes: {classes}."
        )

    def to_markdown(self) -> str:
        """Heading, table and notes."""
        rows = [one.cells() for one in self.systems]
        if is_published_task(self.record):
            rows.append(["", *_PUBLISHED_CELLS, *["–"] * (len(_SCORES) + 1)])
        lines = markdown_table([*_HEADINGS, *_SCORES.values(), "fit s"], rows, n_text=3)
        notes = ComparisonTable(tuple(one.runs[0] for one in self.systems)).notes
        if self.record.task.name == SEVEN.name and self.record.data.fer2013:
            notes.append(f"Accuracies of fine-tuned networks: [{PUBLISHED_MARK}](#published).")
        return "\n\n".join(
            [f"## {self.title}", self.about(), lines, *(f"- {one}" for one in notes)]
        )


def sections_of(runs: Iterable[Run]) -> list[Section]:
    """Runs by task, split and rows left out; of a fit with the same seed the newest counts."""
    families: dict[bytes, list[tuple[Run, ...]]] = {}
    for same in same_fits(runs):
        families.setdefault(msgspec.json.encode(family_key(same[0].record)), []).append(same)
    numbers = itertools.count(1)
    return [
        Section(tuple(System(next(numbers), same) for same in family))
        for family in sorted(families.values(), key=_place)
    ]


def _place(family: Sequence[Sequence[Run]]) -> tuple[str, str, str, int]:
    record = family[0][0].record
    return record.task.name, record.data.labels, record.split.name, len(record.data.dropped)


def results_page(runs: Sequence[Run], *, date: str, weights: Sequence[Path] = ()) -> str:
    """The page as Markdown.

    Args:
        runs: at least one run.
        date: the day on which it is made.
        weights: files of `fer train`, of the seven classes.

    Raises:
        FerError: a file of weights cannot be read.
    """
    sections = sections_of(runs)
    count = sum(len(system.runs) for one in sections for system in one.systems)
    parts = [
        "# Results",
        f"Made by `python -m benchmarks results RUNS_DIR` on {date} from {count:,} runs.",
        _ABOUT,
        f"## In short\n\nThe head that is best on validation, for each backbone.\n\n"
        f"{short_table(sections)}",
        *(one.to_markdown() for one in sections),
        *([trained_section(weights)] if weights else []),
        _published(),
        not_run_section({run.record.base_features for run in runs}),
        _commands(sections),
    ]
    return "\n\n".join(parts) + "\n"


def short_table(sections: Iterable[Section]) -> str:
    """The best system on validation of each backbone and weights, a row each."""
    rows: list[Sequence[str]] = []
    for section in sections:
        best: dict[str, System] = {}
        for one in section.systems:  # the best first
            best.setdefault(one.record.base_features, one)
        rows += [
            [section.title, one.features, one.head, *one.accuracies()] for one in best.values()
        ]
    rows.append([f"{BINARY.name}, published 60/20/20", *_PUBLISHED_CELLS])
    return markdown_table(["task and split", *_HEADINGS[1:]], rows, n_text=3)


def with_short_table(text: str, runs: Iterable[Run]) -> str:
    """A document whose short table, between `SHORT_MARKS`, is made again.

    Raises:
        FerError: the marks are missing.
    """
    begin, end = SHORT_MARKS
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise FerError(f"no {begin} before an {end}", hint="put both where the table belongs")
    return f"{before}{begin}\n\n{short_table(sections_of(runs))}\n\n{end}{after}"


def _published() -> str:
    """All published results."""
    scores = ", ".join(
        f"{name} {PUBLISHED[name.lower()]:.4f}" for name in ("precision", "recall", "F1")
    )
    frozen = ["`inception_resnet_v2`", "ImageNet", f"frozen; binary, {PUBLISHED_ROWS:,} images"]
    rows = [[*frozen, f"{PUBLISHED['accuracy']:.4f}", PUBLISHED_MARK]]
    rows += [
        [f"`{name}`", learnt_from, "fine-tuned; seven classes", f"{accuracy:.4f}", PUBLISHED_MARK]
        for name, learnt_from, accuracy in PUBLISHED_FINE_TUNED
    ]
    headings = ["backbone", "learnt from", "training and task", "accuracy", ""]
    note = (
        f"The first is of {PUBLISHED['n']:,} validation images, on which its training was stopped "
        f"too: {scores}. The others are as they were reported."
    )
    return "\n\n".join(["## Published", markdown_table(headings, rows, n_text=3), note])


def _commands(sections: Iterable[Section]) -> str:
    """The commands that make caches like the runs' own, and each row's."""
    systems = [system for section in sections for system in section.systems]
    made: dict[str, list[RunRecord]] = {}
    for record in (run.record for one in systems for run in one.runs):
        made.setdefault(f"{record.task.name} {record.cache.key}", []).append(record)
    extract = sorted({extract_command(records) for records in made.values()})
    lines = []
    for one in systems:
        commands = dict.fromkeys(shown_command(run.record.command) for run in one.runs)
        lines.append(f"{one.number}. " + "; ".join(f"`{line}`" for line in commands if line))
    blocks = ["```console", *(f"$ {line}" for line in extract), "```"]
    return "\n\n".join(["## Commands", "\n".join(blocks), "By row:", "\n".join(lines)])


def _mean_std(values: Sequence[float]) -> str:
    spread = f"<br>±\u00a0{stdev(values):.4f}" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{spread}"


def _mean_of(scores: Sequence[Scores], name: str) -> str:
    values = [getattr(one, name) for one in scores]
    return "–" if None in values else f"{fmean(values):.3f}"


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return "–".join(f"{one:,}" for one in dict.fromkeys((found[0], found[-1])))
