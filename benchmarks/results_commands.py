"""Commands on the page of results: those of its runs, and of what could not be run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_features.data.tasks import BINARY
from fer_features.runs.published import is_published_task
from fer_features.runs.record import RunRecord


@dataclass(frozen=True)
class NotRun:
    """A system that belongs on the page and could not be run where it was made.

    Attributes:
        system: what it is.
        why: why it was not run.
        commands: what would run it, or what comes closest.
        base: its backbone and weights as `RunRecord.base_features`; with such a run it goes.
    """

    system: str
    why: str
    commands: tuple[str, ...]
    base: str = ""


_NO_FILE = "Keras's file of ImageNet weights could not be had on the machine that made these runs."

_TESTED = (
    "A test fine-tunes these networks from random weights for one epoch of the drawn sample, and "
    "extracts features with the result (`tests/training/test_finetune.py`): scores without meaning."
)

NOT_RUN = (
    NotRun(
        "`inception_resnet_v2` on ImageNet weights, frozen: the published procedure to the letter",
        _NO_FILE,
        (
            "fer extract fer2013.csv --weights imagenet --preprocess raw --layer conv_7b_ac",
            "fer fit --head dense --split reference --set standardize=False",
        ),
        base="inception_resnet_v2 imagenet",
    ),
    *(
        NotRun(
            f"`{name}` on ImageNet weights, frozen",
            _NO_FILE,
            (
                f"fer extract fer2013.csv --backbone {name} --weights imagenet",
                "fer fit --head all --split reference",
            ),
            base=f"{name} imagenet",
        )
        for name in ("inception_v3", "resnet50")
    ),
    NotRun(
        "`resnet50` on VGGFace2's weights, fine-tuned to seven classes",
        f"Those weights could not be had either. {_TESTED}",
        (
            "fer train fer2013.csv --backbone resnet50_vggface2 "
            "--from rcmalli_vggface_tf_notop_resnet50.h5 --test",
        ),
    ),
    NotRun(
        "`inception_resnet_v2` and `inception_v3` on ImageNet weights, fine-tuned to seven classes",
        f"{_NO_FILE} {_TESTED}",
        tuple(
            f"fer train fer2013.csv --backbone {name} --from imagenet --test"
            for name in ("inception_resnet_v2", "inception_v3")
        ),
    ),
)


def not_run_section(run_here: set[str]) -> str:
    """What could not be run, why, and what would run it."""
    items = [
        f"**{one.system}.** {one.why}\n\n```console\n"
        + "\n".join(f"$ {line}" for line in one.commands)
        + "\n```"
        for one in NOT_RUN
        if one.base not in run_here
    ]
    return "\n\n".join(["## Not run here", *items])


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
