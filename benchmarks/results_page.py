"""``docs/results.md``, made from run files: every system by task, split and rows left out."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import msgspec

from benchmarks.not_run import NOT_RUN
from fer_features.config import SEEN_COPIES, TWINS
from fer_features.data.tasks import BINARY, SEVEN
from fer_features.metrics.scores import Scores
from fer_features.runs.published import (
    PUBLISHED,
    PUBLISHED_FINE_TUNED,
    PUBLISHED_MARK,
    PUBLISHED_ROWS,
    is_published_task,
)
from fer_features.runs.record import RunRecord
from fer_features.runs.repeats import family_key, same_fits
from fer_features.runs.run import Run
from fer_features.runs.table import ComparisonTable, with_interval

COMMAND = "python -m benchmarks results RUNS_DIR"

_ABOUT = """\
The first row of a table is the best on validation; test was scored once for each row.

- **features**: the layer, and how its map is used: `pooled` (mean), `grid3` (means over a grid of
  3 × 3), `map` (all of it). *flip, averaged*: the features of an image and of its mirror image are
  averaged; *flip, as rows*: both are training rows, and the probabilities of both are averaged.
- **test**: accuracy, in brackets with its 95 % interval. A row with several **seeds** has the mean
  ± standard deviation over them, each with a split of its own; its other scores are means.
- **F1** is that of the positive class, or the classes' mean where there is none. **fit s**: seconds
  to fit and choose the head on cached features, on the machine that made the run.
- **weights**: their name and the start of their SHA-256, and below what they have learnt from."""

_HEADINGS = ("#", "backbone", "weights", "features", "head", "seeds", "validation", "test [95 %]")
_SCORES = {
    "balanced_accuracy": "balanced",
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
    def backbone(self) -> str:
        """Its name, and the images' size and the precision where the defaults do not tell."""
        spec = self.record.cache.spec
        words = [f"`{spec.backbone}`"]
        words += [f"{spec.size} px"] if spec.size and spec.weights != "none" else []
        words += [spec.precision] if spec.precision != "float32" else []
        words += [spec.preprocess] if spec.preprocess not in ("", "keras") else []
        return ", ".join(words)

    @property
    def weights(self) -> str:
        """Their origin, hash and warnings, and what they have learnt from."""
        record = self.record
        name, digest = record.cache.spec.weights, record.cache.spec.weights_sha256[:8]
        words = [] if name == "none" else [f"`{name}`", *([f"`{digest}`"] if digest else [])]
        words += [f"**{mark}**" for mark in record.marks]
        return "<br>".join([*([" ".join(words)] if words else []), record.learnt_from])

    @property
    def features(self) -> str:
        """Layers, pooling and views."""
        head = self.record.head
        words = [f"`{'+'.join(head.layers)}`", *([head.features] if head.features else [])]
        how = "as rows" if head.combine == "rows" else "averaged"
        return "<br>".join([" ".join(words), *(f"{view}, {how}" for view in head.views)])

    @property
    def head(self) -> str:
        """Its name, and how it was calibrated."""
        record = self.record
        calibration = record.calibration
        return f"`{record.head.name}`" + (f", {calibration.method}" if calibration else "")

    @property
    def seeds(self) -> str:
        """The runs' seeds, as a range if they have no gap."""
        seeds = [run.record.seed for run in self.runs]
        whole = len(seeds) > 1 and seeds[-1] - seeds[0] == len(seeds) - 1
        return f"{seeds[0]}–{seeds[-1]}" if whole else ", ".join(map(str, seeds))

    @property
    def validation(self) -> str:
        """Validation accuracy."""
        return _mean_std([run.record.validation.accuracy for run in self.runs])

    @property
    def test(self) -> str:
        """Test accuracy, of a single run with its interval."""
        interval = self.record.intervals.get("accuracy")
        if len(self.runs) == 1 and interval:
            return with_interval(self.record.test.accuracy, interval)
        return _mean_std([run.record.test.accuracy for run in self.runs])

    def cells(self) -> list[str]:
        """Its row of the table."""
        tests = [run.record.test for run in self.runs]
        seconds = fmean(run.record.seconds.fit for run in self.runs)
        names = [self.backbone, self.weights, self.features, self.head, self.seeds]
        scores = [_mean_of(tests, name) for name in _SCORES]
        time = f"{seconds:.1f}" if seconds >= 0.95 else f"{seconds:.2g}"
        accuracy = [self.validation, self.test.replace(" ", "<br>", 1)]
        return [str(self.number), *names, *accuracy, *scores, time]


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
        """Task, split, and which rows were left out."""
        dropped = self.record.data.dropped
        left_out = " and ".join(name for name in (TWINS, SEEN_COPIES) if name in dropped)
        without = f", without {left_out}" if left_out else ""
        return f"{self.record.task.name}, split {self.record.split.name}{without}"

    @property
    def published(self) -> bool:
        """Whether the published result on frozen features is about the same task."""
        return is_published_task(self.record)

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
        if self.published:
            blank = ["–"] * len(rows[0])
            names = ["", "`inception_resnet_v2`", f"`imagenet`<br>**{PUBLISHED_MARK}**"]
            rows.append([*names, *blank[3:6], f"{PUBLISHED['accuracy']:.4f}", *blank[7:]])
        lines = _table([*_HEADINGS, *_SCORES.values(), "fit s"], rows, n_text=6)
        notes = ComparisonTable(tuple(one.runs[0] for one in self.systems)).notes
        if self.record.task.name == SEVEN.name and self.record.data.fer2013:
            notes.append(f"Accuracies of fine-tuned networks: [{PUBLISHED_MARK}](#published).")
        return "\n\n".join([f"## {self.title}", self.about(), lines, *notes])


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


