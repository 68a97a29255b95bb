"""The report of a scan."""

from pathlib import Path

import pytest
from support.images import draw_tree

from hubtune.data.audit.scan_report import make_scan_report
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import Listing
from hubtune.data.sources.folder import walk_classes
from hubtune.errors import UsageError


def test_every_file_has_its_facts_or_the_reason_why_it_is_left_out(tmp_path):
    pics = draw_tree(tmp_path / "pics", {"cat": 2, "dog": 2}, size=8)
    (pics / "dog" / "bad.jpg").touch()
    steps = []
    report = make_scan_report("pics", walk_classes(pics), progress=lambda *step: steps.append(step))
    *images, bad = report.files()
    assert [image["name"] for image in images] == ["cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"]
    assert {"format": "PNG", "mode": "RGB", "label": "cat"}.items() <= images[0].items()
    assert "fingerprint" not in images[0]
    assert bad == {"path": str(pics / "dog" / "bad.jpg"), "unreadable": "empty file (0 bytes)"}
    assert report.as_dict() == {**report.summary(), "files": [*images, bad]}
    assert steps == [*(("reading pictures", done, 5) for done in range(1, 6)), ("looking for copies", 0, 0)]
    nothing = Listing(Path("pics"), ["cat", "dog"], remarks=["a remark"])
    report = make_scan_report("pics", nothing, check_labels=lambda *_: 1 / 0)
    assert (report.classes, report.remarks) == ({"cat": [], "dog": []}, ["a remark"])


def test_a_module_does_not_judge_multi_label_images_by_their_sets():
    listing = Listing(Path("pics"), label_sets=LabelSets.of(["red"], [()]))
    with pytest.raises(UsageError, match=r"t.csv is multi-label.*scan without --module"):
        make_scan_report("t.csv", listing, check_labels=lambda images, groups: None)
