"""Splits: exact, complete, the same everywhere, and honest about what they could not do."""

import json
import os
import shutil
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scans import ROOT, fake_scan, fake_test_folder, names_in, near, part_of, split_scan
from support.scans import given as given_group

from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.dedup.duplicates import DuplicateGroup
from hubtune.data.listing import Excluded
from hubtune.data.scan.scanner import scan_classes, scan_files
from hubtune.data.splits.files import read_groups, write_split
from hubtune.data.splits.quota import NOTHING, SplitSize
from hubtune.data.splits.split import images_of
from hubtune.errors import DataError, MachineError, UsageError


def refusal(kind, call, *arguments, **options):
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "of_50"),
    [
        ("20", 20),
        ("0", 0),
        ("0.2", 10),
        (".2", 10),
        ("20%", 10),
        ("20 %", 10),
        ("12.5%", 6),
        ("0.01", 1),
        ("0%", 0),
    ],
)
def test_amounts_are_numbers_or_shares(text, of_50):
    assert SplitSize.parse(text).of(50) == of_50
    assert bool(SplitSize.parse(text)) == (of_50 > 0)


@pytest.mark.parametrize("text", ["", "-5", "1.0", "100%", "1.5", "twenty", "20%%", "1e3", "nan", "0x10"])
def test_other_amounts_are_refused(text):
    assert refusal(UsageError, SplitSize.parse, text) == (
        f"{text!r} is no amount: write a number of pictures per class (20), or a share (0.2 or 20%)"
    )


def test_a_share_is_rounded_to_the_nearest():
    assert [SplitSize.parse("20%").of(n) for n in (1, 2, 3, 7, 8)] == [0, 0, 1, 1, 2]
    assert SplitSize(share=Fraction(1, 10)).of(15) == 2


def test_the_rest_goes_to_training_or_is_counted():
    scan = fake_scan({"a": 30, "b": 25})
    assert split_scan(scan, validate=SplitSize(10), test=SplitSize(5)).counts() == {
        "a": {"train": 15, "validate": 10, "test": 5, "left_over": 0},
        "b": {"train": 10, "validate": 10, "test": 5, "left_over": 0},
    }
    assert split_scan(scan, validate=SplitSize(10), test=SplitSize(5), train=8).counts() == {
        "a": {"train": 8, "validate": 10, "test": 5, "left_over": 7},
        "b": {"train": 8, "validate": 10, "test": 5, "left_over": 2},
    }


CLASSES = st.dictionaries(
    st.sampled_from(["cat", "dog", "0", "虞书欣", "no way"]),
    st.lists(st.integers(0, 40), min_size=1, max_size=30),
    min_size=2,
)
AMOUNTS = st.one_of(
    st.integers(0, 25).map(SplitSize),
    st.integers(0, 99).map(lambda percent: SplitSize(share=Fraction(percent, 100))),
)
WISHES = st.fixed_dictionaries(
    {
        "validate": AMOUNTS,
        "test": AMOUNTS,
        "train": st.one_of(st.none(), st.integers(1, 25)),
        "seed": st.integers(0, 5),
    }
)


@settings(max_examples=150, deadline=None)
@given(classes=CLASSES, wish=WISHES)
def test_every_picture_is_in_one_list_or_left_over_and_copies_stay_together(classes, wish):
    scan = fake_scan(classes)
    split = split_scan(scan, **wish)
    placed = Counter(image.path for entries in split.lists.values() for image in entries)
    assert set(placed.values()) <= {1}
    for label, (folder, images) in enumerate(scan.classes.items()):
        counts = split.counts()[folder]
        assert sum(counts.values()) == len(images)
        assert counts["train"] >= 1
        for name, entries in split.lists.items():
            mine = [image for image in entries if image.label == label]
            assert all(image.name.startswith(f"{folder}/") for image in mine)
            assert len(mine) == counts[name]
        for name in ("validate", "test"):
            assert counts[name] <= wish[name].of(len(images))
    where = part_of(split)
    everywhere = {}
    for images in scan.classes.values():
        for image in images:
            everywhere.setdefault(image.sha256, []).append(image)
    for group in everywhere.values():
        assert len({where.get(image.name, "left over") for image in group}) == 1
        if len({image.name.split("/")[0] for image in group}) > 1:
            assert where[group[0].name] == "train"


