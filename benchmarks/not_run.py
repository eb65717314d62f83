"""Systems that belong on the results page, and could not be run where it was made."""

from __future__ import annotations

from dataclasses import dataclass


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


_NO_FILE = "Keras's file of ImageNet weights could not be had on the machine that made this page."
_NO_TUNING = "This package keeps backbones frozen; the commands run the network frozen."

NOT_RUN = (
    NotRun(
        "`inception_resnet_v2` on ImageNet weights, frozen: the published procedure to the letter",
        _NO_FILE,
        (
            "fer extract fer2013.csv --weights imagenet --preprocess raw",
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
        f"Those weights could not be had either. {_NO_TUNING}",
        (
            "fer extract fer2013.csv --task seven --per-class all --backbone resnet50_vggface2 "
            "--weights rcmalli_vggface_tf_notop_resnet50.h5",
            "fer fit --head all --split usage",
        ),
    ),
    NotRun(
        "`inception_resnet_v2` and `inception_v3` on ImageNet weights, fine-tuned to seven classes",
        f"{_NO_FILE} {_NO_TUNING}",
        (
            "fer extract fer2013.csv --task seven --per-class all --backbone inception_v3 "
            "--weights imagenet",
            "fer fit --head all --split usage",
        ),
    ),
)
