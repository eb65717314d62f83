"""A training's configuration, settled and checked, and what tells it from another one."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.backbones import Backbone, Weights, get_backbone, resolve_weights, seen_images
from fer_features.backbones.weights import file_sha256
from fer_features.backbones.weights_file import Seen, is_weights_file, read_weights
from fer_features.cache import Cache
from fer_features.config import MAX_SEED, TrainConfig
from fer_features.data.twin_table import about
from fer_features.engines import choose_engine
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import backend_name
from fer_features.training.augment import IMAGES, MAPS, Augmentation

SCRATCH = "scratch"

_FINE_TUNING: dict[str, Any] = {
    "epochs": 12,
    "learning_rate": 1e-3,
    "layer_decay": 0.1,
    "weight_decay": 0.05,
    "dropout": 0.3,
}
RECIPES: dict[str, dict[str, Any]] = {
    SCRATCH: {
        "epochs": 40,
        "learning_rate": 0.12,
        "layer_decay": 1.0,
        "weight_decay": 0.005,
        "dropout": 0.0,
    },
    "fine-tuning": _FINE_TUNING,
    "maps": _FINE_TUNING | {"epochs": 8},
}
"""Values of options that are not given: from scratch, from pretrained weights, from a cache."""

SINCE_FINE_TUNING = (
    "tail_from",
    "size",
    "layer_decay",
    "dropout",
    "mixup",
    "augment",
    "balance",
    "keep",
    "move_statistics",
    "keep_copies",
    "teachers",
    "teacher_weight",
)
"""Options that `identity_of` leaves out where they are as before there was fine-tuning."""

MOST, LARGEST, BELOW_1 = 1_000_000, float(np.finfo(np.float32).max), 0.999999
RANGES = {
    "seed": (0, MAX_SEED),
    "epochs": (1, MOST),
    "batch_size": (1, MOST),
    "learning_rate": (1e-12, LARGEST),
    "layer_decay": (1e-6, 1),
    "weight_decay": (0, LARGEST),
    "votes_weight": (0, LARGEST),
    "warm_up": (0, BELOW_1),
    "smoothing": (0, BELOW_1),
    "dropout": (0, BELOW_1),
    "mixup": (0, 100),
    "augment": (0, 3),
    "balance": (0, 1),
    "average": (0, BELOW_1),
    "teacher_weight": (0, 1),
}
"""The smallest and the largest value of each number in the configuration."""


def is_cache(data: str) -> bool:
    """Whether the data are a cache's maps, and not images."""
    return data.endswith(".h5")


def backbone_of(config: TrainConfig) -> Backbone:
    """The network that is trained.

    Raises:
        FerError: there is none of that name.
    """
    return get_backbone(config.backbone or "fernet")


def out_of(config: TrainConfig) -> Path:
    """The file that the weights go to."""
    return config.out or Path(f"{backbone_of(config).name}.h5")


def settled(config: TrainConfig) -> TrainConfig:
    """The configuration with all that is not given filled in.

    Raises:
        FerError: the data are a cache, and it cannot be trained on, or not this way.
    """
    if is_cache(config.data):
        with Cache(Path(config.data)) as cache:
            config = _of_cache(config, cache)
    start = config.start or SCRATCH
    backbone = backbone_of(config)
    config = replace(
        config, backbone=backbone.name, start=start, size=config.size or backbone.default_size
    )
    recipe = recipe_of(config)
    missing = {name: value for name, value in recipe.items() if getattr(config, name) is None}
    return replace(config, **missing)


def augmentation_of(config: TrainConfig) -> Augmentation:
    """How the training's images, or a cache's maps, are changed."""
    return MAPS if is_cache(config.data) else IMAGES.times(config.augment)


def recipe_of(config: TrainConfig) -> dict[str, Any]:
    """The entry of `RECIPES` for a configuration."""
    if is_cache(config.data):
        return RECIPES["maps"]
    return RECIPES[SCRATCH if config.start in (None, SCRATCH) else "fine-tuning"]