def test_a_class_of_copies_alone_is_trained_on_though_they_are_more_than_was_asked():
    split = split_scan(
        fake_scan({"cat": [1], "dog": [0, 0]}), validate=SplitSize(0), test=SplitSize(0), train=1, seed=0
    )
    assert split.counts()["dog"]["train"] == 2
    assert split.counts()["cat"]["train"] == 1


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=4), wish=WISHES)
def test_without_copies_a_class_that_is_large_enough_gives_exactly_what_was_asked(sizes, wish):
    scan = fake_scan({f"c{number}": size for number, size in enumerate(sizes)})
    split = split_scan(scan, **wish)
    for folder, images in scan.classes.items():
        total = len(images)
        asked = {name: wish[name].of(total) for name in ("validate", "test")}
        got = split.counts()[folder]
        if sum(asked.values()) < total:
            assert {name: got[name] for name in asked} == asked
            rest = total - sum(asked.values())
            assert got["train"] == (rest if wish["train"] is None else min(rest, wish["train"]))
        else:
            assert got["train"] + got["left_over"] == total - total // 2
            assert any(repr(folder) in remark for remark in split.remarks)


def test_the_split_of_one_tree_never_changes():
    """Written down once: another Python, machine or version of hubtune must give these lists."""
    split = split_scan(fake_scan({"cat": 6, "虞书欣": 6}), validate=SplitSize(2), test=SplitSize(1), seed=7)
    assert {name: [n.replace(".jpg", "") for n in found] for name, found in names_in(split).items()} == {
        "train": ["cat/001", "cat/002", "cat/003", "虞书欣/001", "虞书欣/003", "虞书欣/005"],
        "validate": ["cat/000", "cat/004", "虞书欣/002", "虞书欣/004"],
        "test": ["cat/005", "虞书欣/000"],
    }


def test_shuffled_folders_give_the_same_files(tmp_path, draw_photos, monkeypatch):
    pics = draw_photos(tmp_path / "pics", {"a": 9, "b": 9}, size=8)
    written = []
    listdir = os.listdir
    for turn in (lambda found: found, lambda found: found[::-1], lambda found: found[3:] + found[:3]):
        monkeypatch.setattr(os, "listdir", lambda folder, turn=turn: turn(sorted(listdir(folder))))
        split = split_scan(scan_classes(pics), validate=SplitSize(2), test=SplitSize(3))
        files = write_split(split, tmp_path / "lists", {"seed": 0})
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1] == written[2]


def test_another_seed_gives_another_split():
    scan = fake_scan({"a": 40, "b": 40})
    found = [names_in(split_scan(scan, validate=SplitSize(10), seed=seed))["validate"] for seed in range(3)]
    assert found[0] != found[1] != found[2]


def test_a_picture_more_moves_few_of_the_others():
    before = part_of(split_scan(fake_scan({"a": 100, "b": 100}), validate=SplitSize(20), test=SplitSize(20)))
    after = part_of(split_scan(fake_scan({"a": 101, "b": 100}), validate=SplitSize(20), test=SplitSize(20)))
    moved = [name for name in before if before[name] != after[name]]
    assert len(moved) <= 2
    assert all(name.startswith("a/") for name in moved)


def test_small_classes_keep_half_for_training_and_are_named():
    split = split_scan(fake_scan({"a": 60, "b": 5, "c": 1}), validate=SplitSize(20), test=SplitSize(10))
    assert split.counts()["b"] == {"train": 3, "validate": 2, "test": 0, "left_over": 0}
    assert split.counts()["c"] == {"train": 1, "validate": 0, "test": 0, "left_over": 0}
    assert split.remarks == [
        "Class 'b' has 5 pictures, too few for 20 in the validation list and 10 in the test list: "
        "it gives 3 for training, 2 for validation.",
        "Class 'c' has 1 picture, too few for 20 in the validation list and 10 in the test list: "
        "it gives 1 for training.",
    ]


