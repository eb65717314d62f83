"""The base class of heads: fitting, choosing, checks of input and output, and model files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from fer_features.errors import FerError
from fer_features.heads.checks import (
    Array,
    HeadError,
    check_finite,
    checked_groups,
    checked_labels,
    checked_probabilities,
    checked_soft_targets,
)
from fer_features.heads.choice import Part, choose, held_out, validation_scores

EpochCallback = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number, from 1, and what it adds to `history_`."""


Candidates = Sequence[Mapping[str, Any]]
"""Each candidate's hyperparameters, by name."""

Tried = tuple[list[dict[str, Any]], list[Any]]
"""The candidates with their `validation_scores`, and the model fitted for each."""


@dataclass(kw_only=True, eq=False, repr=False)
class Head(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A scikit-learn classifier on cached features.

    `fit` checks the arrays, holds rows out where no validation rows are given, chooses the
    candidate with the lowest validation log loss, and fits it again to all rows. A subclass states
    the class attributes and its parameters (as dataclass fields, or in an ``__init__`` of its own)
    and defines `_fit_candidates`, `_keep` and `_predict_proba`; `_candidates` too, if it has
    hyperparameters to choose; and `_write` and `_read`, unless it is a `SkopsHead`.

    Args:
        validation_fraction: share of the training rows held out where none are given.
        random_state: random seed.

    Attributes:
        name: its name in the registry and on the command line.
        title: its name in tables and figures.
        needs: ``pooled`` for float32 (N, C), ``map`` for float16 (N, h, w, C).
        suffix: the file name ending of its model files.
        accepts_soft_targets: whether it can be trained on class probabilities.
        refits: whether the chosen candidate is fitted again to all rows if some were held out.
        on_epoch: callback per epoch, for heads trained in epochs; no parameter, and not copied.
        classes_: (K,), the distinct labels of `fit`, ascending; a class code is a place here.
        n_features_in_: C.
        map_shape_: (h, w, C), where the head needs maps.
        chosen_: the chosen candidate, and every candidate's scores on the validation rows; plain
            JSON types.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Literal["pooled", "map"]]
    suffix: ClassVar[str]
    accepts_soft_targets: ClassVar[bool] = False
    refits: ClassVar[bool] = True

    validation_fraction: float = 0.2
    random_state: int = 0

    map_shape_: tuple[int, ...] = field(init=False)

    on_epoch: EpochCallback | None = field(default=None, init=False)

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        groups: ArrayLike | None = None,
        soft_targets: ArrayLike | None = None,
    ) -> Self:
        """Fit, with every choice made on validation rows.

        Args:
            X: features, float32 (N, C) or float16 (N, h, w, C), finite.
            y: (N,), at least two distinct labels.
            validation: features and labels to choose on; they are not fitted to. Without them a
                stratified `validation_fraction` of the training rows is held out.
            groups: (N,), equal for training rows that are never separated when rows are held out
                or divided into folds, such as an image and its mirrored copy.
            soft_targets: float (N, K), class probabilities to train on in place of `y`, such as
                shares of votes (Barsoum and others, "Training Deep Networks for Facial Expression
                Recognition with Crowd-Sourced Label Distribution", 2016). Columns in the order of
                the sorted labels; rows sum to 1. All scores are by `y`.

        Raises:
            HeadError: no model can be made of these arrays or parameters, or the head does not
                accept soft targets.
        """
        self._check_parameters()
        rows = self._checked_rows(X, y, groups, soft_targets)
        if validation is None:
            held = held_out(
                rows.codes,
                fraction=self.validation_fraction,
                random_state=self.random_state,
                groups=rows.groups,
            )
            rest = np.setdiff1d(rows.rows, held)
            training, valid = rows.take(rest), rows.take(held)
        else:
            training, valid = rows, self._checked_validation(*validation)
        candidates, models = self._try_candidates(training, valid)
        self.chosen_, best = choose(
            candidates,
            varied=self._candidates()[0],
            given=validation is not None,
            rows=len(valid.codes),
        )
        self.chosen_ |= self._choice_details(models[best])
        if validation is None and self.refits:
            everything = rows.take(np.concatenate([rest, held]))
            self._keep(self._fit_candidates([candidates[best]], everything)[0], everything)
        else:
            self._keep(models[best], training)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """The classes' probabilities, float (N, K), in the order of `classes_`.

        Raises:
            FerError: the features are of another shape than those of `fit`, or `_predict_proba`
                returns another shape or values that are not probabilities.
        """
        check_is_fitted(self)
        features = self._checked_features(X, reset=False)
        shape = len(features), len(self.classes_)
        return checked_probabilities(self._predict_proba(features), shape, head=self.name)

    def predict(self, X: ArrayLike) -> Array:
        """Each row's most probable class (N,), of equals the first of `classes_`."""
        codes = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[codes])

    def reuse(self, fitted: Mapping[str, Head]) -> None:
        """Use heads already fitted to the rows of the next `fit`, by name, if that saves work."""

    def save(self, path: str | Path) -> Path:
        """Write the fitted head to one file, complete or not at all, and return its path.

        Args:
            path: the file; `suffix` is added where it is missing.
        """
        check_is_fitted(self)
        target = Path(path)
        if target.suffix != self.suffix:
            target = target.with_name(target.name + self.suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
            temporary = Path(folder, target.name)
            self._write(temporary)
            temporary.replace(target)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; no code in the file is run.

        Raises:
            FerError: the file is missing, damaged, or not a file of this head.
        """
        try:
            return cls._read(Path(path))
        except FerError:
            raise
        except Exception as error:  # a damaged archive can fail anywhere in it
            raise FerError(
                f"cannot read {path} as a model of the {cls.name} head: {error}",
                hint="give the file that the head's own `save` wrote",
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """The state to copy and to save, without the callback."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "on_epoch"}

    # --- what a subclass defines

    def _check_parameters(self) -> None:
        """Raise `HeadError` for a parameter that is out of range."""

    def _candidates(self) -> list[dict[str, Any]]:
        """Each candidate's hyperparameters."""
        return [{}]

    def _fit_candidates(self, candidates: Candidates, part: Part) -> list[Any]:
        """Fit a model for each candidate to the rows of a part."""
        raise NotImplementedError

    def _keep(self, model: Any, part: Part) -> None:
        """Set the fitted attributes from one candidate's model, which was fitted to `part`."""
        raise NotImplementedError

    def _predict_proba(self, X: Array) -> Array:
        """Probabilities (N, K) of checked features."""
        raise NotImplementedError

    def _try_candidates(self, training: Part, valid: Part) -> Tried:
        """Fit the candidates, and score them on validation rows."""
        candidates = self._candidates()
        models = self._fit_candidates(candidates, training)
        X = valid.features()
        for candidate, model in zip(candidates, models, strict=True):
            self._keep(model, training)
            candidate |= validation_scores(valid.codes, self._predict_proba(X))
        return candidates, models

    def _choice_details(self, model: Any) -> dict[str, Any]:
        """Further entries of `chosen_`, given the model chosen on validation."""
        return {}

    def _write(self, path: Path) -> None:
        """Write the fitted head to a file."""
        raise NotImplementedError

    @classmethod
    def _read(cls, path: Path) -> Self:
        """Read what `_write` wrote; any exception means that the file is damaged."""
        raise NotImplementedError

    # --- the checks of `fit`

    def _checked_rows(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None, soft_targets: ArrayLike | None
    ) -> Part:
        features = self._checked_features(X, reset=True)
        n = len(features)
        self.classes_, codes = np.unique(checked_labels(y, n=n), return_inverse=True)
        if len(self.classes_) < 2:
            raise HeadError(
                f"all {n} rows are of one class, {self.classes_[0]}",
                hint="a head tells at least two classes apart; take rows of another class too",
            )
        part = Part(features, np.arange(n), codes)
        if groups is not None:
            part = part._replace(groups=checked_groups(groups, n=n))
        if soft_targets is not None:
            if not self.accepts_soft_targets:
                raise HeadError(f"the {self.name} head cannot be trained on soft targets")
            soft = checked_soft_targets(soft_targets, shape=(n, len(self.classes_)))
            part = part._replace(soft_targets=soft)
        return part

    def _checked_validation(self, X: ArrayLike, y: ArrayLike) -> Part:
        if np.size(y) == 0:
            raise HeadError("there are no validation rows", hint="give some, or leave it to `fit`")
        features = self._checked_features(X, reset=False)
        labels = checked_labels(y, n=len(features))
        known = np.isin(labels, self.classes_)
        if not known.all():
            raise HeadError(
                f"validation rows are of class {labels[~known][0]}, which no training row is of",
                hint=f"the training rows' classes are {', '.join(map(str, self.classes_))}",
            )
        codes = np.searchsorted(self.classes_, labels).astype(np.int64)
        return Part(features, np.arange(len(codes)), codes)

    def _checked_features(self, X: ArrayLike, *, reset: bool) -> Array:
        """`X` as a finite array of the shape and type that the head needs."""
        if self.needs == "pooled":
            features = validate_data(
                self, X, reset=reset, dtype=np.float32, ensure_all_finite=False
            )
        else:
            types = np.float32, np.float16
            features = check_array(X, dtype=types, allow_nd=True, ensure_all_finite=False)
            shape = features.shape[1:]
            if len(shape) != 3 or not (reset or shape == self.map_shape_):
                needed = "(N, h, w, C)" if reset else f"of shape {self.map_shape_}"
                raise HeadError(f"the {self.name} head needs maps {needed}, not {features.shape}")
            if reset:
                self.map_shape_, self.n_features_in_ = shape, shape[-1]
        check_finite(features)
        return np.asarray(features)
