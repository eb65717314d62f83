"""``fer train``, and its former name ``fer pretrain``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_features.cli.flags import Json
from fer_features.config import TrainConfig
from fer_features.runtime.console import emit_json, print_line, print_message
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress

if TYPE_CHECKING:
    from fer_features.training.run import Trained

RESUMES = "interrupted; the same command resumes after the last finished epoch"


def train(config: TrainConfig, *, json: Json = False) -> None:
    """Train a network, and write its weights with a record of its training images.

    From scratch, or from pretrained weights (--from); on images, or on the maps of a cache, which
    is faster. It learns from FER2013's Training part without copies of images of the other two
    (from 60 % of data that names no parts). Stopped at any moment, the same command resumes after
    the last finished epoch, with the same result. `fer extract --backbone NAME --weights FILE` uses
    the weights; a picture of the learning curves is put beside them.
    """
    from fer_features.training.run import train as run

    with prompt_interrupt(RESUMES):
        trained = run(config, progress=show_progress, log=print_message)
    if json:
        emit_json({"weights": str(trained.path), "found": trained.found, **trained.provenance})
    else:
        show_trained(trained)


def pretrain(config: TrainConfig, *, json: Json = False) -> None:
    """The former name of `fer train`."""
    print_message("note: fer pretrain is now fer train")
    train(config, json=json)


def show_trained(trained: Trained) -> None:
    """Print the result of a training in a few lines."""
    from fer_features.training.record import curves_path

    provenance, data = trained.provenance, trained.provenance["data"]
    minutes = provenance["seconds"] / 60
    state = "there already" if trained.found else f"trained in {minutes:.1f} minutes"
    print_line(f"{trained.path}: {state}; learnt from {data['train']:,} images of {data['name']}")
    for part, scores in provenance["scores"].items():
        print_line(
            f"  {part}, {scores['n']:,} images and their mirror images: accuracy "
            f"{scores['accuracy']:.4f}, balanced {scores['balanced_accuracy']:.4f}, log loss "
            f"{scores['log_loss']:.4f}"
        )
    if not trained.found:
        print_line(f"  learning curves: {curves_path(trained.path)}")