def test_a_share_that_comes_to_nothing_is_named():
    split = split_scan(fake_scan({"a": 10, "b": 2}), validate=SplitSize.parse("20%"))
    assert split.remarks == [
        "Class 'b' has 2 pictures, too few for any in the validation list: it gives 2 for training."
    ]


def test_a_class_too_small_for_the_training_number_is_named():
    split = split_scan(fake_scan({"a": 30, "b": 100}), validate=SplitSize(20), train=80)
    assert split.remarks == [
        "Class 'a' has 30 pictures, too few for 80 in the training list: it gives 10 for training, "
        "20 for validation."
    ]


def test_of_many_small_classes_all_are_named():
    split = split_scan(fake_scan({f"c{number}": 2 for number in range(13)}), validate=SplitSize(5))
    assert len(split.remarks) == 11
    assert split.remarks[-1] == "Fewer than asked, likewise: 'c10', 'c11', 'c12'."


def test_copies_are_told_and_conflicts_named():
    split = split_scan(
        fake_scan({"a": ["x", "x", 1, 2, 3], "b": ["y", 5, 6, 7, "z"], "c": ["z", "y", 8, 9]}),
        validate=SplitSize(1),
    )
    assert split.remarks == [
        "3 groups of pictures that belong together (3 byte-equal) hold 6 pictures; each stays in one list.",
        "A random split of these sizes would have put copies of 1 of 3 validation pictures into training, "
        "on average.",
        "The same picture lies in different classes: b/000.jpg, c/001.jpg. All are in the training list; "
        "remove the wrong ones.",
        "The same picture lies in different classes: b/004.jpg, c/000.jpg. All are in the training list; "
        "remove the wrong ones.",
    ]
    assert [[image.name for image in group] for group in split.groups] == [
        ["a/000.jpg", "a/001.jpg"],
        ["b/000.jpg", "c/001.jpg"],
        ["b/004.jpg", "c/000.jpg"],
    ]


def test_groups_of_other_kinds_stay_together_also_through_one_another():
    scan = fake_scan({"a": 20, "b": 20})
    groups = [
        *near((0, 1), (21, 22)),
        DuplicateGroup((1, 2), "equal"),
        given_group(2, 23),
        DuplicateGroup((22, 23), "near"),
    ]
    for seed in range(10):
        split = split_scan(scan, validate=SplitSize(6), test=SplitSize(6), seed=seed, groups=groups)
        assert [[image.name[:5] for image in group] for group in split.groups] == [
            ["a/000", "a/001", "a/002", "b/001", "b/002", "b/003"]
        ]
        assert split.group_kinds == ["given"]
        assert len({part_of(split)[image.name] for image in split.groups[0]}) == 1
        assert split.counts()["a"] == {"train": 8, "validate": 6, "test": 6, "left_over": 0}


def test_nearly_the_same_picture_in_different_classes_is_trained_on_with_all_that_belongs_to_it():
    scan = fake_scan({"a": 10, "b": 10})
    groups = [*near((3, 14)), given_group(14, 15)]
    for seed in range(5):
        split = split_scan(scan, validate=SplitSize(4), seed=seed, groups=groups)
        places = part_of(split)
        assert {places[name] for name in ("a/003.jpg", "b/004.jpg", "b/005.jpg")} == {"train"}
        assert [[image.name for image in group] for group in split.conflicts] == [["a/003.jpg", "b/004.jpg"]]
        assert split.remarks[-1] == (
            "Nearly the same picture lies in different classes: a/003.jpg, b/004.jpg. All are in the "
            "training list; remove the wrong ones."
        )


