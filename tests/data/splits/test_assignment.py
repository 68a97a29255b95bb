"""Large groups: every list that was asked for gets one, if there are enough, the closest to its size."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scans import ROOT, split_requests, split_scan

from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.listing import NO_CLASS, ImageEntry
from hubtune.data.scan.scanner import Scan
from hubtune.data.splits.quota import SplitSize


def patients(*groups, **loose):
    """A scan and its groups: class → images of each patient, and images of a class that stand alone."""
    scan, places, of_group = Scan(ROOT), 0, [[] for _ in groups]
    for label in sorted({label for group in groups for label in group} | {*loose}):
        names = []
        for number, group in enumerate(groups):
            count = group.get(label, 0)
            of_group[number] += range(places + len(names), places + len(names) + count)
            names += [f"{label}/p{number}_{image:03}.jpg" for image in range(count)]
        names += [f"{label}/alone_{image:03}.jpg" for image in range(loose.get(label, 0))]
        places += len(names)
        scan.classes[label] = [ImageEntry(ROOT / name, NO_CLASS, name, name) for name in names]
    return scan, [DuplicateGroup(tuple(own), "given") for own in of_group if len(own) > 1]


def counts(split, label="a"):
    return {name: count for name, count in split.counts()[label].items() if count}


def split_by(scan, groups, validate="0", test="0", train=None):
    sizes = {"validate": SplitSize.parse(validate), "test": SplitSize.parse(test)}
    return split_scan(scan, groups=groups, **sizes, train=train)


@pytest.mark.parametrize(
    ("sizes", "loose", "asked", "expected"),
    [
        # Groups closest to the size
        ([90, 40, 50, 80], 0, ["30"], {"train": 220, "validate": 40}),
        ([90, 40, 50, 80], 0, ["30", "30"], {"train": 170, "validate": 40, "test": 50}),
        ([30] * 4, 0, ["10", "10", 10], {"train": 30, "validate": 30, "test": 30, "left_over": 30}),
        # Sizes that groups add up to are exact, or as many as fit
        ([30] * 5, 0, ["20%", "20%"], {"train": 90, "validate": 30, "test": 30}),
        ([60, 10, 20, 30], 0, ["20%"], {"train": 100, "validate": 20}),
        # Training first, then validation, by which a model is chosen, then the test
        ([30] * 3, 0, ["20%", "20%"], {"train": 30, "validate": 30, "test": 30}),
        ([30] * 2, 0, ["20%", "20%"], {"train": 30, "validate": 30}),
        ([30], 0, ["20%", "20%"], {"train": 30}),
        # A list with many groups gives one to a list with none
        ([10] * 3, 0, ["5", "20"], {"train": 10, "validate": 10, "test": 10}),
        # Images that stand alone give way to a group, unless they come closer
        ([30] * 4, 2, ["20%"], {"train": 92, "validate": 30}),
        ([30] * 4, 20, ["20"], {"train": 120, "validate": 20}),
        ([30] * 4, 10, ["35"], {"train": 95, "validate": 35}),
        # A list that was not asked for gets nothing
        ([30] * 4, 0, [], {"train": 120}),
    ],
)
def test_the_groups_of_a_class_are_assigned(sizes, loose, asked, expected):
    scan, groups = patients(*({"a": size} for size in sizes), {"b": 1}, a=loose)
    assert counts(split_by(scan, groups, *asked)) == expected


@pytest.mark.parametrize(
    ("patient", "across"), [({"a": 30}, ""), ({"a": 30, "b": 20, "c": 10}, ", also across classes")]
)
def test_four_patients_are_divided_although_a_fifth_of_them_is_none(patient, across):
    split = split_by(*patients(*[patient] * 4), "20%", "20%")
    for label, size in patient.items():
        assert counts(split, label) == {"train": 2 * size, "validate": size, "test": size}
    assert split.remarks[2] == (
        f"Class 'a' has 120 pictures in groups of up to 30 that stay together{across}, with which 24 in the "
        "validation list and 24 in the test list cannot be met exactly: it gives 60 for training, 30 for "
        "validation, 30 for test."
    )


def test_patients_of_other_classes_are_chosen_together():
    # Of b only two patients have images: one must be trained on, and the other is for validation.
    split = split_by(*patients({"a": 9, "b": 9}, {"a": 9}, {"a": 9}, {"a": 9, "b": 9}), "20%")
    assert counts(split, "a") == {"train": 27, "validate": 9}
    assert counts(split, "b") == {"train": 9, "validate": 9}


REQUESTS = split_requests(1, 30, 60)  # sizes that leave some images for training


def lists_of_patients(split):
    where = {}
    for name, images in split.lists.items():
        for image in images:
            if "/p" in image.name:
                where.setdefault(image.name.split("/p")[1].split("_")[0], set()).add(name)
    return where


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(2, 40), min_size=1, max_size=8),
    loose=st.sampled_from([0, 0, 1, 5, 20]),
    asked=REQUESTS,
)
def test_every_list_gets_a_group_where_there_are_enough_and_none_would_come_closer(sizes, loose, asked):
    scan, patient_groups = patients(*({"a": size} for size in sizes), {"b": 1}, a=loose)
    split = split_scan(scan, groups=patient_groups, **asked)
    got, total = split.counts()["a"], sum(sizes) + loose
    where = lists_of_patients(split)
    assert sum(got.values()) == total
    assert all(len(lists) == 1 for lists in where.values())
    assert got["train"] >= 1
    wanted = {name: asked[name].of(total) for name in ("validate", "test")}
    lists = [name for name in wanted if wanted[name]]
    if len(sizes) > len(lists) and not loose:
        assert all(got[name] for name in lists)
    groups = {name: [] for name in (*split.lists, "left_over")}
    for number, size in enumerate(sizes):
        groups[next(iter(where.get(str(number), ["left_over"])))].append(size)
    for name in lists:
        if got[name] > wanted[name]:
            assert groups[name] == [got[name]] or got["train"] == loose
        alone = lists == [name] and asked["train"] is None and not loose
        if alone and len(groups[name]) == 1 and wanted[name] < total:
            assert min(abs(size - wanted[name]) for size in sizes) == abs(got[name] - wanted[name])
    if any(wanted[name] != got[name] for name in lists):
        assert any(remark.startswith("Class 'a' has") for remark in split.remarks)


@settings(max_examples=100)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=3, max_size=7), asked=REQUESTS
)
def test_patients_in_all_classes_leave_no_list_of_any_class_empty_in_whatever_order(sizes, asked):
    scan, groups = patients(*({"a": one, "b": other} for one, other in sizes))
    split, other = (split_scan(scan, groups=order, **asked) for order in (groups, groups[::-1]))
    assert split.lists == other.lists and split.remarks == other.remarks
    assert all(len(lists) == 1 for lists in lists_of_patients(split).values())
    for label, size in (("a", sum(one for one, _ in sizes)), ("b", sum(other for _, other in sizes))):
        got = split.counts()[label]
        assert sum(got.values()) == size
        assert got["train"] >= 1
        for name in ("validate", "test"):
            assert got[name] or not asked[name].of(size)
