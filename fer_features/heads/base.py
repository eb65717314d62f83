"""What every head shares: the contract, the checks of its input, and model files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import skops.io
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fer_features.errors import FerError
from fer_features.heads.choice import HeadError, Part, held_out

CHUNK = 1024
"""Rows looked at together where all at once would need a copy of the whole array."""


class Head(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A scikit-learn classifier on cached features.

    A subclass states the class attributes, lists its parameters in ``__init__`` (and does nothing
    there but keep them), and writes `fit`, `predict_proba`, `save` and `load`.

    Attributes:
        name: its name in the registry and on the command line.
        title: its name in tables and figures.
        needs: ``pooled`` for float32 (N, C), ``map`` for float16 (N, h, w, C).
        suffix: the file name ending of its model files.
        classes_: (K,), the distinct labels of `fit`, ascending; a class code is a place here.
        n_features_in_: C.
        map_shape_: (h, w, C), where the head needs maps.
        chosen_: what was chosen on the validation rows, and how every candidate did there; made
            of what JSON knows.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Literal["pooled", "map"]]
    suffix: ClassVar[str]
    accepts_soft_targets: ClassVar[bool] = False

    classes_: NDArray[Any]
    n_features_in_: int
    map_shape_: tuple[int, ...]
    chosen_: dict[str, Any]

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, validation: tuple[ArrayLike, ArrayLike] | None = None
    ) -> Self:
        """Fit to features `X` and labels `y` (N,), choosing on the `validation` pair (X, y).

        A head that holds rows out, or divides them into folds, also takes ``groups=``: (N,), equal
        for rows that must stay on one side, such as an image and its mirrored copy.
        """
        raise NotImplementedError

    def reuse(self, fitted: Mapping[str, Head]) -> None:
        """Keep heads already fitted to the same rows for the next `fit`."""
        self.reused = fitted

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the classes' probabilities: float (N, K), in the order of `classes_`."""
        raise NotImplementedError

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return each row's most probable class (N,), of equals the first of `classes_`."""
        codes = self.predict_proba(X).argmax(axis=1)
        predicted: NDArray[Any] = self.classes_[codes]
        return predicted

    def save(self, path: str | Path) -> Path:
        """Write the fitted head to one file, complete or not at all, and return its path."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a file that is anything else is a `FerError`."""
        raise NotImplementedError

    def _parts(
        self,
        X: ArrayLike,
        y: ArrayLike,
        validation: tuple[ArrayLike, ArrayLike] | None,
        *,
        fraction: float,
        random_state: Any,
        groups: ArrayLike | None = None,
    ) -> tuple[Part, Part]:
        """Check all of `fit`'s arrays; return the rows to fit on and the rows to validate on."""
        features = self._checked(X, reset=True)
        labels = _checked_labels(y, n=len(features))
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise HeadError(
                f"all {len(labels)} rows are of one class, {self.classes_[0]}",
                hint="a head tells at least two classes apart; take rows of another class too",
            )
        everything = Part(features, np.arange(len(codes)), codes, _checked_groups(groups, codes))
        if validation is None:
            held = held_out(
                codes, fraction=fraction, random_state=random_state, groups=everything.groups
            )
            rest = np.setdiff1d(everything.rows, held)
            return everything.take(rest), everything.take(held)
        X_val, y_val = validation
        if np.size(y_val) == 0:
            raise HeadError("there are no validation rows", hint="give some, or leave it to `fit`")
        features_val = self._checked(X_val, reset=False)
        codes_val = self._codes(_checked_labels(y_val, n=len(features_val)))
        return everything, Part(features_val, np.arange(len(codes_val)), codes_val)

    def _codes(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        known = np.isin(labels, self.classes_)
        if not known.all():
            raise HeadError(
                f"validation rows are of class {labels[~known][0]}, which no training row is of",
                hint=f"the training rows' classes are {', '.join(map(str, self.classes_))}",
            )
        return np.searchsorted(self.classes_, labels).astype(np.int64)

    def _checked(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        """Return `X` as an array of the form that the head needs, every value of it finite."""
        features = (self._pooled if self.needs == "pooled" else self._maps)(X, reset=reset)
        for start in range(0, len(features), CHUNK):
            block = features[start : start + CHUNK]
            bad = ~np.isfinite(block.reshape(len(block), -1)).all(axis=1)
            if bad.any():
                raise HeadError(
                    f"the features hold NaN or infinity, first in row {start + bad.argmax()}",
                    hint="extract them again; maps are float16 and end at 65,504",
                )
        return features

    def _pooled(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        features: NDArray[Any] = validate_data(
            self, X, reset=reset, dtype=np.float32, ensure_all_finite=False
        )
        return features

    def _maps(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        features: NDArray[Any] = check_array(
            X, dtype=(np.float32, np.float16), allow_nd=True, ensure_all_finite=False
        )
        if features.ndim != 4:
            raise HeadError(f"the {self.name} head needs maps (N, h, w, C), not {features.shape}")
        if reset:
            self.map_shape_, self.n_features_in_ = features.shape[1:], features.shape[-1]
        elif features.shape[1:] != self.map_shape_:
            raise HeadError(
                f"the maps are {features.shape[1:]}, where {self.map_shape_} were fitted to"
            )
        return features


class SkopsHead(Head):
    """A head whose model file is a skops archive: scikit-learn objects without pickle."""

    suffix: ClassVar[str] = ".skops"

    def save(self, path: str | Path) -> Path:
        """Write the fitted head to `path` (``.skops`` is added where it is missing)."""
        check_is_fitted(self)
        target, draft = model_paths(path, suffix=self.suffix)
        try:
            skops.io.dump(self, draft)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a head from a skops archive.

        Types are trusted by name: this class, and those of scikit-learn and NumPy that skops
        itself holds safe.

        Raises:
            FerError: the file is missing, no skops archive, not a head of this class, or holds
                any other type.
        """
        trusted = [f"{cls.__module__}.{cls.__qualname__}"]
        try:
            found = skops.io.get_untrusted_types(file=path)
            if found == trusted:
                head = skops.io.load(path, trusted=trusted)
                if isinstance(head, cls):
                    return head
        except Exception as error:  # a damaged archive can fail anywhere within skops
            raise FerError(f"cannot read the model file {path}: {error}") from error
        other = ", ".join(sorted(set(found) - set(trusted)))
        raise FerError(
            f"{path} is not a model of the {cls.name} head" + (f": it holds {other}" * bool(other)),
            hint="nothing of it was loaded; give the file that the head's own `save` wrote",
        )


def model_paths(path: str | Path, *, suffix: str) -> tuple[Path, Path]:
    """Return where a model file goes (with its suffix), and the draft that is renamed to it."""
    target = Path(path)
    if target.suffix != suffix:
        target = target.with_name(target.name + suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target, target.with_name(f".{target.stem}.draft{suffix}")


def _checked_labels(y: ArrayLike, *, n: int) -> NDArray[Any]:
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    if len(labels) != n:
        raise HeadError(f"{len(labels)} labels for {n} rows of features")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise HeadError("the labels hold NaN or infinity")
    check_classification_targets(labels)
    return labels


def _checked_groups(groups: ArrayLike | None, codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return `groups` as numbers, one for each row."""
    if groups is None:
        return None
    named = np.asarray(groups)
    if named.shape != codes.shape:
        raise HeadError(f"groups of shape {named.shape} for {len(codes)} rows of features")
    return np.unique(named, return_inverse=True)[1].astype(np.int64)