def test_a_given_group_may_span_classes_without_a_doubt_about_its_labels():
    split = split_scan(fake_scan({"a": 9, "b": 9}), validate=SplitSize(3), groups=[given_group(0, 9)])
    assert split.conflicts == []
    assert split.counts()["a"]["validate"] == split.counts()["b"]["validate"] == 3


def test_copies_that_tie_given_groups_are_named():
    patients = [DuplicateGroup(tuple(range(first, first + 5)), "given") for first in (0, 5, 10)]
    split = split_scan(
        fake_scan({"a": 15, "b": 9}), validate=SplitSize(3), groups=[*patients, *near((4, 7), (10, 11))]
    )
    assert split.group_kinds == ["given", "given"]
    assert [remark for remark in split.remarks if "apart" in remark] == [
        "Copies of one picture lie in groups that were given apart: a/004.jpg, a/007.jpg. These groups stay "
        "together."
    ]


def test_counts_are_exact_though_only_one_way_of_dealing_leads_there():
    sizes = [7, 5, 5, 4, 4, 3]
    scan = fake_scan({"a": sum(sizes), "b": 9})
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    groups = near(*(tuple(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)))
    for seed in range(10):
        split = split_scan(scan, validate=SplitSize(10), test=SplitSize(11), seed=seed, groups=groups)
        assert split.counts()["a"] == {"train": 7, "validate": 10, "test": 11, "left_over": 0}


def test_a_group_of_half_a_class_stays_in_training():
    groups = near(tuple(range(50)), (50, 51), (52, 53, 54))
    split = split_scan(
        fake_scan({"a": 100, "b": 20}), validate=SplitSize(20), test=SplitSize(20), groups=groups
    )
    assert split.counts()["a"] == {"train": 60, "validate": 20, "test": 20, "left_over": 0}
    assert part_of(split)["a/000.jpg"] == "train"


def test_the_leaks_of_a_random_split_are_the_mean_of_many():
    scan = fake_scan({"a": 12, "b": 10})
    groups = [*near((0, 1), (2, 3, 4)), given_group(5, 12, 13)]
    split = split_scan(scan, validate=SplitSize(4), test=SplitSize(1), groups=groups)
    random = Random(0)
    found = Counter()
    for _ in range(4000):
        lists = {}
        for start, count in ((0, 12), (12, 10)):
            parts = ["validate"] * 4 + ["test"] + ["train"] * (count - 5)
            random.shuffle(parts)
            lists |= {start + number: part for number, part in enumerate(parts)}
        for group in groups:
            members = [lists[place] for place in group.members]
            found.update(part for part in members if "train" in members)
    for name in ("validate", "test"):
        assert split.random_leaks[name] == pytest.approx(found[name] / 4000, rel=0.1)


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    links=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans()), max_size=60),
    wish=WISHES,
)
def test_whatever_belongs_together_every_group_is_on_one_side_and_no_list_too_long(sizes, links, wish):
    scan = fake_scan({f"c{number}": size for number, size in enumerate(sizes)})
    count = sum(sizes)
    groups = [
        DuplicateGroup(tuple(sorted({one % count, other % count})), "given" if given else "near")
        for one, other, given in links
        if one % count != other % count
    ]
    split = split_scan(scan, **wish, groups=groups)
    where = part_of(split)
    images = images_of(scan)
    for group in groups:
        assert len({where.get(images[place].name) for place in group.members}) == 1
    kinds = zip(split.groups, split.group_kinds, strict=True)
    given = {image.name for group, kind in kinds if kind == "given" for image in group}
    for number, (folder, size) in enumerate(zip(scan.classes, sizes, strict=True)):
        counts = split.counts()[folder]
        assert sum(counts.values()) == size == len(scan.classes[f"c{number}"])
        assert counts["train"] >= 1
        for name in ("validate", "test"):
            if counts[name] > wish[name].of(size):  # a given group too large, for a list without any
                assert given >= {p.name for p in split.lists[name] if p.label == number}
    assert split.leaks == []


