"""The backbone's weights of a model: inside its file, in their usual place, or beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fer_features.backbones import Backbone, Weights, fetch_weights, get_backbone, resolve_weights
from fer_features.backbones.sources import WheelFile
from fer_features.backbones.weights import FILE_SUFFIXES, file_sha256
from fer_features.errors import FerError
from fer_features.runs.schema import Spec


def find_weights(spec: Spec, *, inside: Path | None, folders: Sequence[Path]) -> Weights:
    """The weights that a model's features come from.

    Args:
        spec: the record's.
        inside: the file that was in the model's, if there was one.
        folders: where to look for a local file of the recorded name.

    Raises:
        FerError: they are not there, or others.
    """
    backbone = get_backbone(spec.backbone)
    if inside is not None:
        return _inside(spec, backbone, inside)
    usual = spec.weights in ("imagenet", "shipped", "none") or spec.weights.startswith("random:")
    found = resolve_weights(spec.weights, backbone) if usual else _local(spec, folders)
    if spec.weights_sha256 and found.sha256 != spec.weights_sha256:
        raise FerError(
            f"the model needs other weights {spec.weights} of {spec.backbone} than those here: "
            f"SHA-256 {spec.weights_sha256}, not {found.sha256}",
            hint="fit again, or ask for the model with its weights inside (--with-weights)",
        )
    return found


def _inside(spec: Spec, backbone: Backbone, path: Path) -> Weights:
    usual = backbone.imagenet if spec.weights == "imagenet" else None
    if isinstance(usual, WheelFile):  # read by the package, which knows the file
        return Weights("imagenet", "imagenet", usual.sha256, path=path)
    return Weights("file", spec.weights, spec.weights_sha256, path=path)


def _local(spec: Spec, folders: Sequence[Path]) -> Weights:
    name, sha256 = spec.weights, spec.weights_sha256
    if name == Path(name).name and name.endswith(FILE_SUFFIXES):
        for folder in folders:
            path = folder / name
            if path.is_file() and file_sha256(path) == sha256:
                return resolve_weights(str(path), get_backbone(spec.backbone))
    raise FerError(
        f"the model's weights, the file {name} with SHA-256 {sha256 or 'unknown'}, were not found",
        hint="put it beside the model or into the current folder, or ask for the model with its "
        "weights inside (--with-weights)",
    )


def weights_to_keep(weights: Weights, spec: Spec) -> Path | None:
    """The file of weights to put inside a model, downloaded if need be; None if they need none.

    Raises:
        FerError: it is not there, or of a kind that is not put inside.
    """
    path = fetch_weights(weights, get_backbone(spec.backbone))
    if path is not None and path.suffix == ".keras":
        raise FerError(
            f"{path}: a .keras file is not put inside a model",
            hint="save the network's weights as .weights.h5, and extract with these",
        )
    return path
