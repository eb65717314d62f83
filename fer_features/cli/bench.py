"""``fer bench``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from fer_features.cli.flags import CacheDir, Json, Size
from fer_features.config import CACHE_DIR, ExtractConfig
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, table
from fer_features.runtime.progress import show_progress


def bench(
    backbone: Annotated[str, typer.Option(help="The frozen network.")] = ExtractConfig.backbone,
    size: Size = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in a batch; by default each engine's own.")
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(help="keras or openvino; repeatable; by default both.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a round.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median is shown.")] = 3,
    cache_dir: CacheDir = CACHE_DIR,
    json: Json = False,
) -> None:
    """Images a second of each engine and precision on this machine."""
    from fer_features.backbones import get_backbone
    from fer_features.cache import GRAPHS
    from fer_features.engines.speed import measure_engines

    if get_backbone(backbone).descriptors is not None:
        raise FerError(f"{backbone} is no network: no engine runs it", hint="--backbone fernet")
    found = measure_engines(
        backbone,
        size=size,
        batch_size=batch_size,
        engines=tuple(engine or ("keras", "openvino")),
        seconds=seconds,
        rounds=rounds,
        graphs=cache_dir / GRAPHS,
        progress=show_progress,
    )
    if json:
        emit_json({"backbone": backbone, "engines": [asdict(one) for one in found]})
        return
    rows = [
        [
            one.engine,
            one.precision,
            str(one.batch_size or "–"),
            one.why_not if one.images_per_s is None else f"{one.images_per_s:,.1f}",
        ]
        for one in found
    ]
    columns = ["engine", "precision", "batch", "images/s"]
    table(columns, rows, title=backbone, text_columns=["engine", "precision"])