def test_the_order_in_which_groups_are_found_does_not_matter():
    scan = fake_scan({"a": 30, "b": 30})
    groups = [*near((0, 5), (6, 7, 31), (40, 41)), given_group(7, 8)]
    one = split_scan(scan, validate=SplitSize(10), groups=groups)
    other = split_scan(scan, validate=SplitSize(10), groups=groups[::-1])
    assert (
        names_in(one) == names_in(other)
        and one.groups == other.groups
        and one.group_kinds == other.group_kinds
    )


def parted(classes):
    """A scan of a source that has put its pictures into lists: class → list of each picture."""
    scan = fake_scan({name: len(parts) for name, parts in classes.items()})
    for name, parts in classes.items():
        scan.classes[name] = [
            replace(image, part=part) for image, part in zip(scan.classes[name], parts, strict=True)
        ]
    return scan


def test_pictures_stay_in_the_lists_of_their_source_and_its_leaks_are_told():
    scan = parted({"a": ["train"] * 6 + ["validate"] * 3 + ["test"], "b": ["train"] * 6 + ["validate"] * 3})
    groups = [*near((0, 6), (7, 9)), given_group(10, 16)]
    split = split_scan(scan, validate=SplitSize(1), groups=groups)
    assert split.counts() == {
        "a": {"train": 6, "validate": 3, "test": 1, "left_over": 0},
        "b": {"train": 6, "validate": 3, "test": 0, "left_over": 0},
    }
    assert [(leak.image.name, leak.part, leak.beside, leak.kind) for leak in split.leaks] == [
        ("a/006.jpg", "validate", "train", "near"),
        ("b/006.jpg", "validate", "train", "given"),
        ("a/009.jpg", "test", "validate", "near"),
    ]
    assert split.remarks[-2:] == [
        "2 of 6 validation pictures have copies or group mates in the training list (1 nearly equal, 1 of a "
        "group that was given).",
        "1 of 1 test picture has copies in the validation list (1 nearly equal).",
    ]


def test_a_validation_list_that_the_source_lacks_is_taken_from_its_training_pictures():
    scan = parted({"a": ["train"] * 9 + ["test"], "b": ["train"] * 9 + ["test"]})
    split = split_scan(scan, validate=SplitSize(3), groups=near((0, 1, 2)))
    assert split.counts()["a"] == {"train": 6, "validate": 3, "test": 1, "left_over": 0}
    assert len({part_of(split)[f"a/00{number}.jpg"] for number in range(3)}) == 1


def test_a_class_that_the_source_trains_nothing_of_is_named():
    split = split_scan(parted({"a": ["train"] * 3, "b": ["test"] * 3}), validate=NOTHING)
    assert split.remarks == ["Class 'b' has no training picture: nothing can be learned of it."]


def test_a_class_that_has_nothing_to_divide_is_not_said_to_be_bound():
    split = split_scan(parted({"a": ["train"] * 9, "b": ["test"] * 3}), validate=SplitSize(2))
    assert split.remarks[-1] == (
        "Class 'b' has 0 pictures, too few for 2 in the validation list: it gives 0 for training."
    )


def test_copies_of_test_pictures_are_left_out_whatever_ties_them():
    scan = fake_scan({"a": 5, "b": 5})
    loose = fake_test_folder(("a.jpg", "x"), ("b.jpg", "y"))
    split = split_scan(
        scan,
        validate=SplitSize(1),
        test_scan=loose,
        groups=[*near((0, 10)), given_group(5, 11)],
    )
    assert [(entry.path.name, entry.reason) for entry in split.left_out] == [
        ("000.jpg", "nearly the same picture is in the test folder"),
        ("000.jpg", "another picture of its group is in the test folder"),
    ]


