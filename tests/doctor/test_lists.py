"""Classes with few images, and files that are in two lists or classes."""

import shutil

import pytest
from support.images import draw_tree

from hubtune.data.listing import ImageEntry
from hubtune.doctor.lists import check_list_images


@pytest.fixture
def pics(tmp_path):
    return draw_tree(tmp_path / "pics", {"a": 14, "b": 14})


def _entries(pics, label, places):
    return [ImageEntry(pics / "ab"[label] / f"{place:03}.png", label) for place in places]


def _lists(pics):
    parts = {"train": range(10), "validate": range(10, 12), "test": range(12, 14)}
    return {name: _entries(pics, 0, own) + _entries(pics, 1, own) for name, own in parts.items()}


def _found(labels, images, base):
    return {check.name: check for check in check_list_images(labels, images, None, base, "hubtune split x")}


def test_sound_lists_are_good(pics):
    found = _found(["a", "b"], _lists(pics), pics)
    assert {name: check.state for name, check in found.items()} == {"classes": "good", "leaks": "good"}
    assert found["classes"].finding == "28 pictures of 2 classes"


def test_classes_without_and_with_few_training_images_are_named(pics):
    lists = _lists(pics)
    found = _found(["a", "b", "none"], {**lists, "train": _entries(pics, 0, range(10))}, pics)
    assert found["missing-classes"].state == "bad" and "b, none" in found["missing-classes"].finding
    few = {**lists, "train": _entries(pics, 0, range(10)) + _entries(pics, 1, range(1))}
    found = _found(["a", "b"], few, pics)
    assert found["few-pictures"].finding.startswith("Fewer than 10 training pictures: b (1)")
    assert found["balance"].finding.startswith("a has 10 training pictures, and b 1")


def test_copies_in_two_lists_are_bad(pics):
    shutil.copy(pics / "a/000.png", pics / "a/012.png")  # training → test
    shutil.copy(pics / "b/010.png", pics / "b/013.png")  # validation → test
    checks = check_list_images(["a", "b"], _lists(pics), None, pics, "hubtune split x")
    findings = [check.finding for check in checks if check.name == "leaks"]
    assert findings == [
        "1 test picture of 4 is in the training list, too: its accuracy is too high (a/012.png = a/000.png)",
        "1 test picture of 4 is in the validation list, too: its accuracy is too high (b/013.png = "
        "b/010.png)",
    ]
    assert all(check.cure == "hubtune split x" for check in checks if check.name == "leaks")


def test_a_file_with_two_classes_is_bad(pics):
    shutil.copy(pics / "a/000.png", pics / "b/001.png")
    found = _found(["a", "b"], _lists(pics), pics)["contradictions"]
    assert found.state == "bad" and found.finding == "1 picture has two classes: a/000.png = b/001.png"
