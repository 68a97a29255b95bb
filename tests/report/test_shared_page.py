"""What the pages of runs have in common: odd and unreadable pictures, and what was used."""

import pytest
from support.label_reports import full_label_report
from support.reports import draw_images, full_report

from hubtune.report.phrases import Phrases
from hubtune.report.shared_page import SharedPage


class _Page(SharedPage):
    _suspect_paths = ()
    _places_by_interest = ()


@pytest.mark.parametrize("make", [full_report, full_label_report])
def test_odd_and_unreadable_pictures_are_those_of_the_answers(make, tmp_path):
    images = draw_images(tmp_path / "pics", 12)
    report = make(images)
    page = _Page(report, Phrases("en"), images=True)
    # Similarities go from 0.3 to 0.9, and the threshold is 0.5.
    assert [(figure.name, similarity) for figure, similarity, _ in page.odd] == [
        ("000.jpg", "0.30"),
        ("001.jpg", "0.35"),
        ("002.jpg", "0.41"),
        ("003.jpg", "0.46"),
    ]
    assert all(figure.source for figure, _, _ in page.odd)
    assert [name for name, _ in page.unreadable] == ["011.jpg"]
    assert dict(page.used)["command"].startswith("hubtune finetune")
    assert page.audit_command == "hubtune audit runs/first"
    passed_on = _Page(report, Phrases("en"), images=False)
    assert (passed_on.odd, passed_on.unreadable, passed_on.skipped, passed_on.remarks) == ([], [], [], [])
    assert {"command", "module"}.isdisjoint(dict(passed_on.used))
    assert passed_on.audit_command == "hubtune audit RUN"


def test_what_each_page_shows_is_its_own():
    report = full_report([f"{number}.jpg" for number in range(4)])
    with pytest.raises(NotImplementedError):
        SharedPage(report, Phrases("en"), images=True)
    page = _Page(report, Phrases("en"), images=False)
    assert page.training_title("accuracy") == "Validation accuracy"
