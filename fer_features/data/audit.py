"""Audit of a data set: copies, leaks between its parts, disputed labels, constant images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import CACHE_DIR, EMOTIONS, NEAR, USAGES
from fer_features.data.faces import Faces, FaceSource, read_all
from fer_features.data.ferplus import NO_MAJORITY, Votes, majority, not_a_face, read_ferplus
from fer_features.data.tasks import conflicting, rows_to_drop
from fer_features.data.twin_table import twin_table
from fer_features.data.twins import KINDS, MIRRORED, Groups, Twins, find_twins
from fer_features.errors import FerError
from fer_features.runtime.progress import Progress, no_progress

LEAKS = ((1, (0,)), (2, (0,)), (2, (0, 1)))
"""Official parts that are scored, each with parts whose images it must not have."""


@dataclass(frozen=True)
class Leak:
    """How many images of a part have copies in others; each count contains the one before it.

    Attributes:
        part: the part that is scored.
        others: parts whose images it should not have.
        images: images of the part.
        exact: images with an exact copy.
        near: images with an exact, near or mirrored copy.
        linked: images with a copy of any kind.
    """

    part: str
    others: tuple[str, ...]
    images: int
    exact: int
    near: int
    linked: int


@dataclass(frozen=True, eq=False)
class Opinion:
    """FER+ votes on the images.

    Attributes:
        majority: int8 (N,), the emotion with the most votes, or `NO_MAJORITY`.
        counts: int64 (7, 8), images by label and by majority; those without one are the last.
        no_face: int64 (7,), images by label that are no face by most votes.
    """

    majority: NDArray[np.int8]
    counts: NDArray[np.int64]
    no_face: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Counts as plain JSON types, without the images' majorities."""
        agree, known = np.diagonal(self.counts), self.counts[:, :-1].sum(axis=1)
        return {
            "majorities": int(known.sum()),
            "agree": int(agree.sum()),
            "by_emotion": {
                emotion: {
                    "images": int(self.counts[code].sum()),
                    "majorities": int(known[code]),
                    "agree": int(agree[code]),
                    "no_face": int(self.no_face[code]),
                    "majority": dict(zip(EMOTIONS, self.counts[code, :-1].tolist(), strict=True)),
                }
                for code, emotion in enumerate(EMOTIONS)
            },
        }


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in a source of N images.

    Attributes:
        name: the source's name.
        digest: hex SHA-256 of the source.
        threshold: images whose pixels correlate more than this are near copies.
        faces: the images.
        twins: the copies.
        group: int64 (N,), 1 for the worst group of copies, 2 for the next, 0 for an image without
            a copy. Groups with several labels come first, and of those the largest.
        findings: for each finding bool (N,), the images concerned.
        leaks: copies between official parts; only those that the source has.
        opinion: FER+ votes, if given.
    """

    name: str
    digest: str
    threshold: float
    faces: Faces
    twins: Twins
    group: NDArray[np.int64]
    findings: dict[str, NDArray[np.bool_]]
    leaks: tuple[Leak, ...]
    opinion: Opinion | None

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def copies(self) -> int:
        """Surplus exact copies: images less different images."""
        return len(self) - len(np.unique(self.twins.groups.exact))

    @property
    def largest_group(self) -> int:
        """Number of images of the largest group of copies; 0 if there are no copies."""
        return int(np.bincount(self.group, minlength=2)[1:].max())

    def groups(self, finding: str) -> int:
        """Number of pictures of a finding, copies counted once."""
        kinds = {"near": "near", "similar,": "near", "registered": "linked"}
        group = getattr(self.twins.groups, kinds.get(finding.split()[0], "exact"))
        return len(np.unique(group[self.findings[finding]]))

    def to_dict(self) -> dict[str, Any]:
        """The audit as plain JSON types, without its rows."""
        return {
            "name": self.name,
            "sha256": self.digest,
            "threshold": self.threshold,
            "rows": len(self),
            "surplus_copies": self.copies,
            "pairs": {name: self.twins.count(kind) for kind, name in enumerate(KINDS) if kind},
            "indexed": self.twins.indexed,
            "largest_group": self.largest_group,
            "findings": {
                name: {"images": int(found.sum()), "groups": self.groups(name)}
                for name, found in self.findings.items()
            },
            "leaks": [vars(leak) for leak in self.leaks],
            "ferplus": self.opinion and self.opinion.to_dict(),
        }


def audit(
    source: FaceSource,
    *,
    ferplus: Path | None = None,
    threshold: float = NEAR,
    progress: Progress = no_progress,
    cache_dir: Path = CACHE_DIR,
) -> Audit:
    """Compare every image of a source with all others, and check the labels.

    Args:
        source: of the images.
        ferplus: FER+'s votes on the rows of the source, in its order.
        threshold: images whose pixels correlate more than this are near copies; 0.5 to below 1.
        progress: progress bar.
        cache_dir: where the table of copies is kept, unless the threshold is not the usual one.

    Raises:
        FerError: the source or the votes cannot be read or do not match, or the threshold is out of
            range.
    """
    if not 0.5 <= threshold < 1:
        raise FerError(
            f"no threshold of near copies: {threshold}", hint="--threshold takes 0.5 to below 1"
        )
    votes = None if ferplus is None else read_ferplus(ferplus)
    with progress("reading", len(source.index()), "images") as advance:
        faces = read_all(source, advance=advance)
    if votes is not None:
        total = source.index().source_rows
        votes = votes.of(faces.row, usage=faces.usage, emotion=faces.emotion, total=total)
    if threshold == NEAR:
        twins = twin_table(source, cache_dir, faces=faces, progress=progress).twins
    else:
        twins = find_twins(
            faces.images,
            sha256=faces.sha256,
            family=faces.family,
            threshold=threshold,
            progress=progress,
        )
    return Audit(
        name=source.name,
        digest=source.digest(),
        threshold=threshold,
        faces=faces,
        twins=twins,
        group=_worst_first(twins.groups.linked, faces.emotion),
        findings=_findings(faces, twins, votes),
        leaks=leaks_between(faces.usage, twins.groups),
        opinion=None if votes is None else _opinion(votes, faces.emotion),
    )


def _findings(faces: Faces, twins: Twins, votes: Votes | None) -> dict[str, NDArray[np.bool_]]:
    groups, emotion = twins.groups, faces.emotion
    exact, near, linked = groups.exact, groups.near, groups.linked
    copies, near_copies, all_copies = (np.bincount(one)[one] for one in (exact, near, linked))
    mirrored = twins.pairs[twins.kind == MIRRORED].ravel()
    found = {
        "exact twin": copies > 1,
        "near twin": near_copies > copies,
        "mirrored twin": np.isin(exact, exact[mirrored]),
        "registered twin": all_copies > near_copies,
        "exact conflict": conflicting(emotion, faces.sha256),
        "similar, other label": conflicting(emotion, near),
        **rows_to_drop(["constant"], emotion=emotion, sha256=faces.sha256),
    }
    for kind, group in (("exact", exact), ("near", near), ("registered", linked)):
        found[f"{kind} leak"] = _seen_before(group, faces.usage)
    if votes is not None:
        voted = majority(votes)
        found["no face"] = not_a_face(votes)
        found["other majority"] = (voted != NO_MAJORITY) & (voted != emotion)
    return found


def _seen_before(group: NDArray[np.int64], usage: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Where an image's group has an image in an earlier official part: bool (N,)."""
    seen = np.zeros(len(group), np.bool_)
    for part in range(1, len(USAGES)):
        earlier = group[(usage >= 0) & (usage < part)]
        seen |= (usage == part) & np.isin(group, earlier)
    return seen


