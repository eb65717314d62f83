"""Base classes of heads made of NumPy arrays and scikit-learn objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import skops.io

from fer_features.errors import FerError
from fer_features.heads.base import Head, Tried
from fer_features.heads.checks import Array, HeadError
from fer_features.heads.choice import Part, platt, validation_scores


class SkopsHead(Head):
    """A head whose model file is a skops archive: scikit-learn objects without pickle."""

    suffix = ".skops"

    def _write(self, path: Path) -> None:
        skops.io.dump(self, path)

    @classmethod
    def _read(cls, path: Path) -> Self:
        """Read a skops archive of only this class and of types that skops trusts."""
        trusted = [f"{cls.__module__}.{cls.__qualname__}"]
        found = skops.io.get_untrusted_types(file=path)
        if found == trusted:
            head = skops.io.load(path, trusted=trusted)
            if isinstance(head, cls):
                return head
        other = ", ".join(sorted(set(found) - set(trusted)))
        raise FerError(
            f"{path} is not a model of the {cls.name} head" + (f": it holds {other}" * bool(other)),
            hint="nothing of it was loaded; give the file that the head's own `save` wrote",
        )


class CalibratedHead(SkopsHead):
    """A head of decision values, with probabilities by Platt scaling (1999).

    While choosing, each candidate's decision values are calibrated on the validation rows
    themselves. The kept model's calibration, `calibrator_`, is fitted to decision values of
    training rows by models that were not fitted to them.
    """

    def _decision_values(self, X: Array) -> Array:
        """Decision values of features: (N, 1) for two classes, (N, K) for more."""
        raise NotImplementedError

    def _candidate_values(self, models: Sequence[Any], X: Array) -> list[Array]:
        """Each candidate's decision values of features."""
        raise NotImplementedError

    def _try_candidates(self, training: Part, valid: Part) -> Tried:
        for code, label in enumerate(self.classes_):
            if code not in valid.codes:
                raise HeadError(f"no validation row is of class {label}: nothing to choose on")
        candidates = self._candidates()
        models = self._fit_candidates(candidates, training)
        values = self._candidate_values(models, valid.features())
        for candidate, own in zip(candidates, values, strict=True):
            probability = platt(own, valid.codes).predict_proba(own)
            candidate |= validation_scores(valid.codes, probability)
        return candidates, models

    def _predict_proba(self, X: Array) -> Array:
        return np.asarray(self.calibrator_.predict_proba(self._decision_values(X)))