def test_groups_read_back_from_the_file(drawn, tmp_path):
    write_split(
        split_scan(scan_classes(drawn), validate=SplitSize(1), groups=near((0, 1), (4, 6))),
        tmp_path,
        {"seed": 0},
    )
    assert read_groups(tmp_path) == {
        tmp_path / "pics" / "cat" / "000.png": 0,
        tmp_path / "pics" / "cat" / "001.png": 0,
        tmp_path / "pics" / "dog" / "000.png": 1,
        tmp_path / "pics" / "dog" / "002.png": 1,
    }


def test_copies_that_fit_no_list_are_the_reason_given():
    split = split_scan(fake_scan({"a": ["x"] * 6 + ["y"] * 3, "b": 9}), validate=SplitSize(2))
    assert split.counts()["a"] == {"train": 9, "validate": 0, "test": 0, "left_over": 0}
    assert split.remarks[-1] == (
        "Class 'a' has 9 pictures in groups of up to 6 that stay together, which do not come to 2 in the "
        "validation list: it gives 9 for training."
    )


def test_a_class_of_which_every_picture_lies_in_another_class_too_says_so():
    sums = [f"x{number}" for number in range(5)]
    split = split_scan(
        fake_scan({"a": sums, "b": [*sums, *range(15)]}), validate=SplitSize(1), test=SplitSize(1)
    )
    assert split.counts()["a"] == {"train": 5, "validate": 0, "test": 0, "left_over": 0}
    assert split.counts()["b"] == {"train": 18, "validate": 1, "test": 1, "left_over": 0}
    assert split.remarks[-1] == (
        "All 5 pictures of class 'a' are bound to training, as they, or others of their groups, have copies "
        "in another class: none is left for 1 in the validation list and 1 in the test list. Remove the "
        "copies that are in the wrong class, and split again."
    )


def test_the_only_picture_of_a_class_that_lies_in_another_says_so():
    split = split_scan(fake_scan({"a": ["x"], "b": ["x", *range(15)]}), validate=SplitSize(1))
    assert split.remarks[-1].startswith("The only picture of class 'a' is bound to training, as ")


def test_a_class_that_conflicts_leave_too_few_of_says_so():
    sums = [f"x{number}" for number in range(8)]
    split = split_scan(fake_scan({"a": [*sums, "y", "z"], "b": [*sums, *range(20)]}), validate=SplitSize(5))
    assert split.counts()["a"] == {"train": 8, "validate": 2, "test": 0, "left_over": 0}
    assert split.remarks[-1] == (
        "Class 'a' has 10 pictures, of which 8 are bound to training, as they, or others of their groups, "
        "have copies in another class; the other 2 do not come to 5 in the validation list: it gives 8 for "
        "training, 2 for validation. Remove the copies that are in the wrong class, and split again."
    )


def test_conflicts_are_not_blamed_for_what_they_do_not_hinder():
    split = split_scan(fake_scan({"a": ["x", "y", "z"], "b": ["x", *range(20)]}), validate=SplitSize(5))
    assert split.remarks[-1] == (
        "Class 'a' has 3 pictures, too few for 5 in the validation list: it gives 2 for training, 1 for "
        "validation."
    )


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("anqi.jpg", "anqi"),
        ("Anqi.JPG", "anqi"),
        ("anqi_2.jpg", "anqi"),
        ("anqi (3).png", "anqi"),
        ("anqi12.jpg", "anqi"),
        ("anqi/whatever.jpg", "anqi"),
        ("anqi/deep/7.jpg", "anqi"),
        ("虞书欣.jpg", "yu shuxin"),
        ("yu shuxin-2.jpg", "yu shuxin"),
        ("7.jpg", "7"),
        ("7_1.jpg", "7"),
        ("71.jpg", "71"),
        ("x2.jpg", "x2"),
        ("x2_2.jpg", "x2"),
        ("e\u0301_1.jpg", "é"),
        ("beach.jpg", None),
        ("beach/anqi.jpg", None),
        ("72.jpg", None),
    ],
)
def test_loose_test_pictures_go_by_their_names(name, folder):
    scan = fake_scan({"anqi": 3, "yu shuxin": 3, "7": 3, "71": 3, "x2": 3, "é": 3})
    labels = {folder: "虞书欣" if folder == "yu shuxin" else folder for folder in scan.classes}
    loose = fake_test_folder((name, "new"), ("anqi.jpg", "other"))
    split = split_scan(scan, validate=SplitSize(1), labels=labels, test_scan=loose)
    entries = {image.name: split.folders[image.label] for image in split.lists["test"]}
    assert entries.get(name) == folder
    if folder is None:
        assert split.left_out == [Excluded(Path("test") / name, "no class has this name")]


