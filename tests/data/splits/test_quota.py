"""Sizes as people write them, what a class can give, and the sentence where that is not what was asked."""

import pytest
from support.scans import fake_scan, split_scan

from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.errors import UsageError


@pytest.mark.parametrize(
    ("of_50", "sizes"),
    [
        *((20, ["20", 20]), (0, ["0", "0%", 0]), (10, ["0.2", ".2", "20%", "20 %", 0.2]), (6, ["12.5%"])),
        *((1, ["0.01", "0.029"]), (3, ["5%"])),
        (None, ["", "-5", "1.0", "100%", "1.5", "twenty", "20%%", "1e3", "nan", "0x10", -5, 1.5]),
    ],
)
def test_sizes_are_numbers_or_shares_and_others_are_refused(of_50, sizes):
    for size in sizes:
        if of_50 is None:
            with pytest.raises(UsageError) as caught:
                SplitSize.parse(size)
            assert str(caught.value) == (
                f"{str(size)!r} is not a size: write a number of pictures per class (20), "
                "or a share (0.2 or 20%)"
            )
        else:
            parsed = SplitSize.parse(size)
            assert (parsed.of(50), bool(parsed), parsed.text) == (of_50, of_50 > 0, str(size))


def test_training_keeps_half_of_a_class_that_is_too_small_and_validation_comes_before_the_test():
    request = SplitRequest(SplitSize(20), SplitSize(10))
    assert request.quotas(60, 0) == {"test": 10, "validate": 20}
    assert request.quotas(5, 0) == {"test": 0, "validate": 2}
    assert SplitRequest(SplitSize(2), train=8).quotas(20, 3) == {"test": 0, "validate": 2, "train": 5}


SUMS = [f"x{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("classes", "request_", "remark"),
    [
        (
            *({"a": 60, "b": 5}, {"validate": SplitSize(20), "test": SplitSize(10)}),
            "'b' has 5 pictures, too few for 20 in the validation list and 10 in the test list: it gives 3 "
            "for training, 2 for validation.",
        ),
        (
            *({"b": 100, "a": 30}, {"validate": SplitSize(20), "train": 80}),
            "'a' has 30 pictures, too few for 80 in the training list: it gives 10 for training, 20 for "
            "validation.",
        ),
        (  # copies that fit no list
            *({"b": 9, "a": ["x"] * 6 + ["y"] * 3}, {"validate": SplitSize(2)}),
            "'a' has 9 pictures in groups of up to 6 that stay together, with which 2 in the validation list "
            "cannot be met exactly: it gives 9 for training.",
        ),
        (  # every image is in another class, too
            {"b": [*SUMS, *range(15)], "a": SUMS},
            {"validate": SplitSize(1), "test": SplitSize(1)},
            "'a' has 5 pictures, 5 of them bound to training because of copies in another class, and too few "
            "others for 1 in the validation list and 1 in the test list: it gives 5 for training. Remove the "
            "copies that are in the wrong class, and split again.",
        ),
        (  # conflicts are not blamed for what they do not hinder
            *({"b": ["x", *range(20)], "a": ["x", "y", "z"]}, {"validate": SplitSize(5)}),
            "'a' has 3 pictures, too few for 5 in the validation list: it gives 2 for training, 1 for "
            "validation.",
        ),
    ],
)
def test_a_class_that_cannot_give_what_was_asked_is_named_with_the_reason(classes, request_, remark):
    remarks = split_scan(fake_scan(classes), **request_).remarks
    assert f"Class {remark}" in remarks
    assert sum(each.startswith("Class ") for each in remarks) == 1


def test_all_small_classes_are_named():
    split = split_scan(fake_scan({f"c{number}": 2 for number in range(13)}), validate=SplitSize(5))
    assert len(split.remarks) == 11
    assert split.remarks[-1] == "Fewer than asked, likewise: 'c10', 'c11', 'c12'."