def _place(family: Sequence[Sequence[Run]]) -> tuple[str, str, str, list[str]]:
    record = family[0][0].record
    return record.task.name, record.data.labels, record.split.name, sorted(record.data.dropped)


def results_page(runs: Sequence[Run], *, date: str) -> str:
    """The page as Markdown.

    Args:
        runs: at least one run.
        date: the day on which it is made.
    """
    sections = sections_of(runs)
    count = sum(len(system.runs) for one in sections for system in one.systems)
    parts = [
        "# Results",
        f"Made by `{COMMAND}` on {date} from {count:,} runs; not to be edited by hand.",
        _ABOUT,
        f"## In short\n\nThe head that is best on validation, for each backbone.\n\n"
        f"{short_table(sections)}",
        *(one.to_markdown() for one in sections),
        _published(),
        _not_run({run.record.base_features for run in runs}),
        _commands(sections),
    ]
    return "\n\n".join(parts) + "\n"


def short_table(sections: Iterable[Section]) -> str:
    """The best system on validation of each backbone and weights, a row each."""
    rows = []
    for section in sections:
        best: dict[str, System] = {}
        for one in section.systems:  # the best first
            best.setdefault(one.record.base_features, one)
        for one in best.values():
            names = [section.title, one.backbone, one.weights, one.features, one.head]
            rows.append([*names, one.validation, one.test])
        if section.published:
            names = ["`inception_resnet_v2`", f"`imagenet`<br>**{PUBLISHED_MARK}**"]
            rows.append([section.title, *names, "–", "–", f"{PUBLISHED['accuracy']:.4f}", "–"])
    headings = ["task and split", *_HEADINGS[1:5], *_HEADINGS[6:]]
    return _table(headings, rows, n_text=5)


def _published() -> str:
    """All published results."""
    scores = ", ".join(
        f"{name} {PUBLISHED[key]:.4f}"
        for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
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
    return "\n\n".join(["## Published", _table(headings, rows, n_text=3), note])


def _not_run(run_here: set[str]) -> str:
    """What could not be run, why, and what would run it."""
    items = [
        f"**{one.system}.** {one.why}\n\n```console\n"
        + "\n".join(f"$ {line}" for line in one.commands)
        + "\n```"
        for one in NOT_RUN
        if one.base not in run_here
    ]
    return "\n\n".join(["## Not run here", *items])


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
        lines.append(f"{one.number}. " + " ; ".join(f"`{line}`" for line in commands if line))
    blocks = ["```console", *(f"$ {line}" for line in extract), "```"]
    return "\n\n".join(["## Commands", "\n".join(blocks), "By row:", "\n".join(lines)])


def extract_command(records: Sequence[RunRecord]) -> str:
    """The command that computes the features of some runs on one cache and one task."""
    first = records[0]
    spec, data = first.cache.spec, first.data
    words = ["fer", "extract", "fer2013.csv" if data.fer2013 else data.name]
    words += ["--backbone", spec.backbone]
    if spec.weights != "none":
        words += [
            "--weights",
            spec.weights,
            "--size",
            str(spec.size),
            "--precision",
            spec.precision,
        ]
    if spec.preprocess not in ("", "keras"):
        words += ["--preprocess", spec.preprocess]
    if first.task.name != BINARY.name:
        words += ["--task", first.task.name]
    if len({sum(counts) for counts in zip(*data.counts.values(), strict=True)}) > 1:
        words += [] if is_published_task(first) else ["--per-class", "all"]
    heads = [one.head for one in records]
    for layer in sorted({layer for head in heads for layer in head.layers}):
        words += ["--layer", layer]
    if outputs := ",".join(sorted({head.features for head in heads} - {""}, reverse=True)):
        words += ["--output", outputs]
    for view in sorted({view for head in heads for view in head.views}):
        words += ["--views", view]
    return shlex.join(words)


def shown_command(command: str) -> str:
    """A run's command without the folders of the machine that made it."""
    words = [Path(word).name if "/" in word else word for word in shlex.split(command)]
    return shlex.join(f"cache/{word}" if word.endswith(".h5") else word for word in words)


def _mean_std(values: Sequence[float]) -> str:
    """The value, or of several their mean and standard deviation."""
    mean = f"{fmean(values):.4f}"
    return f"{mean} ± {stdev(values):.4f}" if len(values) > 1 else mean


def _mean_of(scores: Sequence[Scores], name: str) -> str:
    values = [getattr(one, name) for one in scores]
    return "–" if None in values else f"{fmean(values):.4f}"


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return "–".join(f"{one:,}" for one in dict.fromkeys((found[0], found[-1])))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, n_text: int) -> str:
    """A Markdown table; all columns but the first `n_text` are set to the right."""
    marks = ["---"] * n_text + ["---:"] * (len(headings) - n_text)
    lines = [headings, marks, *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
