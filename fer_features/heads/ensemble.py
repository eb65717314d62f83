"""The mean of what several calibrated heads say."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from fer_features.errors import FerError
from fer_features.heads.base import Head, model_paths
from fer_features.heads.choice import HeadError, validation_scores

NOTES = "ensemble.json"


class EnsembleHead(Head):
    """The mean of the members' probabilities, each member fitted by its own defaults.

    Members are heads on pooled features. Their probabilities are calibrated by themselves (Platt on
    rows that the member was not fitted to, or early stopping on the log loss), so that the mean
    weighs them by how sure they are. Nothing is chosen here: validation goes to the members.

    Args:
        members: names of heads on pooled features, at least two.
        n_jobs: handed to the members.
        random_state: handed to the members.

    Attributes:
        heads_: the fitted members by name.
    """

    name: ClassVar[str] = "ensemble"
    title: ClassVar[str] = "Mean of several heads"
    needs: ClassVar[Literal["pooled", "map"]] = "pooled"
    suffix: ClassVar[str] = ".heads"

    heads_: dict[str, Head]

    def __init__(
        self,
        *,
        members: Sequence[str] = ("svm", "ridge", "mlp"),
        n_jobs: int = -1,
        random_state: int = 0,
    ) -> None:
        self.members = members
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        fitted: Mapping[str, Head] | None = None,
    ) -> Self:
        """Fit the members.

        Args:
            X: float32 (N, C), finite.
            y: (N,), at least two distinct labels.
            validation: features and labels that the members choose on.
            fitted: heads that have been fitted to the same arrays already; a member among them is
                taken over.

        Raises:
            HeadError: of what the arrays hold or of the members, no model can be made.
        """
        from fer_features.heads import head_class

        if len(set(self.members)) < 2:
            raise HeadError(
                f"an ensemble needs two members, not {', '.join(self.members) or 'none'}"
            )
        for name in self.members:
            if name == self.name or head_class(name).needs != "pooled":
                raise HeadError(f"{name} is no head on pooled features", hint="svm, ridge, say")
        self.heads_ = {}
        for name in self.members:
            one = (fitted or {}).get(name)
            self.heads_[name] = one or self._member(name).fit(X, y, validation=validation)
        first = self.heads_[self.members[0]]
        self.classes_, self.n_features_in_ = first.classes_, first.n_features_in_
        self.chosen_ = {"members": {name: one.chosen_ for name, one in self.heads_.items()}}
        if validation is not None:
            codes = self._codes(np.asarray(validation[1]))
            self.chosen_ |= validation_scores(codes, self.predict_proba(validation[0]))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the classes' probabilities, float64 (N, K), for float32 (N, C) features."""
        check_is_fitted(self)
        said = [np.asarray(one.predict_proba(X), np.float64) for one in self.heads_.values()]
        mean: NDArray[np.floating[Any]] = np.mean(said, axis=0)
        return mean

    def _member(self, name: str) -> Head:
        from fer_features.heads import make_head

        head = make_head(name)
        known = head.get_params()
        common = {"n_jobs": self.n_jobs, "random_state": self.random_state}
        ready: Head = head.set_params(**{k: v for k, v in common.items() if k in known})
        return ready

    def save(self, path: str | Path) -> Path:
        """Write the fitted members to one file, a zip archive of their own files."""
        check_is_fitted(self)
        target, draft = model_paths(path, suffix=self.suffix)
        try:
            with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(draft, "w") as archive:
                files = {name: one.save(Path(folder) / name) for name, one in self.heads_.items()}
                for file in files.values():
                    archive.write(file, file.name)
                notes = {
                    "head": self.name,
                    "parameters": self.get_params(),
                    "files": {name: file.name for name, file in files.items()},
                    "chosen": self.chosen_,
                }
                archive.writestr(NOTES, json.dumps(notes, allow_nan=False))
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an ensemble from the file that `save` wrote.

        Raises:
            FerError: the file is missing, damaged, or of another head.
        """
        from fer_features.heads import load_head

        try:
            with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
                notes = json.loads(archive.read(NOTES))
                head = cls(**notes["parameters"])
                head.heads_ = {}
                for name, file in notes["files"].items():
                    place = Path(folder) / Path(file).name
                    place.write_bytes(archive.read(file))
                    head.heads_[name] = load_head(name, place)
            first = next(iter(head.heads_.values()))
            head.classes_, head.n_features_in_ = first.classes_, first.n_features_in_
            head.chosen_ = notes["chosen"]
        except Exception as error:  # a damaged archive can fail anywhere in it
            raise FerError(
                f"cannot read {path} as a model of the {cls.name} head: {error}",
                hint="give the file that the head's own `save` wrote",
            ) from error
        return head
