"""Cross-validation: images divided into folds, each of which is held out once."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hubtune.data.dedup.groups import connected_components
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.files import Split
from hubtune.data.splits.label_allocation import fold_by_labels
from hubtune.data.splits.label_exchange import LabelCounts
from hubtune.errors import DataError
from hubtune.rng import rng_for
from hubtune.text import plural

Fold = tuple[np.ndarray, np.ndarray]
"""Indices of the rows to fit, and of those to test."""

_VALIDATE_PARTS = 10  # a tenth of a fold's training images is its validation list


def split_keys(images: Sequence[ImageEntry], groups: Mapping[Path, int]) -> list[str]:
    """Return one key per image, such that images with different keys may be separated.

    Byte-equal images, and images of one group, have the same key: the least SHA-256 among them. The relation
    is transitive: if a copy of an image belongs to another group, both groups have one key. An image without
    ``sha256`` counts by its path, and is equal to no other one.

    ``groups`` is path → number of its group. Paths that are not among the images have no effect.
    """
    own = [image.sha256 or str(image.path) for image in images]
    members = defaultdict(list)
    for image, key in zip(images, own, strict=True):
        if image.path in groups:
            members[groups[image.path]].append(key)
    least = connected_components([*zip(own), *members.values()])
    return [least[key] for key in own]


def make_folds(
    labels: np.ndarray,
    groups: Sequence[object],
    *,
    folds: int,
    seed: int,
    members: np.ndarray | None = None,
) -> list[Fold]:
    """Divide rows for stratified cross-validation, by the class and the group of each row.

    Rows of one group, such as of :func:`split_keys`, stay in one fold. There are fewer folds if the largest
    class has fewer rows, and none if the classes are too small. Only folds with rows to test are returned: a
    class whose rows are all held out cannot be predicted.

    Of multi-label data, ``labels`` are the numbers of sets, and ``members`` is the matrix of
    :class:`~hubtune.data.label_sets.LabelSets`. Each label is divided then, and all rows are tested.
    """
    if members is not None:
        return _label_folds(labels, groups, members, folds=folds, seed=seed)
    counts = np.unique(labels, return_counts=True)[1]
    if (counts > 1).sum() < 2:
        return []
    of_group = defaultdict(list)
    for row in rng_for(seed, "folds").permutation(len(labels)).tolist():
        of_group[groups[row]].append(row)
    fold_of = np.empty(len(labels), dtype=np.int64)
    filled: list[Counter[int]] = [Counter() for _ in range(min(folds, int(counts.max())))]
    totals = [0] * len(filled)
    # Large groups first, while small ones are left to balance the folds.
    for rows in sorted(of_group.values(), key=len, reverse=True):
        own = Counter(labels[rows].tolist())
        [(most, _)] = own.most_common(1)
        number = min(range(len(filled)), key=lambda n: (filled[n][most], totals[n]))
        filled[number].update(own)
        totals[number] += len(rows)
        fold_of[rows] = number
    parts = []
    for number in range(len(filled)):
        fitted, tested = np.flatnonzero(fold_of != number), np.flatnonzero(fold_of == number)
        answerable = tested[np.isin(labels[tested], labels[fitted])]
        if len(answerable) and len(np.unique(labels[fitted])) > 1:
            parts.append((fitted, answerable))
    return parts


def _label_folds(
    labels: np.ndarray, groups: Sequence[object], members: np.ndarray, *, folds: int, seed: int
) -> list[Fold]:
    of_group = defaultdict(list)
    for row in rng_for(seed, "folds").permutation(len(labels)).tolist():
        of_group[groups[row]].append(row)
    units = [*of_group.values()]
    # Images without any label count like those of a label.
    without = np.logical_not(members).all(axis=1, keepdims=True)
    sides = np.concatenate([members, without], axis=1) if without[labels].any() else members
    counts = LabelCounts.of(units, labels.tolist(), sides)
    # As of classes: there is no use in more folds than images of the largest label, or without it.
    folds = min(folds, int(counts.totals.min(axis=1).max(initial=0)), len(units))
    if folds < 2:
        return []
    fold_of = np.empty(len(labels), np.int64)
    for rows, number in zip(units, fold_by_labels(counts, folds).tolist(), strict=True):
        fold_of[rows] = number
    parts = []
    for number in range(folds):
        fitted, tested = np.flatnonzero(fold_of != number), np.flatnonzero(fold_of == number)
        shares = members[labels[fitted]].mean(axis=0) if len(fitted) else np.zeros(0)
        if len(tested) and ((shares > 0) & (shares < 1)).any():
            parts.append((fitted, tested))
    return parts


def fold_splits(split: Split, folds: int, *, seed: int) -> list[Split]:
    """Divide the training images of a split into folds.

    A fold's validation list is the images that it holds out, its training list all others; the test list is
    the split's. Groups stay in one fold. Images with a contradictory label, and classes of a single group,
    are never held out; of multi-label data, all others are. The split's validation list is not used. Raises
    DataError if there are too few images.
    """
    entries = split.lists["train"]
    keys = _group_keys(split, entries)
    conflicting = {image.path for group in split.conflicts for image in group}
    bound_keys = {key for key, image in zip(keys, entries, strict=True) if image.path in conflicting}
    rows = np.array([row for row, key in enumerate(keys) if key not in bound_keys], np.int64)
    labels = np.array([entries[row].label for row in rows], np.int64)
    parts = make_folds(labels, [keys[row] for row in rows], folds=folds, seed=seed, members=_members(split))
    if len(parts) < folds:
        bound = len(entries) - len(rows)
        why = f" beside {bound:,} with a contradictory label (copies in different classes)" if bound else ""
        repair = "remove the copies that are in the wrong class, or add pictures" if bound else "add pictures"
        what = f"of {len(np.unique(labels))} classes"
        if split.label_sets is not None:
            why = f" beside {bound:,} copies with different labels" if bound else ""
            repair = "correct the labels of the copies, or add pictures" if bound else repair
            what = f"with {plural(len(split.label_sets.labels), 'label')}"
        raise DataError(
            f"{plural(len(rows), 'training picture')} {what}{why} are too few "
            f"for {folds} folds: {repair}" + (", or take fewer folds" if folds > 2 else "")
        )
    divided = [_fold(split, set(rows[tested].tolist())) for _, tested in parts]
    always = len(entries) - sum(len(fold.lists["validate"]) for fold in divided)
    if always:
        why = "with contradictory labels or in a class of a single group"
        if split.label_sets is not None:
            why = "which are copies with different labels"
        split.remarks.append(f"In training in every fold: {plural(always, 'picture')}, {why}.")
    return divided


def given_folds(split: Split, fold_of: Mapping[str, int], folds: int) -> list[Split]:
    """Divide the training images of a split into existing folds.

    ``fold_of`` is the fold, from 0, that holds out the image of a name; other images are in training always.
    """
    entries = split.lists["train"]
    divided = sum(len({fold_of.get(image.name) for image in group}) > 1 for group in split.groups)
    if divided:
        split.remarks.append(
            f"{plural(divided, 'group')} of pictures in several folds: the accuracy will look better than "
            "it is. Make new folds with hubtune split."
        )
    fold_of_row = [fold_of.get(image.name) for image in entries]
    return [
        _fold(split, {row for row, own in enumerate(fold_of_row) if own == fold}) for fold in range(folds)
    ]


def held_out(fold: Split, *, seed: int, validate: bool) -> Split:
    """Turn a fold into lists whose test list is the images that the fold holds out; its own one is removed.

    With ``validate``, a tenth of the training images becomes a validation list, to choose the best model;
    raises DataError if there are too few.
    """
    entries, tested = fold.lists["train"], fold.lists["validate"]
    train, validation = entries, tested[:0]
    if validate:
        labels = np.array([image.label for image in entries], np.int64)
        keys, members = _group_keys(fold, entries), _members(fold)
        parts = make_folds(labels, keys, folds=_VALIDATE_PARTS, seed=seed, members=members)
        if not parts:
            raise DataError(
                f"{plural(len(entries), 'training picture')} in a fold are too few for a validation list"
            )
        fitted, chosen = parts[0]
        if members is not None:
            chosen = _without_lost_labels(labels, keys, members, fitted, chosen)
        train, validation = _divide(entries, set(chosen.tolist()))
    return replace(fold, lists={"train": train, "validate": validation, "test": tested})


def _members(split: Split) -> np.ndarray | None:
    return None if split.label_sets is None else split.label_sets.matrix


def _without_lost_labels(
    labels: np.ndarray, keys: Sequence[str], members: np.ndarray, fitted: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Return the rows of a validation list without the groups that have a label which training lacks."""
    lost = ~members[labels[fitted]].any(axis=0)
    groups = {keys[row] for row in chosen.tolist() if (members[labels[row]] & lost).any()}
    return np.array([row for row in chosen.tolist() if keys[row] not in groups], np.int64)


def _group_keys(split: Split, images: Sequence[ImageEntry]) -> list[str]:
    groups = {image.path: number for number, group in enumerate(split.groups) for image in group}
    return split_keys(images, groups)


def _divide(images: Sequence[ImageEntry], rows: set[int]) -> tuple[list[ImageEntry], list[ImageEntry]]:
    """Return the images without some rows, and those of these rows."""
    return (
        [image for row, image in enumerate(images) if row not in rows],
        [image for row, image in enumerate(images) if row in rows],
    )


def _fold(split: Split, rows: set[int]) -> Split:
    """Return a fold that holds out some rows of the training list."""
    train, validation = _divide(split.lists["train"], rows)
    lists = {"train": train, "validate": validation, "test": split.lists["test"]}
    return replace(split, lists=lists, left_over={}, random_leaks={}, leaks=[], remarks=[])
