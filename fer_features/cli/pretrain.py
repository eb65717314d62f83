"""``fer pretrain``."""

from __future__ import annotations

from fer_features.cli.flags import Json
from fer_features.config import PretrainConfig
from fer_features.runtime.console import emit_json, tell
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress


def pretrain(config: PretrainConfig, *, json: Json = False) -> None:
    """Stage 0: train a small backbone, and write its weights with all that they have seen.

    It learns from FER2013's Training part without the twins of the other two (60 % of data that
    names no parts). Stopped at any moment, the same command goes on after the last whole epoch, to
    the same weights. `fer extract --backbone fernet --weights FILE` takes them; a picture of the
    learning curves is put beside them.
    """
    from fer_features.cli.render_pretrain import GOES_ON, epoch_done, show_pretrained, track_epoch
    from fer_features.training.run import pretrain as run

    with prompt_interrupt(GOES_ON):
        made = run(
            config,
            progress=track_epoch(config),
            done=epoch_done(config),
            log=tell,
            track_copies=show_progress,
        )
    if json:
        emit_json({"weights": str(made.path), "found": made.found, **made.provenance})
    else:
        show_pretrained(made)
