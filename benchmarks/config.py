"""Defaults and flags of the benchmarks."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import Annotated

from fer_features.config import CACHE_DIR, MAX_SEED, SEED, ExtractConfig
from fer_features.runtime.flags import Flag


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    """Images a second of each engine, of the usual Keras recipe, and of a peer."""

    backbone: Annotated[str, Flag("The frozen network.")] = ExtractConfig.backbone
    weights: Annotated[
        str, Flag("imagenet, random:SEED or a file; the speed does not depend on them.")
    ] = "random:0"
    size: Annotated[
        int | None, Flag("Height and width that images are resized to; by default 139.", min=1)
    ] = None
    batch_size: Annotated[
        int | None, Flag("Images in a batch; by default each engine's own.", min=1)
    ] = None
    engines: Annotated[
        tuple[str, ...],
        Flag("keras or openvino; repeatable; by default both.", name="--engine"),
    ] = ()
    images: Annotated[
        int | None, Flag("Images of a round; by default what takes about three seconds.", min=1)
    ] = None
    rounds: Annotated[int, Flag("How often each is measured.", min=1)] = 5
    peer: Annotated[str | None, Flag("timm: its network on PyTorch, measured beside ours.")] = None
    peer_python: Annotated[Path | None, Flag("The Python that has the peer's packages.")] = None
    cache_dir: Annotated[Path, Flag("Folder of exported graphs.")] = CACHE_DIR


@dataclass(frozen=True)
class _OfAnExtraction(ExtractConfig):
    @property
    def extract(self) -> ExtractConfig:
        """The extraction alone."""
        return ExtractConfig(**{one.name: getattr(self, one.name) for one in fields(ExtractConfig)})


@dataclass(frozen=True)
class WholeConfig(_OfAnExtraction):
    """A whole extraction, against the same network fed from memory."""

    _: KW_ONLY
    weights: Annotated[str | None, Flag("imagenet, random:SEED or a file.")] = "random:0"
    rounds: Annotated[int, Flag("How often it is measured, in fresh processes.", min=1)] = 3


@dataclass(frozen=True)
class ShardsConfig(_OfAnExtraction):
    """An extraction in one piece, against its shards one after the other."""

    _: KW_ONLY
    weights: Annotated[str | None, Flag("imagenet, random:SEED or a file.")] = None
    backbone: Annotated[str, Flag("The frozen network.")] = "fernet"
    shards: Annotated[int, Flag("How many shards.", min=1)] = 4
    rounds: Annotated[int, Flag("How many pairs, the order in turn.", min=1)] = 3


@dataclass(frozen=True)
class PrecisionConfig(_OfAnExtraction):
    """What a precision costs in accuracy."""

    _: KW_ONLY
    heads: Annotated[tuple[str, ...], Flag("A head; repeatable.", name="--head")] = (
        "logreg",
        "svm",
        "dense",
    )
    split: Annotated[str | None, Flag("grouped, reference or usage; by default as `fer fit`.")] = (
        None
    )
    seeds: Annotated[int, Flag("Seeds that each head is fitted with, from 0 on.", min=1)] = 1


@dataclass(frozen=True)
class HeadsConfig:
    """Seconds that heads take, beside scikit-learn's own."""

    cache: Annotated[
        Path | None, Flag("A cache to measure on; by default features are drawn.", argument=True)
    ] = None
    _: KW_ONLY
    heads: Annotated[
        tuple[str, ...], Flag("A head on pooled features; repeatable.", name="--head")
    ] = ("logreg", "svm", "ridge", "ensemble")
    rounds: Annotated[int, Flag("How often each head is measured.", min=1)] = 3
    stock: Annotated[
        bool, Flag("Measure scikit-learn's own too, in each thread setting: minutes.")
    ] = False
    stock_rounds: Annotated[int, Flag("How often those are measured.", min=1)] = 1
    rows: Annotated[int, Flag("Drawn rows to fit to; a third as many to choose on.", min=60)] = (
        10_200
    )
    features: Annotated[int, Flag("Numbers in a drawn row.", min=1)] = 1536
    seed: Annotated[int, Flag("Random seed.", min=0, max=MAX_SEED)] = SEED


@dataclass(frozen=True)
class FitsConfig:
    """Time and memory of `fer fit` by the number of rows."""

    cache: Annotated[
        Path | None,
        Flag("A cache with pooled features; by default the one extracted last.", argument=True),
    ] = None
    _: KW_ONLY
    heads: Annotated[tuple[str, ...], Flag("A head; repeatable.", name="--head")] = (
        "ridge",
        "logreg",
        "mlp",
        "svm",
    )
    rows: Annotated[int, Flag("How many rows.", min=60)] = 100_000
    limit_s: Annotated[float, Flag("Seconds after which a fit is ended.", min=1)] = 480


@dataclass(frozen=True)
class PredictSpeedConfig:
    """Pictures and faces a second of `fer predict`, beside a peer."""

    folder: Annotated[Path, Flag("A folder of pictures.", argument=True)] = Path("pictures")
    _: KW_ONLY
    model: Annotated[str, Flag("As for `fer predict`.")] = "fernet"
    rounds: Annotated[int, Flag("How often each is measured; the fastest counts.", min=1)] = 3
    peer_python: Annotated[
        Path | None, Flag("A Python with the package fer of PyPI, to be measured beside ours.")
    ] = None


@dataclass(frozen=True)
class AccuracyConfig:
    """Accuracy on FER2013's PrivateTest, beside a peer."""

    data: Annotated[str, Flag("Kaggle's fer2013.csv.", argument=True)] = "fer2013.csv"
    _: KW_ONLY
    model: Annotated[str, Flag("As for `fer predict`, of the seven classes.")] = "fernet"
    peer_python: Annotated[
        Path | None, Flag("A Python with the package fer of PyPI, to be scored beside ours.")
    ] = None
    cache_dir: Annotated[Path, Flag("Folder of the table of copies.")] = CACHE_DIR
