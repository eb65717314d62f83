"""The features that a head is fitted on: layers joined, views averaged, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache
from fer_features.errors import FerError

_BLOCK = 2048


@dataclass
class Reader:
    """Reads the features of some rows of a cache, ``pooled`` and ``map`` once each.

    Attributes:
        cache: the cache.
        rows: int64 (N,), places in it, ascending.
        layers: layers whose features are concatenated.
        views: ``flip`` averages each image's features with those of its mirror image.
    """

    cache: Cache
    rows: NDArray[np.int64]
    layers: tuple[str, ...]
    views: tuple[str, ...] = ()
    _read: dict[str, NDArray[Any]] = field(default_factory=dict)

    def names(self, output: str) -> list[str]:
        """The cache's names of the features."""
        ends = ["", *(f"_{view}" for view in self.views)]
        return [f"{layer}/{output}{end}" for layer in self.layers for end in ends]

    def check(self, output: str) -> None:
        """Check that the cache holds the features of all rows, and that they can be joined.

        Raises:
            FerError: features are missing, or maps are of different sizes.
        """
        for name in self.names(output):
            if not self.cache.done((name,))[self.rows].all():
                raise FerError(
                    f"{self.cache.path} does not hold {name} of all {len(self.rows):,} rows",
                    hint=f"it holds {', '.join(self.cache.features)}; fer extract with the same "
                    "task and --layer, --output and --views adds more",
                )
        shapes = self.cache.shapes()
        sizes = sorted({shapes[name][1:-1] for name in self.names(output)})
        if len(sizes) > 1:
            raise FerError(
                f"maps of {' and '.join(' × '.join(map(str, size)) for size in sizes)} places "
                "cannot be joined",
                hint="join layers of one size, or take a head on pooled features",
            )

    def read(self, output: str) -> NDArray[Any]:
        """Features of all rows, ``pooled`` float32 (N, C) or ``map`` float16 (N, h, w, C).

        Raises:
            FerError: the cache does not hold them, or they cannot be joined.
        """
        if output not in self._read:
            self.check(output)
            self._read[output] = self._joined(output)
        return self._read[output]

    def _joined(self, output: str) -> NDArray[Any]:
        if len(self.names(output)) == 1:
            return self.cache.read(self.layers[0], output, self.rows)
        shapes = [self.cache.shapes()[f"{layer}/{output}"] for layer in self.layers]
        joined = (*shapes[0][1:-1], sum(shape[-1] for shape in shapes))
        out = np.empty((len(self.rows), *joined), "f4" if output == "pooled" else "f2")
        for start in range(0, len(self.rows), _BLOCK):
            block = self.rows[start : start + _BLOCK]
            parts = [self._mean_of_views(layer, output, block) for layer in self.layers]
            np.concatenate(parts, axis=-1, out=out[start : start + _BLOCK], casting="same_kind")
        return out

    def _mean_of_views(self, layer: str, output: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        mean = self.cache.read(layer, output, rows).astype(np.float32)
        for view in self.views:
            mean += self.cache.read(layer, f"{output}_{view}", rows)
        return mean / (1 + len(self.views))


def parse_layers(text: str) -> tuple[str, ...]:
    """The layers that ``a+b`` names, in its order.

    Raises:
        FerError: it names none, or one twice.
    """
    layers = tuple(one.strip() for one in text.split("+"))
    if not all(layers) or len(set(layers)) < len(layers):
        raise FerError(
            f"--features {text}: not different layers with a + between",
            hint="for example --features mixed_6a+conv_7b_ac",
        )
    return layers
