"""The command in a run's record, parsed by the command line again."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fer_features.cli.flags import add_command
from fer_features.config import FitConfig, TrainConfig
from fer_features.fit.record import command
from fer_features.training.record import command as training_command


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"views": ("flip",), "split": "reference", "features": "a+b"},
        {"drop": ("constant", "twins"), "allow_seen": True, "cv": 5, "sizes": True},
        {"operate": ("recall", 0.95), "calibrate": "platt", "task": "binary"},
        {"params": {"ridge.alphas": (1.0, 10.0), "a": "relu", "b": None, "c": "1", "d": True}},
        {"per_class": 20, "labels": "soft", "ferplus": Path("my votes.csv")},
        {"per_class": "all", "seed": 3},
    ],
)
def test_the_command_parses_back_to_the_configuration(options: dict[str, Any]) -> None:
    config = FitConfig(Path("a cache.h5"), heads=("ridge",), **options)
    text = command(config, "ridge", Path("a cache.h5"))
    assert parsed(FitConfig, text) == config


def test_the_command_of_an_ensemble_fits_members_with_parameters_of_their_own_again() -> None:
    params = {"ridge.alphas": (1.0, 10.0), "dense.epochs": 1}
    config = FitConfig(Path("a cache.h5"), heads=("all",), params=params)
    path, reused = Path("a cache.h5"), ("ridge", "svm")
    text = command(config, "ensemble", path, reused=reused)
    again = parsed(FitConfig, text)
    assert again.heads == ("ridge", "ensemble")
    assert again.params == {"ridge.alphas": (1.0, 10.0)}
    plain = FitConfig(path, heads=("all",))
    assert "--head ensemble" in command(plain, "ensemble", path, reused=reused)


def test_a_class_whose_name_holds_a_comma_is_left_out_by_it() -> None:
    config = TrainConfig(
        "faces", ignore=("calm, bored", "contempt"), classes={"glad": "happy"}, skip_bad=True
    )
    assert parsed(TrainConfig, training_command(config)) == config


def parsed(kind: type[Any], text: str) -> Any:
    """The configuration that the command line makes of a command."""
    found = []

    def made(config: kind) -> None:  # type: ignore[valid-type]
        found.append(config)

    made.__annotations__["config"] = kind
    app = typer.Typer()
    add_command(app, made)
    result = CliRunner().invoke(app, shlex.split(text)[2:])
    assert result.exit_code == 0, result.output
    return found[0]
