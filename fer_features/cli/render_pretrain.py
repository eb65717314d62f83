"""A training as people follow it, and what it has made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from fer_features.runtime.console import say, tell
from fer_features.runtime.progress import Advance, clock, show_progress

if TYPE_CHECKING:
    from fer_features.config import PretrainConfig
    from fer_features.training.run import Pretrained

GOES_ON = "interrupted; the same command goes on after the last whole epoch"


def track_epoch(config: PretrainConfig) -> Callable[[int, int], AbstractContextManager[Advance]]:
    """Show on stderr how far an epoch is."""

    @contextmanager
    def tracked(epoch: int, images: int) -> Iterator[Advance]:
        with show_progress(f"epoch {epoch} of {config.epochs}", images, unit="images") as advance:
            yield advance

    return tracked


def epoch_done(config: PretrainConfig) -> Callable[[int, dict[str, float]], None]:
    """Tell on stderr what an epoch has given, and how long the rest will take."""
    begun, count = time.perf_counter(), 0

    def told(epoch: int, values: dict[str, float]) -> None:
        nonlocal count
        count += 1
        left = (config.epochs - epoch) * (time.perf_counter() - begun) / count
        tell(
            f"epoch {epoch} of {config.epochs}: loss {values['loss']:.4f}, accuracy "
            f"{values['accuracy']:.4f}; validation loss {values['val_loss']:.4f}, accuracy "
            f"{values['val_accuracy']:.4f}; {clock(left)} left"
        )

    return told


def show_pretrained(made: Pretrained) -> None:
    """What a training has made, in a few lines."""
    told = made.provenance
    state = "there already" if made.found else f"trained in {told['seconds'] / 60:.1f} minutes"
    data = told["data"]
    say(f"{made.path}: {state}; learnt from {data['train']:,} images of {data['name']}")
    for part, scores in told["scores"].items():
        say(
            f"  {part}, {scores['n']:,} images and their mirror images: accuracy "
            f"{scores['accuracy']:.4f}, balanced {scores['balanced_accuracy']:.4f}, log loss "
            f"{scores['log_loss']:.4f}"
        )
    if not made.found:
        from fer_features.training.record import curves_of

        say(f"  learning curves: {curves_of(made.path)}")
