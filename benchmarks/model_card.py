"""The tables of docs/fernet.md: the bundled classifier's predictions on FER2013's PrivateTest.

``python benchmarks/model_card.py WEIGHTS FER2013_CSV FERPLUS_CSV``. Images that the weights have
learnt from are never scored; 95 % intervals as `fer compare` gives them, Wilson's for shares. The
copies of the data set are looked for first, unless ``cache/`` holds their table already.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import get_backbone
from fer_features.backbones.weights_file import read_weights
from fer_features.config import CACHE_DIR
from fer_features.data import USAGES, open_faces, read_all
from fer_features.data.ferplus import NO_MAJORITY, majority, read_ferplus
from fer_features.data.tasks import Task
from fer_features.data.twin_table import twin_table
from fer_features.metrics import score
from fer_features.metrics.intervals import score_intervals, share_interval
from fer_features.runtime.image_keys import seen_by
from fer_features.runtime.progress import show_progress
from fer_features.training.predict import model_of, probabilities


def main() -> None:
    """Read, predict once, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("ferplus", type=Path)
    asked = parser.parse_args()

    content = read_weights(asked.weights)
    task = Task.from_dict(content.provenance["task"])
    source = open_faces(asked.data)
    faces = read_all(source)
    votes = read_ferplus(asked.ferplus).of(faces.row, usage=faces.usage, emotion=faces.emotion)
    seen = seen_by(content.seen, faces.sha256)
    test = np.flatnonzero(faces.usage == USAGES.index("PrivateTest"))
    if seen[test].any():
        raise SystemExit(f"the weights have learnt from {seen[test].sum():,} of these images")

    model = model_of(get_backbone(content.provenance["backbone"]), content)
    p = probabilities(model, faces.images[test], classes=len(task.classes))
    label = task.labels(faces.emotion)[test]
    predicted = p.argmax(axis=1)
    right = predicted == label

    print(f"{len(test):,} images of PrivateTest, each with its mirror image\n")
    found = score(label, p, classes=task.class_names, positive=task.positive)
    low_high = score_intervals(label, p, classes=task.class_names, positive=task.positive)
    print("| score | |\n| --- | ---: |")
    for name in ("accuracy", "balanced_accuracy", "f1", "log_loss", "ece"):
        ends = f" [{low_high[name][0]:.3f}, {low_high[name][1]:.3f}]" if name in low_high else ""
        print(f"| {name.replace('_', ' ')} | {getattr(found, name):.4f}{ends} |")

    table = twin_table(source, CACHE_DIR, progress=show_progress)
    learnt = table.copied(seen)[test]  # a copy of any kind of an image that was learnt from
    training = table.copied(faces.usage == USAGES.index("Training"))[test]
    print("\n| images of PrivateTest | images | accuracy | balanced accuracy |")
    print("| --- | ---: | ---: | ---: |")
    for text, rows in (
        ("all", np.ones(len(test), np.bool_)),
        ("with a copy among those learnt from", learnt),
        ("without one", ~learnt),
        ("without any copy in Training", ~training),
    ):
        recalls = [float(right[rows & (label == k)].mean()) for k in range(len(task.classes))]
        share = _share(rows & right, rows)
        print(f"| {text} | {rows.sum():,} | {share} | {np.mean(recalls):.4f} |")
    weights_of_all = np.bincount(label) / len(label)
    same_mix = sum(
        weights_of_all[k] * float(right[learnt & (label == k)].mean())
        for k in range(len(task.classes))
        if (learnt & (label == k)).any()
    )
    print(f"\nwith a copy, at the class shares of all of PrivateTest: {same_mix:.4f}")

    print("\n| class | images | recall | precision | most often taken for |")
    print("| --- | ---: | ---: | ---: | --- |")
    for code, name in enumerate(task.class_names):
        true, called = label == code, predicted == code
        recall = _share(true & right, true)
        precision = _share(called & right, called)
        others = [(int((true & (predicted == k)).sum()), k) for k in range(len(task.classes))]
        count, other = max(one for one in others if one[1] != code)
        print(
            f"| {name} | {true.sum():,} | {recall} | {precision} | "
            f"{task.class_names[other]} ({count / true.sum():.0%}) |"
        )

    print("\n| of FER+'s ten voters | images | accuracy |\n| --- | ---: | ---: |")
    most = votes.counts[test].max(axis=1)
    agreed = majority(votes)[test]
    with_label = (agreed != NO_MAJORITY) & (agreed == faces.emotion[test])
    for text, rows in (
        ("9 or 10 are of one mind", most >= 9),
        ("7 or 8", (most == 7) | (most == 8)),
        ("5 or 6", (most == 5) | (most == 6)),
        ("fewer", most < 5),
        ("the most are with the label", with_label),
        ("the most are not, or there is no majority", ~with_label),
    ):
        print(f"| {text} | {rows.sum():,} | {_share(rows & right, rows)} |")


def _share(hits: NDArray[np.bool_], rows: NDArray[np.bool_]) -> str:
    """How many of the rows are hits, with Wilson's interval."""
    if not rows.any():
        return "–"
    low, high = share_interval(int(hits.sum()), int(rows.sum()))
    return f"{hits.sum() / rows.sum():.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