def _of_cache(config: TrainConfig, cache: Cache) -> TrainConfig:
    """The configuration with the cache's backbone, weights, size and layer."""
    if config.skip_bad or config.ignore or config.classes:
        raise FerError(
            "--skip-bad, --ignore and --map are for images",
            hint=f"fer extract has chosen those of {cache.path}",
        )
    spec = cache.header.spec
    for option in ("backbone", "size"):
        if getattr(config, option) not in (None, spec[option]):
            raise FerError(
                f"{cache.path} has {option} {spec[option]}, not {getattr(config, option)}",
                hint=f"leave --{option} out",
            )
    if spec["preprocess"] != "keras":
        raise FerError(f"{cache.path}: its images were not preprocessed as the network's own")
    layers = [
        layer
        for layer in cache.selection().layers
        if {f"{layer}/map", f"{layer}/map_flip"} <= set(cache.features)
    ]
    layer = config.tail_from or (layers[-1] if layers else "")
    if layer not in layers:
        raise FerError(
            f"{cache.path} has no maps of {layer or 'any layer'} of both views",
            hint=f"fer extract --layer {layer or 'LAYER'} --output map --views flip adds them",
        )
    start = config.start or spec["weights"]
    weights = resolve_weights(start, get_backbone(spec["backbone"]))
    if weights.sha256 != spec["weights_sha256"]:
        raise FerError(
            f"{start}: not the weights that {cache.path} was made with",
            hint=f"name the file {spec['weights']} with --from",
        )
    return replace(
        config, backbone=spec["backbone"], start=start, size=spec["size"], tail_from=layer
    )


def starting_weights(config: TrainConfig) -> Weights | None:
    """The weights that a settled configuration starts from; None from scratch.

    Raises:
        FerError: there are no such weights.
    """
    if config.start == SCRATCH:
        return None
    return resolve_weights(config.start, backbone_of(config))


def seen_before(config: TrainConfig) -> Seen | None:
    """The images that the weights to start from or a teacher have learnt from; None if unknown."""
    weights = starting_weights(config)
    seen = [Seen(one.seen, one.signatures) for one in map(read_weights, config.teachers)]
    start = seen_images(weights) if weights else None
    seen += [start] if start else []
    return Seen.union(seen) if seen else None


def check(config: TrainConfig) -> None:
    """Raise a `FerError` if a settled configuration cannot be trained."""
    backbone = backbone_of(config)
    if backbone.descriptors is not None:
        raise FerError(f"{backbone.name} is no network", hint="fernet is, and efficientnet_lite0")
    backbone.check_size(config.size or backbone.default_size)
    if config.tail_from and config.start == SCRATCH:
        raise FerError(
            f"what is before {config.tail_from} would stay random", hint="name weights with --from"
        )
    for path in config.teachers:
        if not is_weights_file(path):
            known = "no weights file of fer train" if path.is_file() else "no such file"
            raise FerError(f"--teacher {path}: {known}", hint="fer train makes one")
    _check_used(config)
    for name, (low, high) in RANGES.items():
        value = getattr(config, name)
        if not low <= value <= high:
            flag = name.replace("_", "-")
            raise FerError(f"--{flag} {value!s:.20} is not from {low:g} to {high:.8g}")


def _check_used(config: TrainConfig) -> None:
    """Raise a `FerError` for an option that would change nothing."""
    usual = TrainConfig()
    on_maps = is_cache(config.data)
    for name, used, without in (
        ("teacher_weight", bool(config.teachers), "without --teacher"),
        ("votes_weight", config.ferplus is not None, "without --ferplus"),
        ("augment", not on_maps, "on a cache's maps, which are not moved"),
    ):
        if not used and getattr(config, name) != getattr(usual, name):
            flag = name.replace("_", "-")
            raise FerError(f"--{flag} changes nothing {without}", hint=f"leave --{flag} out")


SETTLED_LATE = {"cache", "precision", "data", "backend"}
"""What `identity_of` knows, and `options_of` does not."""


def options_of(config: TrainConfig) -> dict[str, Any]:
    """The part of `identity_of` that a settled configuration alone gives."""
    left_out = (
        "data",
        "out",
        "test",
        "skip_bad",
        "ignore",
        "classes",
        "start",
        "cache_dir",
        "precision",
    )
    found = {name: value for name, value in vars(config).items() if name not in left_out}
    usual = asdict(TrainConfig()) | RECIPES[SCRATCH]
    usual["size"] = backbone_of(config).default_size
    for name in SINCE_FINE_TUNING:
        if found[name] == usual[name]:
            del found[name]
    weights = starting_weights(config)
    if not config.teachers:
        found.pop("teacher_weight", None)
    return found | {
        **({"teachers": [file_sha256(one) for one in config.teachers]} if config.teachers else {}),
        **({"weights": weights.sha256} if weights else {}),
        "ferplus": config.ferplus is not None,
        "copies": about(),
        "augmentation": asdict(augmentation_of(config)),
    }


def identity_of(
    config: TrainConfig, options: dict[str, Any], digest: str, *, cache_key: str = ""
) -> dict[str, Any]:
    """All that two trainings must have in common to give the same weights.

    Args:
        config: the settled configuration.
        options: its `options_of`.
        digest: of the source, which depends on the ignored and mapped classes.
        cache_key: of a cache that is trained on.
    """
    return options | {
        **({"cache": cache_key} if cache_key else {}),
        "precision": choose_engine("keras", config.precision).precision,
        "data": digest,
        "backend": backend_name(),
    }
