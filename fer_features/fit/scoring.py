"""Fit a head, and score it: calibrated if requested, and at a threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from fer_features.config import COMBINE, FitConfig
from fer_features.data.splits import Split
from fer_features.errors import FerError
from fer_features.fit.dataset import Dataset
from fer_features.fit.features import head_output, read_views
from fer_features.fit.resample import cross_validate, fit_rows, learn_by_size, predict_rows
from fer_features.heads.calibration import choose_threshold, fit_calibrator
from fer_features.metrics import Scores, log_loss
from fer_features.runs import schema as runs

SCORED = ("validation", "test")
"""The parts that a head is scored on."""

Parts = dict[str, NDArray[np.int64]]
"""By part, indices of its rows in the data set."""

Ready = dict[str, dict[str, Any]]
"""Fitted heads by their way to combine views, and by name."""

Probabilities = dict[str, NDArray[np.float64]]
"""By part, (n, K)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A fitted head and what it reaches.

    Attributes:
        head: the head.
        dataset: the rows it was fitted to and scored on.
        combined: validation log loss of each way to combine views; None if one was given.
        split: their parts.
        probability: by scored part, calibrated if requested.
        scores: by scored part.
        calibration: the calibration; None if not requested.
        operate: the threshold, and its scores; None if not requested.
        cv: scores of a cross-validation; None if not requested.
        sizes: the learning curve by training-set size; None if not requested.
        seconds: wall time of each step.
    """

    head: Any
    dataset: Dataset
    combined: dict[str, float] | None
    split: Split
    probability: Probabilities
    scores: dict[str, Scores]
    calibration: runs.Calibration | None
    operate: runs.Operate | None
    cv: runs.CrossValidation | None
    sizes: list[runs.Size] | None
    seconds: runs.Seconds

    def label(self, part: str) -> NDArray[np.int64]:
        """True class codes of a part's rows, int64 (n,)."""
        rows: NDArray[np.int64] = getattr(self.split, part)
        return self.dataset.y[rows]


def fit_and_score(
    head: Any, dataset: Dataset, split: Split, config: FitConfig, *, ready: Ready
) -> Fitted:
    """Fit a head to the training rows, choosing on validation; then score it, once on test.

    Args:
        head: the head, not fitted.
        dataset: the rows.
        split: their parts.
        config: what else is wanted.
        ready: heads fitted before to the same rows, to which this one is added.
    """
    begun = perf_counter()
    ways = ways_to_combine(dataset, config)
    for one in ways:
        read_views(one, head_output(one, head))
    started = perf_counter()
    head, dataset, combined = fit_best(head, ways, split, ready)
    done = perf_counter()
    parts = {part: getattr(split, part) for part in SCORED}
    probability: Probabilities = {
        part: predict_rows(head, dataset, rows).astype(np.float64) for part, rows in parts.items()
    }
    seconds = runs.Seconds(read=started - begun, fit=done - started, predict=perf_counter() - done)
    cv = cross_validate(head, dataset, split, k=config.cv, seed=config.seed) if config.cv else None
    calibration = operate = None
    if config.calibrate:
        probability, calibration = _calibrate(dataset, parts, probability, config.calibrate)
    if config.operate:
        operate = _operate(dataset, parts, probability, *config.operate)
    return Fitted(
        head=head,
        dataset=dataset,
        combined=combined,
        split=split,
        probability=probability,
        scores=_scores(dataset, parts, probability),
        calibration=calibration,
        operate=operate,
        cv=cv,
        sizes=learn_by_size(head, dataset, split, seed=config.seed) if config.sizes else None,
        seconds=seconds,
    )


def ways_to_combine(dataset: Dataset, config: FitConfig) -> list[Dataset]:
    """The data set with each of the ways to combine views that are tried."""
    ways = COMBINE[:-1] if config.combine == "best" else (config.combine,)
    return [replace(dataset, combine=one) for one in ways]


def fit_best(
    head: Any, ways: list[Dataset], split: Split, ready: Ready
) -> tuple[Any, Dataset, dict[str, float] | None]:
    """Fit a head once for each way to combine views; the lowest validation log loss is kept.

    Returns:
        The head; the data set combined its way; each way's validation log loss, or None of one.
    """
    heads, losses = {}, {}
    for dataset in ways:
        one = head if len(ways) == 1 else clone(head)
        one.on_epoch = head.on_epoch
        one.reuse(ready.setdefault(dataset.combine, {}))
        fit_rows(one, dataset, split.train, validation=split.validation)
        ready[dataset.combine][one.name] = heads[dataset.combine] = one
        if len(ways) > 1:
            probability = predict_rows(one, dataset, split.validation)
            losses[dataset.combine] = log_loss(dataset.y[split.validation], probability)
    best = min(ways, key=lambda dataset: losses.get(dataset.combine, 0.0))
    return heads[best.combine], best, losses or None


def _scores(dataset: Dataset, parts: Parts, probability: Probabilities) -> dict[str, Scores]:
    return {part: dataset.score(rows, probability[part]) for part, rows in parts.items()}


def _calibrate(
    dataset: Dataset, parts: Parts, probability: Probabilities, method: str
) -> tuple[Probabilities, runs.Calibration]:
    """Probabilities calibrated on the validation rows, and the record with the losses before."""
    validation = dataset.y[parts["validation"]]
    calibrator = fit_calibrator(method, probability["validation"], validation)
    before = {
        part: runs.Losses(log_loss=one.log_loss, brier=one.brier, ece=one.ece)
        for part, one in _scores(dataset, parts, probability).items()
    }
    record = runs.Calibration(
        method=method, before=runs.BothLosses(**before), calibrator=calibrator.to_dict()
    )
    return {part: calibrator.apply(one) for part, one in probability.items()}, record


def _operate(
    dataset: Dataset, parts: Parts, probability: Probabilities, target: str, value: float
) -> runs.Operate:
    """The threshold chosen on the validation rows, and its scores on either part."""
    code = dataset.task.class_names.index(str(dataset.task.positive))
    true = {part: dataset.y[rows] == code for part, rows in parts.items()}
    positive = {part: one[:, code] for part, one in probability.items()}
    try:
        threshold = choose_threshold(
            true["validation"], positive["validation"], target=target, value=value
        )
    except FerError as error:  # the fit is worth keeping all the same
        unmet = f"{error.message}; {error.hint}"
        return runs.Operate(target=target, value=value, threshold=None, unmet=unmet)
    by_part: dict[str, Any] = {}
    for part in SCORED:
        predicted = positive[part] >= threshold
        hits = (true[part] & predicted).sum()
        by_part[part] = runs.Operating(
            precision=float(hits / max(predicted.sum(), 1)),
            recall=float(hits / max(true[part].sum(), 1)),
            accuracy=float((true[part] == predicted).mean()),
        )
    return runs.Operate(target=target, value=value, threshold=threshold, **by_part)
