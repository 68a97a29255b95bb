"""Assignment of multi-label images to lists: what each label is to give to each list, and what it cannot."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import WORDS
from hubtune.data.splits.assignment import Assignment, Unit
from hubtune.data.splits.label_allocation import LabelQuotas, allocate_by_labels, allocate_by_size
from hubtune.data.splits.label_exchange import LabelCounts
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.text import escaped, first_few, plural

_MOST_REMARKS = 10  # that are written out in full
_MOST_NAMES = 100  # of labels in one remark


def assign_by_labels(
    assignment: Assignment,
    groups: Sequence[DuplicateGroup],
    sort_key: Callable[[Unit], Any],
    request: SplitRequest,
    label_sets: LabelSets,
) -> list[str]:
    """Assign the free images to the lists, and return remarks on labels with too few.

    Each label gives each list the images that ``request`` asks of a class; images without a label go to the
    lists in the shares of all others.

    Args:
        assignment: its labels are the numbers of the sets.
        groups: images that stay in one list, without common members.
        sort_key: the order of the units; earlier ones go first to the validation and test list.
        request: its sizes are per label.
        label_sets: the labels of each set.
    """
    matrix = label_sets.matrix
    units = _free_units(assignment, groups, sort_key)
    sets = [-1 if label is None else label for label in assignment.labels]
    counts = LabelCounts.of(units, sets, matrix)
    bound = _per_label(assignment.bound, matrix)
    names = list(request.quotas(0, 0))
    rows = np.full(len(units), len(names))
    labelled = np.asarray(counts.having.any(axis=0))
    rows[labelled] = allocate_by_labels(
        counts.select(labelled), label_quotas(request, counts.select(labelled), bound)
    )
    without = counts.sizes[~labelled]
    got = [int(counts.sizes[labelled & (rows == number)].sum()) for number in range(len(names))]
    quotas = _unlabelled_quotas(request, without, got, int(counts.sizes[labelled].sum()))
    rows[~labelled] = allocate_by_size(without.tolist(), quotas)
    rest = "train" if request.train is None else None
    for unit, row in zip(units, rows.tolist(), strict=True):
        name = (*names, rest)[row]
        assignment.put(unit, name)
        if name is None:
            assignment.left_over.update(assignment.counts(unit))
    for number, count in assignment.left_over.items():
        assignment.got[number]["left over"] = count
    return _remarks(assignment, request, label_sets, counts, bound)


def _free_units(
    assignment: Assignment, groups: Sequence[DuplicateGroup], sort_key: Callable[[Unit], Any]
) -> list[Unit]:
    units = [tuple(place for place in group.members if assignment.free[place]) for group in groups]
    members = {place for unit in units for place in unit}
    alone = [(place,) for place, free in enumerate(assignment.free) if free and place not in members]
    return sorted([*filter(None, units), *alone], key=sort_key)


def _per_label(of_sets: Counter[int], matrix: np.ndarray) -> np.ndarray:
    """Return the images with each label, from those of each set: ``[labels]``."""
    amounts = np.zeros(len(matrix), np.int64)
    for number, count in of_sets.items():
        amounts[number] = count
    return amounts @ matrix


def _requested(request: SplitRequest) -> dict[str, SplitSize]:
    train = SplitSize(count=request.train or 0)
    return {"test": request.test, "validate": request.validate, "train": train}


def label_quotas(request: SplitRequest, counts: LabelCounts, bound: np.ndarray) -> LabelQuotas:
    """Return what each list is to have of each label; ``bound`` images of it must be in training.

    A number of images is asked of those with each label, and as many of those without it as their share
    makes; a share is asked of both. Where that is less than one image, a list gets one nevertheless, as long
    as these are not more than half of the list.
    """
    requested, total = _requested(request), int(counts.sizes.sum())
    names = list(request.quotas(0, 0))
    measured = [name for name in names if name != "train" and requested[name]]
    having, without = counts.totals[:, 0], counts.totals[:, 1]
    of_label = [request.quotas(*pair) for pair in zip(having.tolist(), bound.tolist(), strict=True)]
    of_all = request.quotas(total, int(bound.max(initial=0)))
    units_with = (counts.having > 0).sum(axis=1)
    units_without = (counts.having < counts.sizes).sum(axis=1)
    sides = np.zeros((len(names) + 1, len(having), 2), np.int64)
    totals = np.zeros(len(names) + 1)
    for number, name in enumerate(names):
        size, own = requested[name], sides[number]
        own[:, 0] = [quotas[name] for quotas in of_label]
        exact = size.share is None
        totals[number] = min(total, own[:, 0].sum() / max(1.0, having.sum() / max(1, total)))
        if not exact:
            totals[number] = of_all[name]
        if name in measured:
            enough = units_with + (bound > 0) > len(measured)
            _raise_to_one(own[:, 0], having, enough & (own[:, 0] == 0), float(totals[number]))
        share = own[:, 0] * without / np.maximum(having, 1)
        own[:, 1] = np.minimum(own[:, 0], np.rint(share)) if exact else totals[number] - own[:, 0]
        own[:, 1] = np.clip(own[:, 1], 0, np.maximum(without - 1, 0))
        if name in measured:
            own[:, 1] = np.where(units_without > len(measured), np.maximum(own[:, 1], 1), own[:, 1])
    sides[-1] = np.maximum(counts.totals - sides[:-1].sum(axis=0), 0)
    exact_lists = [bool(requested[name]) and requested[name].share is None for name in names]
    training = names.index("train") if "train" in names else len(names)
    return LabelQuotas(sides, totals, [*exact_lists, False], training, bound)


def _raise_to_one(quotas: np.ndarray, having: np.ndarray, rare: np.ndarray, total: float) -> None:
    """Raise the quotas of rare labels from 0 to 1, in place, of the most frequent first."""
    labels = np.flatnonzero(rare)
    labels = labels[np.argsort(-having[labels], kind="stable")]
    quotas[labels[: max(1, int(total // 2))]] = 1


def _unlabelled_quotas(
    request: SplitRequest, sizes: np.ndarray, got: Sequence[int], labelled: int
) -> list[int]:
    """Return what each list is to have of images without a label; it ``got`` some of ``labelled`` others."""
    requested, total = _requested(request), int(sizes.sum())
    names = list(request.quotas(0, 0))
    if not labelled:
        return [request.quotas(total, 0)[name] for name in names]
    measured = [name for name in names if name != "train" and requested[name]]
    least = int(len(sizes) > len(measured))
    shares = [round(total * own / labelled) for own in got]
    return [max(share, least * (name in measured)) for name, share in zip(names, shares, strict=True)]


def _remarks(
    assignment: Assignment,
    request: SplitRequest,
    label_sets: LabelSets,
    counts: LabelCounts,
    bound: np.ndarray,
) -> list[str]:
    """Return sentences on labels that nothing can be learned of, and on those with too few images."""
    lists = (*WORDS, "left over")
    of_list = {
        name: _per_label(
            Counter({number: own[name] for number, own in enumerate(assignment.got)}), label_sets.matrix
        )
        for name in lists
    }
    trained = sum(own["train"] for own in assignment.got)
    largest = np.where(counts.sizes > 1, counts.having, 0).max(axis=1, initial=0)
    unlearned, shortages = [], {}
    for label, name in enumerate(label_sets.labels):
        got = Counter({part: int(of_list[part][label]) for part in lists})
        if not got["train"]:
            unlearned.append(
                f"Label '{escaped(name)}' has no training picture: nothing can be learned of it."
            )
        elif got["train"] == trained:
            unlearned.append(
                f"Every training picture has the label '{escaped(name)}': nothing can be learned of it."
            )
        if sentence := _shortage(name, got, request, int(bound[label]), int(largest[label])):
            shortages[name] = sentence
    remarks = unlearned[:_MOST_REMARKS]
    if len(unlearned) > _MOST_REMARKS:
        remarks.append(
            f"… and {len(unlearned) - _MOST_REMARKS:,} more labels of which nothing can be learned."
        )
    remarks += [*shortages.values()][:_MOST_REMARKS]
    if others := [repr(name) for name in [*shortages][_MOST_REMARKS:]]:
        remarks.append(f"Fewer than asked, likewise: {first_few(others, _MOST_NAMES)}.")
    return remarks


def _shortage(label: str, got: Counter[str], request: SplitRequest, bound: int, largest: int) -> str | None:
    """Describe how a label falls short of the request; ``None`` if not.

    A list may have less than its share of one label because of the others; that is a shortage below half of
    it. ``largest`` is 0 without groups of at least two.
    """
    total, requested = got.total(), _requested(request)
    if not total:
        return None
    sizes = request.sizes(total)
    missed = [
        f"{sizes[name]:,} in the {words} list" if sizes[name] else f"any in the {words} list"
        for name, words in WORDS.items()
        if requested[name]
        and (not got[name] or got[name] < (sizes[name] if requested[name].count else sizes[name] / 2))
    ]
    if not missed:
        return None
    parts = " and ".join(missed)
    gives = ", ".join(f"{got[name]:,} for {words}" for name, words in WORDS.items() if got[name])
    has = f"Label '{escaped(label)}' has {plural(total, 'picture')}"
    if bound and sum(sizes.values()) > total - bound:
        return (
            f"{has}, {bound:,} of them bound to training because of copies with other labels, and too few "
            f"others for {parts}: it gives {gives}. Correct the labels of the copies, and split again."
        )
    if largest and sum(sizes.values()) < total:
        of_up_to = f" of up to {largest:,}" if largest > 1 else ""
        return (
            f"{has} in groups{of_up_to} that stay together, with which {parts} cannot be met: it gives "
            f"{gives}."
        )
    return f"{has}, too few for {parts}: it gives {gives}."
