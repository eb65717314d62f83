"""How often the 95 % intervals that are shown cover the truth, in simulated test parts.

``python benchmarks/coverage.py`` prints a Markdown table: a score a line, a size of the test part a
column. Two classes whose scores are normal, of an accuracy of about 0.80 or 0.93, with calibrated
and with overconfident probabilities; seven classes of unequal size, of an accuracy of about 0.70.
The truth is what a million rows give.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from fer_features.metrics import score
from fer_features.metrics.intervals import WITH_INTERVAL, score_intervals

SIZES = (73, 500, 3400)
TRUTH_ROWS = 1_000_000
SHARES = (0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17)
"""How FER2013's seven classes are distributed, about."""

Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.int64], NDArray[np.float64]]]


def two_classes(accuracy: float, *, overconfidence: float = 1.0) -> Draw:
    """Scores of unit variance around -d/2 and d/2; log odds are `overconfidence` times the true."""
    d = 2 * norm.ppf(accuracy)

    def draw(rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        codes = rng.integers(2, size=n)
        p = 1 / (1 + np.exp(-overconfidence * d * (rng.normal(size=n) + d * (codes - 0.5))))
        return codes, np.stack([1 - p, p], axis=1)

    return draw


def many_classes(strength: float) -> Draw:
    """Softmax of normal numbers, of which the true class's is higher; classes keep their shares.

    That is what a stratified split does.
    """

    def draw(rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        codes = np.searchsorted(np.cumsum(SHARES), (np.arange(n) + 0.5) / n)
        logits = strength * rng.normal(size=(n, len(SHARES)))
        logits[np.arange(n), codes] += strength**2
        p = SHARES * np.exp(logits - logits.max(axis=1, keepdims=True))
        return codes, p / p.sum(axis=1, keepdims=True)

    return draw


MODELS: dict[str, tuple[int, Draw]] = {
    "two classes, 0.80": (2, two_classes(0.80)),
    "two classes, 0.93": (2, two_classes(0.93)),
    "two classes, 0.93, overconfident": (2, two_classes(0.93, overconfidence=2)),
    "seven classes, 0.70": (7, many_classes(1.95)),
}


def coverage(
    draw: Draw, n_classes: int, *, n: int, repetitions: int, seed: int = 0
) -> dict[str, tuple[float, int]]:
    """The share of intervals that cover the truth, and how many there were, by score."""
    rng = np.random.default_rng(seed)
    names = [str(code) for code in range(n_classes)]
    about: dict[str, Any] = {"classes": names, "positive": "1" if n_classes == 2 else None}
    truth = score(*draw(rng, TRUTH_ROWS), **about).to_dict()
    covered, known = dict.fromkeys(WITH_INTERVAL, 0), dict.fromkeys(WITH_INTERVAL, 0)
    for _ in range(repetitions):
        for name, (low, high) in score_intervals(*draw(rng, n), **about).items():
            known[name] += int(np.isfinite(low))
            covered[name] += int(low <= truth[name] <= high)
    return {name: (covered[name] / max(known[name], 1), known[name]) for name in WITH_INTERVAL}


def main() -> None:
    """Simulate, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=4000)
    asked = parser.parse_args()
    for title, (n_classes, draw) in MODELS.items():
        found = [coverage(draw, n_classes, n=n, repetitions=asked.repetitions) for n in SIZES]
        print(f"\n| {title} | {' | '.join(f'n = {n:,}' for n in SIZES)} |")
        print(f"| --- |{' ---: |' * len(SIZES)}")
        for name in WITH_INTERVAL:
            cells = []
            for one in found:
                share, known = one[name]
                few = f" ({known} of {asked.repetitions})" * (known < asked.repetitions)
                cells.append(f"{share:.3f}{few}" if known else "–")
            print(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