def test_a_test_folder_that_names_no_class_is_refused():
    message = refusal(
        DataError,
        split_scan,
        fake_scan({"a": 3, "b": 3}),
        validate=SplitSize(1),
        test_scan=fake_test_folder(("z.jpg", "z")),
    )
    assert message == (
        "No picture in test can be told to belong to a class: name them after their class (a.jpg, a_2.jpg), "
        "or put them into folders named so"
    )


def test_test_pictures_are_taken_out_of_the_other_lists():
    scan = fake_scan({"a": ["x", 1, 2], "b": 3})
    split = split_scan(
        scan, validate=SplitSize(1), test_scan=fake_test_folder(("a.jpg", "x"), ("b.jpg", "new"))
    )
    assert split.left_out == [Excluded(ROOT / "a" / "000.jpg", "the same picture is in the test folder")]
    assert split.counts()["a"] == {"train": 1, "validate": 1, "test": 1, "left_over": 0}


def test_a_class_that_lies_in_the_test_folder_whole_is_refused():
    scan = fake_scan({"a": ["x"], "b": 3})
    message = refusal(
        DataError, split_scan, scan, validate=SplitSize(1), test_scan=fake_test_folder(("a.jpg", "x"))
    )
    assert message == f"Every picture of {ROOT / 'a'} is in the test folder, too: none is left for training"


def test_a_picture_that_is_tested_as_two_classes_is_named():
    split = split_scan(
        fake_scan({"a": 3, "b": 3}),
        validate=SplitSize(1),
        test_scan=fake_test_folder(("a.jpg", "x"), ("b.jpg", "x")),
    )
    assert split.remarks[-1] == (
        "The same picture lies in different classes: a.jpg, b.jpg. All are in the test list; "
        "remove the wrong ones."
    )


@pytest.fixture
def drawn(tmp_path, draw_photos):
    return draw_photos(tmp_path / "pics", {"cat": 4, "dog": 4}, size=8)


def split_of(pics, **options):
    return split_scan(scan_classes(pics), **{"validate": SplitSize(1), **options})


def test_what_is_written_reads_back(drawn, tmp_path):
    split = split_of(drawn, test=SplitSize(1), labels={"dog": "狗", "cat": "猫"})
    files = write_split(split, tmp_path, {"seed": 0})
    assert [file.name for file in files] == [
        "train_list.txt",
        "validate_list.txt",
        "test_list.txt",
        "label_list.txt",
        "split.json",
    ]
    dataset = ListDataset(tmp_path)
    assert dataset.label_list == ["狗", "猫"]
    for name in LIST_NAMES:
        expected = [(image.path, image.label) for image in split.lists[name]]
        assert [(example.path, example.label) for example in dataset.examples(name)] == expected


def test_split_json_holds_what_was_done(drawn, tmp_path):
    (drawn / "cat" / "bad.jpg").touch()
    shutil.copy(drawn / "dog" / "000.png", drawn / "dog" / "copy.png")
    options = {"pictures": "pics", "validate": "1", "seed": 3}
    write_split(split_of(drawn, seed=3), tmp_path, options)
    document = json.loads((tmp_path / "split.json").read_text("ascii"))
    assert document == {
        "schema_version": 1,
        "seed": 3,
        "options": {"pictures": "pics", "validate": "1"},
        "classes": {"cat": "cat", "dog": "dog"},
        "counts": {
            "cat": {"train": 3, "validate": 1, "test": 0, "left_over": 0},
            "dog": {"train": 4, "validate": 1, "test": 0, "left_over": 0},
        },
        "groups": [["pics/dog/000.png", "pics/dog/copy.png"]],
        "group_kinds": ["equal"],
        "conflicts": [],
        "random_split_leaks": {"validate": 0.4, "test": 0.0},
        "left_out": [{"path": "pics/cat/bad.jpg", "reason": "empty file (0 bytes)", "unreadable": True}],
    }


