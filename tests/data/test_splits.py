import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_features.data.splits import Split, folds, make_split, nested_parts, without_seen_copies
from fer_features.data.twins import Groups
from fer_features.errors import FerError


def split(
    name: str,
    label: NDArray[np.int64],
    images: NDArray[np.int64],
    seed: int = 0,
    *,
    near: NDArray[np.int64] | None = None,
    linked: NDArray[np.int64] | None = None,
    **kwargs: bool,
) -> Split:
    usage = np.arange(len(label)).astype(np.int8) % 3
    near = images if near is None else near
    groups = Groups(images, near, near if linked is None else linked)
    return make_split(name, label=label, usage=usage, groups=groups, seed=seed, **kwargs)


def all_kinds(group: NDArray[np.int64]) -> Groups:
    return Groups(group, group, group)


NOTHING = {"exact": 0, "near": 0, "registered": 0}


LABEL = np.repeat(np.array([0, 1]), 50)
TWINS = np.arange(100) // 2  # every image twice


def test_reference_is_60_20_20_and_stratified() -> None:
    made = split("reference", LABEL, np.arange(100))
    parts = (made.train, made.validation, made.test)
    assert [np.bincount(LABEL[part]).tolist() for part in parts] == [[30, 30], [10, 10], [10, 10]]
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert made.leaked == NOTHING


def test_reference_of_17000_validates_on_1700_and_1700() -> None:
    label = np.repeat(np.array([0, 1]), 8500)
    made = split("reference", label, np.arange(17000))
    assert np.bincount(label[made.validation]).tolist() == [1700, 1700]


def test_reference_counts_the_twins_that_leak() -> None:
    made = split("reference", LABEL, TWINS)
    known = set(TWINS[np.concatenate([made.train, made.validation])])
    has_one = [TWINS[row] in known for row in made.test]
    assert made.exact.tolist() == has_one
    assert made.leaked == {"exact": sum(has_one), "near": 0, "registered": 0}
    assert sum(has_one) > 0


def test_a_near_twin_is_counted_apart_from_an_exact_one() -> None:
    made = split("reference", LABEL, np.arange(100), near=TWINS)
    known = set(TWINS[np.concatenate([made.train, made.validation])])
    assert made.near.tolist() == [TWINS[row] in known for row in made.test]
    assert made.leaked["exact"] == 0
    assert made.leaked["near"] > 0


def test_a_registered_copy_is_counted_apart_from_both() -> None:
    made = split("reference", LABEL, np.arange(100), near=np.arange(100), linked=TWINS)
    known = set(TWINS[np.concatenate([made.train, made.validation])])
    assert made.registered.tolist() == [TWINS[row] in known for row in made.test]
    assert made.leaked == {"exact": 0, "near": 0, "registered": int(made.copied.sum())}
    assert made.copied.any()


def test_rows_of_which_a_copy_was_learnt_are_left_out_of_validation_and_test() -> None:
    made = split("usage", LABEL, np.arange(100))
    copy = np.isin(np.arange(100), [0, 1, 4, 2, 98])  # of training, validation twice, test twice
    without, removed = without_seen_copies(made, copy, label=LABEL)
    assert removed == 4
    assert without.train.tolist() == made.train.tolist()
    assert {1, 4}.isdisjoint(without.validation)
    assert {2, 98}.isdisjoint(without.test)
    assert len(without.copied) == len(without.test) == len(made.test) - 2


def test_a_part_of_nothing_but_copies_of_learnt_images_is_an_error() -> None:
    made = split("usage", LABEL, np.arange(100))
    with pytest.raises(FerError, match=r"\btest\b"):
        without_seen_copies(made, np.isin(np.arange(100), made.test), label=LABEL)


@pytest.mark.parametrize("kind", ["near", "linked"])
def test_grouped_keeps_copies_on_one_side(kind: str) -> None:
    copies = {"near": TWINS} if kind == "near" else {"near": np.arange(100), "linked": TWINS}
    made = split("grouped", LABEL, np.arange(100), **copies)
    sides = [set(TWINS[part]) for part in (made.train, made.validation, made.test)]
    assert not sides[0] & (sides[1] | sides[2])
    assert not sides[1] & sides[2]


def test_twins_of_later_parts_can_be_taken_out() -> None:
    images = np.arange(100)
    images[:3] = 7  # rows 0, 1, 2 and 7 are one picture, in training, validation and test
    made = split("usage", LABEL, images, remove_twins=True)
    assert {0, 1, 7}.isdisjoint({*made.train, *made.validation})
    assert 2 in made.test
    assert made.removed == 3
    assert made.leaked == NOTHING


def test_nested_parts_grow_within_each_other_and_keep_classes_and_groups() -> None:
    small, large, whole = nested_parts(label=LABEL, group=TWINS, shares=(0.2, 0.6, 1), seed=0)
    assert set(small) < set(large) < set(whole)
    assert [np.bincount(LABEL[part]).tolist() for part in (small, large)] == [[10, 10], [30, 30]]
    assert len(whole) == 100
    assert not set(TWINS[small]) & set(TWINS[np.setdiff1d(whole, small)])


