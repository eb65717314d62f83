"""Make the two models that come with the package, of ``backbones/fernet.h5`` and FER2013.

``python tools/packaged_models.py fer2013.csv`` writes ``fernet.fer`` and ``fernet-binary.fer``.
`fernet` is the classifier of the weights' file as a logistic regression, the mean over a face and
its mirror image; a temperature is fitted on PublicTest. `fernet-binary` is what ``fer extract
fer2013.csv --backbone fernet --views flip`` and ``fer fit --head logreg --split usage --views flip
--drop twins`` give. Rows that the network has learnt a copy of are not scored. An answer is
uncertain below the least threshold of the table at which enough of the rest are right on
PublicTest.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import fer_features as fer
from fer_features.backbones import get_backbone, learnt_from, resolve_weights
from fer_features.backbones.weights_file import WeightsFile, read_weights
from fer_features.config import CACHE_DIR, SEEN_COPIES, USAGES
from fer_features.data import Faces, open_faces, read_all
from fer_features.data.tasks import SEVEN
from fer_features.data.twin_table import TwinTable, twin_table
from fer_features.heads.logreg import LogisticRegressionHead
from fer_features.metrics import score
from fer_features.metrics.intervals import score_intervals
from fer_features.model.load import load_model, packaged_file
from fer_features.model.model import Model
from fer_features.model.record import ModelRecord, Platt, Uncertain, coverage
from fer_features.runs import schema
from fer_features.runtime.image_keys import seen_by
from fer_features.runtime.progress import show_progress
from fer_features.training.predict import model_of, probabilities

RIGHT = {"fernet": 0.8, "fernet-binary": 0.97}
"""The share of the certain answers that must be right on PublicTest."""


def main() -> None:
    """Make both, and print their accuracy and the limit of their uncertain answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="fer2013.csv")
    parser.add_argument("--cache-dir", type=Path, default=CACHE_DIR)
    parser.add_argument("--out", type=Path, help="a folder; by default the package's own")
    asked = parser.parse_args()
    for name, make in (("fernet-binary", binary_model), ("fernet", seven_model)):
        model = make(asked.data, asked.cache_dir)
        own = packaged_file(name) or Path(name)
        path = model.save((asked.out or own.parent) / own.name)
        record = model.record
        below = record.uncertain.below if record.uncertain else None
        print(f"{path}: accuracy {record.test.accuracy:.4f}; uncertain below {below}")


def binary_model(data: Path, cache_dir: Path) -> Model:
    """The model of a run on the binary task, with the threshold of uncertain answers."""
    views, log = ("flip",), print
    cache = fer.extract(
        data, backbone="fernet", views=views, precision="float32", cache_dir=cache_dir, log=log
    )
    with tempfile.TemporaryDirectory() as runs:
        run = fer.fit(
            cache,
            head="logreg",
            split="usage",
            views=views,
            drop=("twins",),
            runs_dir=Path(runs),
            log=log,
        )
        model = load_model(run)
        validation = run.predictions().validation
    chosen = coverage(validation.label, validation.probability, measured_on="PublicTest")
    found: Any = model.record.uncertain
    uncertain = msgspec.structs.replace(
        found, below=least_threshold(chosen, RIGHT["fernet-binary"])
    )
    model.record = msgspec.structs.replace(model.record, name="fernet-binary", uncertain=uncertain)
    return model


def least_threshold(found: Uncertain, right: float) -> float:
    """The least threshold of the table from which on `right` of the answers are right."""
    return next(one.threshold for one in found.table if (one.accuracy or 0) >= right)


def seven_model(data: Path, cache_dir: Path) -> Model:
    """The classifier of the weights' file, calibrated and scored."""
    weights = resolve_weights("shipped", get_backbone("fernet"))
    content = read_weights(weights.path or Path())
    source = open_faces(data)
    faces = read_all(source)
    table = twin_table(source, cache_dir, progress=show_progress)
    parts = parts_of(faces, table, seen_by(content.seen, faces.sha256))
    label = SEVEN.labels(faces.emotion)
    network = model_of(get_backbone("fernet"), content)
    probability = {
        name: probabilities(network, faces.images[rows], classes=7) for name, rows in parts.items()
    }
    temperature = fit_temperature(probability["validation"], label[parts["validation"]])
    print(f"temperature {temperature:.4f}")
    calibrated = {name: sharpened(one, temperature) for name, one in probability.items()}
    record = record_of(content, weights.sha256, parts, label, calibrated, temperature)
    spec = msgspec.structs.replace(record.spec, learnt_from=learnt_from(weights))
    record = msgspec.structs.replace(record, spec=spec, source_sha256=source.digest())
    model = Model(record, classifier(content), precision="float32")
    own = model.probabilities(faces.images[parts["test"][:200]])
    np.testing.assert_allclose(own, calibrated["test"][:200], atol=1e-4)
    return model