@pytest.mark.parametrize("name", ["train_list.txt", "label_list.txt", "test_list.txt", "split.json"])
def test_other_files_are_kept_unless_forced(drawn, tmp_path, name):
    (tmp_path / name).write_text("precious 0\n")
    split = split_of(drawn)
    assert refusal(UsageError, write_split, split, tmp_path, {"seed": 0}) == (
        f"{tmp_path.resolve()} has {name} with other content already: add --force to replace, "
        "or --out FOLDER to write elsewhere"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "pics"])
    write_split(split, tmp_path, {"seed": 0}, force=True)
    expected = ["label_list.txt", "pics", "split.json", "train_list.txt", "validate_list.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == expected


def test_a_list_of_paddleclas_does_not_stay_beside_a_split_without_validation(drawn, tmp_path):
    (tmp_path / "val_list.txt").write_text("pics/cat/000.png 0\n")
    split = split_of(drawn, validate=SplitSize(0))
    assert "has val_list.txt with other content" in refusal(
        UsageError, write_split, split, tmp_path, {"seed": 0}
    )
    write_split(split, tmp_path, {"seed": 0}, force=True)
    assert ListDataset(tmp_path).examples("validate") == []


def test_the_same_split_may_be_written_again(drawn, tmp_path):
    write_split(split_of(drawn), tmp_path, {"seed": 0, "validate": "1"})
    write_split(split_of(drawn), tmp_path, {"seed": 0, "validate": "25%"})
    assert json.loads((tmp_path / "split.json").read_text())["options"] == {"validate": "25%"}


def test_a_folder_that_cannot_be_written_to_is_named(drawn, tmp_path):
    (tmp_path / "file").touch()
    message = refusal(MachineError, write_split, split_of(drawn), tmp_path / "file" / "x", {"seed": 0})
    assert message.startswith(f"The lists cannot be written to {tmp_path / 'file' / 'x'} (")
    assert message.endswith("): choose another folder with --out FOLDER")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="this platform has only names in Unicode")
def test_names_that_are_not_utf8_survive(drawn, tmp_path):
    (drawn / "cat" / "000.png").rename(os.fsdecode(os.fsencode(drawn / "cat") + b"/\xff.png"))
    (drawn / "cat").rename(os.fsdecode(os.fsencode(drawn) + b"/\xfe"))
    write_split(split_of(drawn), tmp_path, {"seed": 0})
    dataset = ListDataset(tmp_path)
    assert dataset.label_list == ["dog", "\udcfe"]
    assert all(example.path.is_file() for name in LIST_NAMES for example in dataset.examples(name))


def test_a_test_folder_of_real_pictures_is_listed(drawn, tmp_path):
    (tmp_path / "test").mkdir()
    (drawn / "cat" / "000.png").rename(tmp_path / "test" / "cat.png")
    (drawn / "dog" / "000.png").rename(tmp_path / "test" / "dog_2.png")
    (tmp_path / "test" / "bad.jpg").touch()
    split = split_of(drawn, test_scan=scan_files(tmp_path / "test"))
    write_split(split, tmp_path / "lists", {"seed": 0})
    assert (tmp_path / "lists" / "test_list.txt").read_text() == "../test/cat.png 0\n../test/dog_2.png 1\n"
    assert split.left_out == [Excluded(tmp_path / "test" / "bad.jpg", "empty file (0 bytes)", True)]
