"""Issues: which kinds there are, in which order, and what they say."""

from pathlib import Path

import pytest
from support.scans import fake_label_scan

from hubtune.data.audit.issues import LabelCheck, LabelIssue, find_issues
from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import Excluded, ImageEntry
from hubtune.data.scan.inspect import ImageInfo
from hubtune.data.scan.scanner import Scan

GOOD = {"width": 320, "height": 240, "brightness": 0.5, "contrast": 0.2, "darkest": 0.1, "brightest": 0.8}


def entry(name, label=0, **measured):
    values = {**GOOD, "sharpness": 1.5, "bits": 0, **measured}
    info = ImageInfo("", "JPEG", "RGB", orientation=1, frames=1, fingerprint=b"", **values)
    return ImageEntry(Path("pics", name), label, name, info=info)


def scan_of(sizes=None, **lists):
    classes = {
        name: [entry(f"{name}/{number}", label) for number in range(size)]
        for label, (name, size) in enumerate((sizes or {"cat": 10, "dog": 10}).items())
    }
    return Scan(Path("pics"), classes, **lists)


@pytest.mark.parametrize(
    ("kind", "measured"),
    [
        ("blank", {"contrast": 0.01, "sharpness": 0.0}),
        ("dark", {"brightest": 0.14, "brightness": 0.05, "contrast": 0.01, "sharpness": 0.3}),
        ("bright", {"darkest": 0.91, "sharpness": 0.3}),
        ("tiny", {"height": 31, "sharpness": 0.3}),
        ("blurred", {"sharpness": 0.49}),
        (None, {"brightest": 0.15, "darkest": 0.9, "height": 32, "sharpness": 0.5}),
    ],
)
def test_a_poor_image_has_one_issue_and_a_good_one_none(kind, measured):
    scan = scan_of()
    scan.classes["cat"].append(entry("cat/poor", **measured))
    issues = [(issue.kind, [file.name for file in issue.files]) for issue in find_issues(scan, [])]
    assert issues == ([] if kind is None else [(kind, ["cat/poor"])])


def test_issues_are_ordered_by_severity():
    scan = scan_of(
        {"cat": 100, "dog": 9},
        left_out=[Excluded(Path("pics/cut.png"), "damaged", unreadable=True)],
        non_images=[Path("pics/notes.txt")],
        renamed=[Path("pics/cat/5")],
        animated=[Path("pics/cat/6")],
    )
    scan.classes["cat"][4] = entry("cat/4", sharpness=0.1)
    groups = [((0, 100), "equal"), ((1, 2), "near"), ((3, 5, 6), "equal")]
    labels = LabelCheck([LabelIssue(104, 0.001, 0, 0.97)], 0.774)
    issues = find_issues(scan, [DuplicateGroup(*group) for group in groups], labels)
    assert [(issue.kind, issue.title, [file.name for file in issue.files]) for issue in issues] == [
        ("unreadable", "1 file cannot be used", ["cut.png"]),
        ("contradictory", "1 picture lies in more than one class", ["cat/0", "dog/0"]),
        ("mislabelled", "1 label may be wrong", ["dog/4"]),
        ("small_classes", "1 class has fewer than 10 pictures: dog (9)", []),
        ("blurred", "1 picture is blurred", ["cat/4"]),
        ("near_copies", "2 pictures are changed copies of one another (1 group)", ["cat/1", "cat/2"]),
        ("equal_copies", "2 pictures are exact copies of others (1 group)", ["cat/3", "cat/5", "cat/6"]),
        ("unbalanced", "Class cat has 11 times the pictures of class dog (100 and 9)", []),
        ("renamed", "1 file has another format than its name says", ["cat/5"]),
        ("animated", "1 file has several frames", ["cat/6"]),
        ("strays", "1 file is not a picture", ["notes.txt"]),
    ]
    suspect = [issue.kind for issue in issues if issue.suspect]
    assert suspect == ["unreadable", "contradictory", "mislabelled", "blurred"]
    assert "It agrees with 77 % of all labels." in issues[2].advice
    notes = {issue.kind: [file.note for file in issue.files] for issue in issues}
    assert notes["unreadable"] == ["damaged"] and notes["renamed"] == ["JPEG"]
    assert notes["mislabelled"] == ["probably cat (97 %; own under 1 %)"]


def test_16_bit_images_are_judged_by_the_range_that_all_of_them_use():
    dim = {"brightness": 0.2, "contrast": 0.1, "darkest": 0.05, "brightest": 0.3}  # of their own range
    deep = [entry("cat/deep", bits=12, **GOOD | dim), entry("cat/dimmer", bits=10, **GOOD | dim)]
    usual = [
        entry(f"{name}/{number}", label) for label, name in enumerate(("cat", "dog")) for number in range(10)
    ]
    scan = Scan(Path("pics"), {"cat": [*usual[:10], *deep], "dog": usual[10:]})
    assert [(issue.kind, [file.name for file in issue.files]) for issue in find_issues(scan, [])] == [
        ("dark", ["cat/dimmer"])
    ]


def test_small_labels_of_multi_label_images_are_named_and_sets_are_not():
    sets = LabelSets.of(["red", "round"], [(), (0,), (0, 1)])
    classes = {name: [entry(f"{name}/{n}") for n in range(9)] for name in sets.names}
    titles = [issue.title for issue in find_issues(Scan(Path("pics"), classes, label_sets=sets), [], None)]
    assert titles == ["1 label has fewer than 10 pictures: round (9)"]


def test_copies_with_different_labels_are_contradictory():
    copies = fake_label_scan(["red", "round"], {"a.png": ["red"], "b.png": ["red", "round"]})
    found = find_issues(copies, [DuplicateGroup((0, 1), "equal")])
    [issue] = [each for each in found if each.kind == "contradictory"]
    assert issue.title == "1 picture has different labels"
