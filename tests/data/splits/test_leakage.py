"""Leaks between lists: found with their closest relation, described, and removed."""

from dataclasses import replace

from support.scans import fake_scan, given_group, near, split_scan

from hubtune.data.splits.quota import SplitSize


def divided_scan(classes):
    """A scan of a source that is divided into lists: class → list of each image."""
    scan = fake_scan({name: len(parts) for name, parts in classes.items()})
    for name, parts in classes.items():
        images = zip(scan.classes[name], parts, strict=True)
        scan.classes[name] = [replace(image, part=part) for image, part in images]
    return scan


def test_images_stay_in_the_lists_of_their_source_and_its_leaks_are_named_and_may_be_removed():
    scan = divided_scan(
        {"a": ["train"] * 6 + ["validate"] * 3 + ["test"], "b": ["train"] * 6 + ["validate"] * 3}
    )
    split = split_scan(scan, validate=SplitSize(1), groups=[*near((0, 6), (7, 9)), given_group(10, 16)])
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
        "2 of 6 validation pictures have copies or images of their group in the training list (1 nearly "
        "equal, 1 of a group that was given).",
        "1 of 1 test picture has copies in the validation list (1 nearly equal).",
    ]
    clean = split.without_leaks()
    assert clean.leaks == []
    assert [len(images) for images in clean.lists.values()] == [10, 5, 1]
    assert [(entry.path.name, entry.reason) for entry in clean.left_out] == [
        ("000.jpg", "a copy of it is in the validation list"),
        ("000.jpg", "a copy of it is in the validation list"),
        ("007.jpg", "a copy of it is in the test list"),
    ]


def test_a_validation_list_is_taken_from_training_images_and_a_class_without_any_is_named():
    scan = divided_scan({"a": ["train"] * 9 + ["test"], "b": ["train"] * 9 + ["test"]})
    split = split_scan(scan, validate=SplitSize(3), groups=near((0, 1, 2)))
    assert split.counts()["a"] == {"train": 6, "validate": 3, "test": 1, "left_over": 0}
    assert len({name for name, images in split.lists.items() for i in images if i.name[:5] < "a/003"}) == 1
    scan = divided_scan({"a": ["train"] * 9, "b": ["test"] * 3})
    assert split_scan(scan).remarks == ["Class 'b' has no training picture: nothing can be learned of it."]
    assert split_scan(scan, validate=SplitSize(2)).remarks[-1] == (
        "Class 'b' has 0 pictures, too few for 2 in the validation list: it gives 0 for training."
    )
