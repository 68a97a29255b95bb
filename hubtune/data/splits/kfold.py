"""Cross-validation: pictures divided into folds, each of which is held out once."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hubtune.data.dedup.components import component_of
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.files import Split
from hubtune.errors import DataError
from hubtune.rng import rng_for
from hubtune.text import plural

Fold = tuple[np.ndarray, np.ndarray]
"""Indices of the rows to fit, and of those to test."""

_VALIDATE_PARTS = 10  # one of so many parts of a fold's training pictures is its validation list


def split_keys(images: Sequence[ImageEntry], groups: Mapping[Path, int]) -> list[str]:
    """Return one key per image, such that images with different keys may be separated.

    Byte-equal images, and images of one group, have the same key. The relation is transitive: if a copy of an
    image belongs to another group, both groups have one key.

    Args:
        images: in any order. An image without ``sha256`` is not equal to any other one.
        groups: path → number of its group. Paths that are not among the images have no effect.

    Returns:
        A key for each image: the least SHA-256 among all images that are connected with it. An image without
        ``sha256`` counts by its path. The keys do not depend on the order of the images.

    Example:
        >>> a, b, c = (ImageEntry(Path(name), 0, sha256=name[0]) for name in ("1.png", "2.png", "1_copy.png"))
        >>> split_keys([a, b, c], {Path("2.png"): 7, Path("1_copy.png"): 7})
        ['1', '1', '1']
    """
    own = [image.sha256 or str(image.path) for image in images]
    members = defaultdict(list)
    for image, key in zip(images, own, strict=True):
        if image.path in groups:
            members[groups[image.path]].append(key)
    least = component_of([*zip(own), *members.values()])
    return [least[key] for key in own]


def make_folds(labels: np.ndarray, groups: Sequence[object], *, folds: int, seed: int) -> list[Fold]:
    """Divide rows for stratified cross-validation.

    Args:
        labels: class of each row.
        groups: rows of the same group are copies of one picture, and stay in one fold.
        folds: so many folds; fewer where the largest class has fewer rows.
        seed: decides the folds.

    Returns:
        The folds in which something can be tested: a class whose rows are all held out cannot be answered.
        Empty where the classes are too small.
    """
    counts = np.unique(labels, return_counts=True)[1]
    if (counts > 1).sum() < 2:
        return []
    members: dict[object, list[int]] = {}
    for row in rng_for(seed, "folds").permutation(len(labels)).tolist():
        members.setdefault(groups[row], []).append(row)
    fold_of = np.empty(len(labels), dtype=np.int64)
    filled: list[Counter[int]] = [Counter() for _ in range(min(folds, int(counts.max())))]
    # Large groups first, while there is room to even them out.
    for rows in sorted(members.values(), key=len, reverse=True):
        own = Counter(labels[rows].tolist())
        [(most, _)] = own.most_common(1)
        number = min(range(len(filled)), key=lambda n: (filled[n][most], filled[n].total()))
        filled[number] += own
        fold_of[rows] = number
    parts = []
    for number in range(len(filled)):
        fitted, tested = np.flatnonzero(fold_of != number), np.flatnonzero(fold_of == number)
        answerable = tested[np.isin(labels[tested], labels[fitted])]
        if len(answerable) and len(np.unique(labels[fitted])) > 1:
            parts.append((fitted, answerable))
    return parts


def fold_splits(split: Split, folds: int, *, seed: int) -> list[Split]:
    """Divide the training pictures of a split into folds.

    A fold's validation list is what it holds out, its training list all the rest; the test list is the
    split's. Groups stay in one fold. Pictures with a contradictory label, and classes that are one group, are
    never held out.

    Args:
        split: its validation list is not used.
        folds: how many.
        seed: decides the folds.

    Raises:
        DataError: if there are too few pictures.
    """
    entries = split.lists["train"]
    keys = _group_keys(split, entries)
    doubted = {image.path for group in split.conflicts for image in group}
    doubted_keys = {key for key, (image, _) in zip(keys, entries, strict=True) if image.path in doubted}
    rows = np.array([row for row, key in enumerate(keys) if key not in doubted_keys], np.int64)
    labels = np.array([entries[row][1] for row in rows], np.int64)
    parts = make_folds(labels, [keys[row] for row in rows], folds=folds, seed=seed)
    if len(parts) < folds:
        bound = len(entries) - len(rows)
        why = f" beside {bound:,} with a contradictory label (copies in different classes)" if bound else ""
        repair = "remove the copies that are in the wrong class, or add pictures" if bound else "add pictures"
        raise DataError(
            f"{plural(len(rows), 'training picture')} of {len(np.unique(labels))} classes{why} are too few "
            f"for {folds} folds: {repair}" + (", or take fewer folds" if folds > 2 else "")
        )
    made = [_with_lists(split, *_parted(entries, set(rows[tested].tolist()))) for _, tested in parts]
    always = len(entries) - sum(len(fold.lists["validate"]) for fold in made)
    if always:
        split.remarks.append(
            f"{plural(always, 'picture')} {'is' if always == 1 else 'are'} in training in every fold: "
            "the label is contradictory, or the class is a single group."
        )
    return made


def given_folds(split: Split, fold_of: Mapping[str, int], folds: int) -> list[Split]:
    """Divide the training pictures of a split into folds that were made before.

    Args:
        split: its validation list is not used.
        fold_of: name of a picture → the fold, from 0, that holds it out; others are in training always.
        folds: how many there are.
    """
    entries = split.lists["train"]
    crossing = sum(len({fold_of.get(image.name) for image in group}) > 1 for group in split.groups)
    if crossing:
        split.remarks.append(
            f"Pictures that belong together lie in several folds ({plural(crossing, 'group')}), which "
            "flatters: make the folds anew with hubtune split."
        )
    held = [fold_of.get(image.name) for image, _ in entries]
    return [
        _with_lists(split, *_parted(entries, {row for row, own in enumerate(held) if own == fold}))
        for fold in range(folds)
    ]


def held_out(fold: Split, *, seed: int, validate: bool) -> Split:
    """Turn a fold into lists whose test list is what the fold holds out.

    Args:
        fold: as of :func:`fold_splits`; its own test list is left away.
        seed: decides the validation list.
        validate: whether a tenth of the training pictures becomes a validation list, on which the best model
            is chosen; else there is none.

    Raises:
        DataError: if there are too few pictures.
    """
    entries, tested = fold.lists["train"], fold.lists["validate"]
    train, chosen = entries, tested[:0]
    if validate:
        labels = np.array([label for _, label in entries], np.int64)
        parts = make_folds(labels, _group_keys(fold, entries), folds=_VALIDATE_PARTS, seed=seed)
        if not parts:
            raise DataError(
                f"{plural(len(entries), 'training picture')} in a fold are too few for a validation list"
            )
        train, chosen = _parted(entries, set(parts[0][1].tolist()))
    return replace(fold, lists={"train": train, "validate": chosen, "test": tested})


def _group_keys(split: Split, entries: Sequence[tuple[ImageEntry, int]]) -> list[object]:
    """What each picture shares with those of its group only."""
    groups = {image.path: number for number, group in enumerate(split.groups) for image in group}
    return [groups.get(image.path, str(image.path)) for image, _ in entries]


_Entries = list[tuple[ImageEntry, int]]


def _parted(entries: _Entries, chosen: set[int]) -> tuple[_Entries, _Entries]:
    """What is not chosen, and what is."""
    return (
        [entry for row, entry in enumerate(entries) if row not in chosen],
        [entry for row, entry in enumerate(entries) if row in chosen],
    )


def _with_lists(split: Split, train: _Entries, validate: _Entries) -> Split:
    lists = {"train": train, "validate": validate, "test": split.lists["test"]}
    return replace(split, lists=lists, left_over={}, random_leaks={}, leaks=[], remarks=[])
