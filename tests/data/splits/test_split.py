"""Splits: exact, complete, the same everywhere, and honest about what they could not do."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scans import REQUESTS, ROOT, fake_scan, fake_test_folder, given_group, near, part_of, split_scan

from hubtune.data.dedup.duplicates import find_groups
from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.listing import Excluded
from hubtune.data.splits.quota import SplitSize
from hubtune.data.splits.split import images_of
from hubtune.errors import DataError


@settings(max_examples=200)
@given(
    classes=st.dictionaries(
        st.sampled_from(["cat", "dog", "0", "虞书欣"]),
        st.lists(st.integers(0, 40), min_size=1, max_size=30),
        min_size=2,
    ),
    links=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans()), max_size=60),
    asked=REQUESTS,
)
def test_every_picture_is_in_one_list_or_left_over_and_every_group_on_one_side(classes, links, asked):
    scan = fake_scan(classes)
    images = images_of(scan)
    pairs = [(*sorted({one % len(images), other % len(images)}), given) for one, other, given in links]
    linked = [DuplicateGroup(pair[:2], "given" if pair[2] else "near") for pair in pairs if len(pair) == 3]
    groups = [*find_groups(images), *linked]
    split = split_scan(scan, **asked, groups=groups if links else None)
    placed = Counter(image.path for entries in split.lists.values() for image in entries)
    assert set(placed.values()) <= {1}
    where = part_of(split)
    for group in groups:
        names = [images[place].name for place in group.members]
        assert len({where.get(name) for name in names}) == 1
        if group.kind != "given" and len({name.split("/")[0] for name in names}) > 1:
            assert where[names[0]] == "train"
    kinds = zip(split.groups, split.group_kinds, strict=True)
    given = {image.name for group, kind in kinds if kind == "given" for image in group}
    for label, (folder, own) in enumerate(scan.classes.items()):
        counts = split.counts()[folder]
        assert sum(counts.values()) == len(own)
        assert counts["train"] >= 1
        for name, entries in split.lists.items():
            mine = {image.name for image in entries if image.label == label}
            assert all(image.startswith(f"{folder}/") for image in mine)
            assert len(mine) == counts[name]
            # Only a list without any image takes a group, a given one, that is too large.
            assert name == "train" or counts[name] <= asked[name].of(len(own)) or mine <= given
    assert split.leaks == []


@settings(max_examples=100)
@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=4), asked=REQUESTS)
def test_without_copies_a_class_that_is_large_enough_gives_exactly_what_was_asked(sizes, asked):
    scan = fake_scan({f"c{number}": size for number, size in enumerate(sizes)})
    split = split_scan(scan, **asked)
    for folder, images in scan.classes.items():
        total = len(images)
        wanted = {name: asked[name].of(total) for name in ("validate", "test")}
        got = split.counts()[folder]
        if sum(wanted.values()) < total:
            assert {name: got[name] for name in wanted} == wanted
            rest = total - sum(wanted.values())
            assert got["train"] == (rest if asked["train"] is None else min(rest, asked["train"]))
        else:
            assert got["train"] + got["left_over"] == total - total // 2
            assert any(repr(folder) in remark for remark in split.remarks)


def test_the_split_of_one_tree_never_changes():
    """Written down once: another Python, machine or version of hubtune must give these lists."""
    split = split_scan(fake_scan({"cat": 6, "虞书欣": 6}), validate=SplitSize(2), test=SplitSize(1), seed=7)
    names = {part: [image.name[:-4] for image in images] for part, images in split.lists.items()}
    assert names == {
        "train": ["cat/001", "cat/002", "cat/003", "虞书欣/001", "虞书欣/003", "虞书欣/005"],
        "validate": ["cat/000", "cat/004", "虞书欣/002", "虞书欣/004"],
        "test": ["cat/005", "虞书欣/000"],
    }


def test_another_seed_moves_many_images_and_an_image_more_few():
    before, after, seeded = (
        part_of(split_scan(fake_scan({"a": size, "b": 100}), validate=SplitSize(20), seed=seed))
        for size, seed in ((100, 0), (101, 0), (100, 1))
    )
    moved = [name for name in before if before[name] != after[name]]
    assert len(moved) <= 1 and all(name.startswith("a/") for name in moved)
    assert sum(before[name] != seeded[name] for name in before) > 20


def test_copies_and_conflicts_are_named():
    split = split_scan(
        fake_scan({"a": ["x", "x", 1, 2, 3], "b": ["y", 5, 6, 7, "z"], "c": ["z", "y", 8, 9]}),
        validate=SplitSize(1),
    )
    assert split.remarks == [
        "3 groups of copies or related pictures (3 byte-equal) with 6 pictures in all; each group stays in "
        "one list.",
        "A random split of these sizes would have put copies of 1 of 3 validation pictures into training, "
        "on average.",
        "The same picture lies in different classes: b/000.jpg, c/001.jpg. All are in the training list; "
        "remove the wrong ones.",
        "The same picture lies in different classes: b/004.jpg, c/000.jpg. All are in the training list; "
        "remove the wrong ones.",
    ]
    copies = [["a/000", "a/001"], ["b/000", "c/001"], ["b/004", "c/000"]]
    assert [[image.name[:5] for image in group] for group in split.groups] == copies


def test_groups_of_other_kinds_stay_together_also_through_one_another():
    scan = fake_scan({"a": 20, "b": 20})
    groups = [*near((0, 1), (21, 22)), DuplicateGroup((1, 2), "equal"), given_group(2, 23), *near((22, 23))]
    for seed in range(10):
        split = split_scan(scan, validate=SplitSize(6), test=SplitSize(6), seed=seed, groups=groups)
        [group] = split.groups
        assert " ".join(image.name[:5] for image in group) == "a/000 a/001 a/002 b/001 b/002 b/003"
        # A group that was given may span classes: that is no conflict of labels.
        assert (split.group_kinds, split.conflicts) == (["given"], [])
        assert len({part_of(split)[image.name] for image in group}) == 1
        assert split.counts()["a"] == {"train": 8, "validate": 6, "test": 6, "left_over": 0}


def test_nearly_the_same_image_in_different_classes_is_trained_on_with_its_whole_group():
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


def test_copies_that_connect_given_groups_are_named():
    patients = [given_group(*range(first, first + 5)) for first in (0, 5, 10)]
    split = split_scan(
        fake_scan({"a": 15, "b": 9}), validate=SplitSize(3), groups=[*patients, *near((4, 7), (10, 11))]
    )
    assert split.group_kinds == ["given", "given"]
    assert [remark for remark in split.remarks if "different groups" in remark] == [
        "Copies of one picture lie in different groups: a/004.jpg, a/007.jpg. These groups stay together."
    ]


def test_copies_of_test_images_are_left_out_and_test_images_of_no_class():
    split = split_scan(
        fake_scan({"a": ["z", *range(4)], "b": 5}),
        validate=SplitSize(1),
        test_scan=fake_test_folder(("a.jpg", "x"), ("b.jpg", "y"), ("a_2.jpg", "z")),
        groups=[*near((1, 10)), given_group(5, 11), DuplicateGroup((0, 12), "equal")],
    )
    assert [(entry.path.relative_to(ROOT).as_posix(), entry.reason) for entry in split.left_out] == [
        ("a/000.jpg", "the same picture is in the test folder"),
        ("a/001.jpg", "nearly the same picture is in the test folder"),
        ("b/000.jpg", "another picture of its group is in the test folder"),
    ]
    assert split.counts()["a"] == {"train": 2, "validate": 1, "test": 2, "left_over": 0}
    tests = fake_test_folder(("a.jpg", "x"), ("b.jpg", "x"), ("beach.jpg", "new"))
    split = split_scan(fake_scan({"a": 3, "b": 3}), validate=SplitSize(1), test_scan=tests)
    assert [image.name for image in split.lists["test"]] == ["a.jpg", "b.jpg"]
    assert split.left_out == [Excluded(tests.classes[""][2].path, "no class has this name")]
    assert split.remarks[-1] == (
        "The same picture lies in different classes: a.jpg, b.jpg. All are in the test list; "
        "remove the wrong ones."
    )


@pytest.mark.parametrize(
    ("classes", "name", "message"),
    [
        (
            *({"a": 3, "b": 3}, "z.jpg"),
            "No picture in test can be told to belong to a class: name them after their class (a.jpg, "
            "a_2.jpg), or put them into folders named so",
        ),
        (
            *({"a": ["x"], "b": 3}, "a.jpg"),
            f"Every picture of {ROOT / 'a'} is in the test folder, too: none is left for training",
        ),
    ],
)
def test_a_test_folder_that_leaves_nothing_to_test_or_to_train_on_is_refused(classes, name, message):
    with pytest.raises(DataError) as caught:
        split_scan(fake_scan(classes), validate=SplitSize(1), test_scan=fake_test_folder((name, "x")))
    assert str(caught.value) == message