def parts_of(
    faces: Faces, table: TwinTable, seen: NDArray[np.bool_]
) -> dict[str, NDArray[np.int64]]:
    """Rows of PublicTest and PrivateTest without copies of those learnt from, or of the latter."""
    public, private = (faces.usage == USAGES.index(one) for one in USAGES[1:])
    learnt = table.copied(seen)
    return {
        "validation": np.flatnonzero(public & ~learnt & ~table.copied(private)),
        "test": np.flatnonzero(private & ~learnt),
    }


def fit_temperature(probability: NDArray[np.float64], label: NDArray[np.int64]) -> float:
    """The temperature of the least log loss (Guo and others, 2017, arXiv:1706.04599)."""
    rows = np.arange(len(label))

    def loss(temperature: float) -> float:
        return float(-np.log(sharpened(probability, temperature)[rows, label]).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 5), method="bounded").x)


def sharpened(probability: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities divided by a temperature as logarithms."""
    powers = probability ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def classifier(content: WeightsFile) -> LogisticRegressionHead:
    """The network's own classifier as a logistic regression on features that are not scaled."""
    kernel = content.top["kernel"].astype(np.float64)[:, :7]
    n = len(kernel)
    head = LogisticRegressionHead()
    head.classes_, head.n_features_in_ = np.arange(7), n
    head.chosen_ = {"solver": "fer pretrain"}
    head.n_iter_ = 0
    head.scaler_ = StandardScaler().fit(np.zeros((1, n), np.float32))  # mean 0, scale 1
    head.model_ = LogisticRegression()
    head.model_.classes_, head.model_.n_features_in_ = head.classes_, n
    head.model_.coef_ = kernel.T.copy()
    head.model_.intercept_ = content.top["bias"].astype(np.float64)[:7]
    return head


def record_of(
    content: WeightsFile,
    weights_sha256: str,
    parts: dict[str, NDArray[np.int64]],
    label: NDArray[np.int64],
    probability: dict[str, NDArray[np.float64]],
    temperature: float,
) -> ModelRecord:
    """The record of `fernet`."""
    given: dict[str, Any] = content.provenance["data"]
    votes = " and FER+ votes" if content.provenance["identity"]["ferplus"] else ""
    names = SEVEN.class_names
    true = {name: label[rows] for name, rows in parts.items()}
    of_test = f"{len(true['test']):,} PrivateTest rows of {given['name']}"
    chosen = coverage(true["validation"], probability["validation"], measured_on="PublicTest")
    found = coverage(true["test"], probability["test"], measured_on=of_test)
    intervals = score_intervals(true["test"], probability["test"], classes=names)
    rows = given["train"] + sum(map(len, parts.values()))
    return ModelRecord(
        name="fernet",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=schema.Spec(
            backbone="fernet",
            weights="shipped",
            precision="float32",
            weights_sha256=weights_sha256,
            size=get_backbone("fernet").default_size,
            preprocess="keras",
            resize="bilinear",
        ),
        layers=[get_backbone("fernet").default_layer],
        output="pooled",
        views=["flip"],
        combine="rows",
        head="logreg",
        head_title="The network's own classifier",
        task=msgspec.convert(SEVEN.to_dict(), schema.Task),
        calibrator=Platt(coef=(np.eye(7) / temperature).tolist(), intercept=np.zeros(7).tolist()),
        uncertain=msgspec.structs.replace(found, below=least_threshold(chosen, RIGHT["fernet"])),
        data=schema.Data(
            name=given["name"],
            rows=rows,
            digest=given["sha256"],
            labels=f"original{votes}",
            dropped={SEEN_COPIES: 2 * 3589 - sum(map(len, parts.values()))},
            fer2013=True,
        ),
        split=schema.Split(
            name="usage",
            seed=None,
            train=given["train"],
            validation=len(true["validation"]),
            test=len(true["test"]),
            leaked=schema.Leaked(exact=0, near=0, registered=0),
        ),
        validation=score(true["validation"], probability["validation"], classes=names),
        test=score(true["test"], probability["test"], classes=names),
        intervals={
            name: (float(low), float(high)) if np.isfinite([low, high]).all() else None
            for name, (low, high) in intervals.items()
        },
        command=content.provenance["command"],
    )


if __name__ == "__main__":
    main()
