"""The page of a run: safe to open and to pass on, small, and complete in both languages."""

import gettext
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.pages import HOSTILE_NAMES, check_closed
from support.reports import LABELS, draw_images, full_report, report_of

from hubtune.report.run_page import render_run_report
from hubtune.report.run_report import Findings


@pytest.fixture
def images(tmp_path):
    return draw_images(tmp_path / "pics", 12, metadata=b"secret place")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_names_stay_text(images, language):
    for start in (0, 3):
        names = [*HOSTILE_NAMES, *HOSTILE_NAMES][start : start + 3]
        page = render_run_report(
            full_report(images, names, HOSTILE_NAMES[start]), language=language, images=True
        )
        elements = check_closed(page)
        assert "\u202e" not in page
        shown = elements.text
        for name in names:
            assert (name[:20].encode("unicode_escape").decode() if "\u202e" in name else name[:20]) in shown


def test_ids_are_unique_links_lead_somewhere_and_headings_are_in_order(images):
    elements = check_closed(render_run_report(full_report(images), language="en", images=True))
    ids = [attributes["id"] for _, attributes in elements.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in elements.all("a"):
        assert not link["href"].startswith("#") or link["href"][1:] in ids
    levels = [int(tag[1]) for tag, _ in elements.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image.get("alt") for image in elements.all("img"))
    assert {"header", "main", "nav"} <= {tag for tag, _ in elements.elements}
    tables = len(elements.all("table"))
    assert tables == len(elements.all("caption")) > 4
    assert all("scope" in cell for cell in elements.all("th"))


def test_every_number_of_the_matrix_leads_to_its_pictures(images):
    report = full_report(images)
    elements = check_closed(render_run_report(report, language="en", images=True))
    cells = {attributes["id"] for _, attributes in elements.elements if attributes.get("class") == "cell"}
    rows, columns = np.nonzero(report.evaluation.confusion)
    assert cells == {f"cell-{row}-{column}" for row, column in zip(rows, columns, strict=True)}
    assert cells <= {link["href"][1:] for link in elements.all("a")}


def test_a_page_without_pictures_names_no_file_and_no_path(images, tmp_path):
    report = replace(full_report(images, name="private"), name="first", findings=Findings())
    page = render_run_report(report, language="en", images=False)
    elements = check_closed(page)
    assert not elements.all("img")
    assert not any(link["href"].startswith("file:") for link in elements.all("a"))
    assert str(tmp_path) not in page and ".jpg" not in page
    assert "hubtune finetune" not in page
    assert "private" not in page
    assert "hubtune predict PICTURES --model RUN" in elements.text
    assert "0123abcd" in elements.text


def test_labels_of_a_sample_are_not_called_all(images):
    report = full_report(images)
    findings = replace(report.findings, label_issues=[], labels_sampled=1000)
    page = render_run_report(replace(report, findings=findings), language="en", images=False)
    text = check_closed(page).text
    assert "1,000 of the training pictures were examined" in text
    assert "hubtune audit RUN" in text
    assert "None was found among these." in text


def test_pictures_that_are_gone_are_reported(images):
    report = full_report([Path("/gone", path.name) for path in images])
    report = replace(report, findings=replace(report.findings, heat_maps={}))
    elements = check_closed(render_run_report(report, language="en", images=True))
    assert not elements.all("img")
    assert "The pictures are not where the lists name them" in elements.text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_with_nothing_but_a_name_is_a_page(language):
    report = report_of([], [])
    for empty in (report, replace(report, evaluation=None)):
        elements = check_closed(render_run_report(empty, language=language, images=True))
        assert not elements.all("table")
        assert len(elements.all("h1")) == 1


@pytest.mark.parametrize(
    ("truth", "predicted"), [([0], [0]), ([0, 1], [1, 0]), ([0, 0], [-1, -1]), ([1], [2])]
)
def test_tiny_lists_have_pages(truth, predicted):
    for labels in (LABELS, tuple("abcdefgh")):
        check_closed(render_run_report(report_of(truth, predicted, labels), language="en", images=True))
    check_closed(render_run_report(report_of([0], [0], ("only",)), language="en", images=True))


def test_the_chinese_page_has_a_translation_of_every_message(images, monkeypatch):
    missing = []

    class Recorder(gettext.NullTranslations):
        def gettext(self, message):
            missing.append(message)
            return message

        def ngettext(self, one, many, number):
            missing.append(one)
            return one

    find = gettext.translation

    def translation(*arguments, **options):
        found = find(*arguments, **options)
        found._fallback = Recorder()
        return found

    monkeypatch.setattr(gettext, "translation", translation)
    page = render_run_report(full_report(images), language="zh", images=True)
    render_run_report(report_of([0], [-1]), language="zh", images=False)
    assert missing == []
    assert '<html lang="zh-Hans">' in page
    assert "张测试图片中有" in page


def test_a_page_of_many_classes_and_pictures_stays_small():
    random = np.random.default_rng(0)
    classes, count = 1000, 20_000
    truth = random.integers(0, classes, count)
    predicted = np.where(random.random(count) < 0.7, truth, random.integers(0, classes, count))
    labels = [f"class {number}" for number in range(classes)]
    counts = {label: {"train": 100, "test": 20} for label in labels}
    page = render_run_report(report_of(truth, predicted, labels, counts=counts), language="en", images=True)
    assert len(page.encode()) < 1_500_000
    elements = check_closed(page)
    assert "Map of the mistakes" in page
    assert "matrix" not in {attributes.get("class") for attributes in elements.all("table")}
    assert len(elements.all("details")) == 3