@given(st.integers(0, 20), st.integers(2, 4))
def test_grouped_keeps_identical_images_on_one_side(seed: int, copies: int) -> None:
    label = np.repeat(np.array([0, 1]), 60)
    images = np.arange(120) // copies
    made = split("grouped", label, images, seed)
    sides = [set(images[part]) for part in (made.train, made.validation, made.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert len(set().union(*sides)) == len(set(images))
    assert made.leaked == NOTHING


def test_grouped_keeps_copies_with_different_labels_together() -> None:
    images = np.arange(100)
    images[99] = images[0]  # the same picture, once called 0 and once 1
    for seed in range(5):
        made = split("grouped", LABEL, images, seed)
        assert any({0, 99} <= set(part) for part in (made.train, made.validation, made.test))


def test_usage_follows_the_official_parts() -> None:
    made = split("usage", LABEL, np.arange(100))
    assert made.train.tolist() == list(range(0, 100, 3))
    assert made.validation.tolist() == list(range(1, 100, 3))
    assert made.test.tolist() == list(range(2, 100, 3))
    assert (made.seed, made.validation_from) == (None, "")


@pytest.mark.parametrize("seed", [0, 1])
def test_validation_is_cut_from_training_where_there_is_none(seed: int) -> None:
    usage = np.repeat(np.array([0, 2, 0, 2], np.int8), [40, 10, 40, 10])
    images = np.arange(100)
    images[95] = images[0]  # in test and training: training keeps it
    made = make_split(
        "usage", label=LABEL, usage=usage, groups=Groups(images, TWINS, TWINS), seed=seed
    )
    assert made.test.tolist() == [*range(40, 50), *range(90, 100)]
    assert sorted([*made.train, *made.validation]) == [*range(40), *range(50, 90)]
    assert np.bincount(LABEL[made.validation]).tolist() == [10, 10]  # a quarter of 40 each
    assert not set(TWINS[made.train]) & set(TWINS[made.validation])
    assert (made.seed, made.validation_from) == (seed, "Training")


def test_a_cut_validation_depends_on_the_seed() -> None:
    usage = np.repeat(np.array([0, 2, 0, 2], np.int8), [40, 10, 40, 10])
    cut = [
        make_split("usage", label=LABEL, usage=usage, groups=all_kinds(TWINS), seed=seed).validation
        for seed in (0, 0, 1)
    ]
    assert cut[0].tolist() == cut[1].tolist() != cut[2].tolist()


def test_too_few_to_cut_from_is_refused() -> None:
    usage = np.array([0, 0, 2, 2], np.int8)
    label, one = np.array([0, 1, 0, 1]), np.arange(4)
    with pytest.raises(FerError, match="25%"):
        make_split("usage", label=label, usage=usage, groups=all_kinds(one), seed=0)


def test_usage_needs_all_three_parts() -> None:
    usage = np.zeros(100, np.int8)
    with pytest.raises(FerError, match="PrivateTest"):
        make_split("usage", label=LABEL, usage=usage, groups=all_kinds(np.arange(100)), seed=0)


def test_a_part_that_lacks_a_class_is_an_error() -> None:
    usage = np.array([0, 0, 1, 1, 2, 2], np.int8)
    label = np.array([0, 1, 0, 1, 0, 0])
    with pytest.raises(FerError, match=r"usage.* test\b"):
        make_split("usage", label=label, usage=usage, groups=all_kinds(np.arange(6)), seed=0)


@pytest.mark.parametrize("name", ["grouped", "reference"])
def test_a_seed_repeats_a_split_and_another_changes_it(name: str) -> None:
    first, again, other = (split(name, LABEL, TWINS, seed).test.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", ["grouped", "reference"])
def test_too_few_images_are_an_error(name: str) -> None:
    with pytest.raises(FerError):
        split(name, np.array([0, 1, 0, 1]), np.arange(4))


def test_an_unknown_split_names_the_known_ones() -> None:
    with pytest.raises(FerError) as caught:
        split("random", LABEL, TWINS)
    assert all(known in caught.value.hint for known in ("grouped", "reference", "usage"))


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_hold_every_row_out_once(grouped: bool) -> None:
    group = TWINS if grouped else np.arange(100)
    made = list(folds(label=LABEL, group=group, k=5, seed=0))
    assert sorted(np.concatenate([held for _, held in made]).tolist()) == list(range(100))
    leaks = [len(set(TWINS[train]) & set(TWINS[held])) for train, held in made]
    assert (max(leaks) == 0) is grouped


def test_more_folds_than_images_is_an_error() -> None:
    label = np.array([0, 0, 0, 1, 1])
    with pytest.raises(FerError, match=r"\b3\b.*\b2\b"):
        list(folds(label=label, group=np.arange(5), k=3, seed=0))