def leaks_between(usage: NDArray[np.int8], groups: Groups) -> tuple[Leak, ...]:
    """How many images of the official parts that are scored have a copy in the parts before."""
    leaks = []
    for part, others in LEAKS:
        test, seen = usage == part, np.isin(usage, others)
        if test.any() and all((usage == other).any() for other in others):
            names = tuple(USAGES[other] for other in others)
            copied = (np.isin(group[test], group[seen]) for group in vars(groups).values())
            counts = (int(one.sum()) for one in copied)
            leaks.append(Leak(USAGES[part], names, int(test.sum()), *counts))
    return tuple(leaks)


def _worst_first(linked: NDArray[np.int64], emotion: NDArray[np.int8]) -> NDArray[np.int64]:
    """Groups numbered from 1, those with several labels first, then by size; 0 for no copy."""
    _, first, group = np.unique(linked, return_index=True, return_inverse=True)
    size, several = np.bincount(group), conflicting(emotion, linked)[first]
    order = np.lexsort((first, -size, ~several, size == 1))
    number = np.empty(len(size), np.int64)
    number[order] = np.arange(1, len(size) + 1)
    return np.where(size > 1, number, 0)[group]


def _opinion(votes: Votes, emotion: NDArray[np.int8]) -> Opinion:
    voted = majority(votes)
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS) + 1), np.int64)
    np.add.at(counts, (emotion, voted), 1)  # NO_MAJORITY, -1, is the last column
    no_face = np.bincount(emotion[not_a_face(votes)], minlength=len(EMOTIONS))
    return Opinion(voted, counts, no_face)
