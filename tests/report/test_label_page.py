"""The page of a multi-label run: safe to open and to pass on, small, and complete in both languages."""

import gettext
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support.label_reports import drawn_label_report, full_label_report, label_report_of
from support.pages import HOSTILE_NAMES, check_closed
from support.reports import draw_images

from hubtune.report.label_page import LabelPage
from hubtune.report.phrases import Phrases
from hubtune.report.run_page import render_run_report
from hubtune.report.run_report import Findings


@pytest.fixture
def images(tmp_path):
    return draw_images(tmp_path / "pics", 12)


def page_of(report, language="en", *, images=True):
    return check_closed(render_run_report(report, language=language, images=images))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_names_stay_text(images, language):
    for start in (0, 3):
        names = [*HOSTILE_NAMES, *HOSTILE_NAMES][start : start + 3]
        page = render_run_report(
            full_label_report(images, names, HOSTILE_NAMES[start]), language=language, images=True
        )
        elements = check_closed(page)
        assert "\u202e" not in page
        for name in names:
            shown = name[:20].encode("unicode_escape").decode() if "\u202e" in name else name[:20]
            assert shown in elements.text


def test_ids_are_unique_links_lead_somewhere_and_headings_are_in_order(images):
    elements = page_of(full_label_report(images))
    ids = [attributes["id"] for _, attributes in elements.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in elements.all("a"):
        assert not link["href"].startswith("#") or link["href"][1:] in ids
    levels = [int(tag[1]) for tag, _ in elements.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image.get("alt") for image in elements.all("img"))
    tables = len(elements.all("table"))
    assert tables == len(elements.all("caption")) == 5
    assert all("scope" in cell for cell in elements.all("th"))
    assert not {"confusion", "cell-0-0"} & {*ids}


def test_the_page_has_labels_their_mistakes_and_the_lists(images):
    text = page_of(full_label_report(images)).text
    for words in (
        "“round” missed: 6 of 6",
        "missed: round 20.0 % wrongly given: red 90.0 % true: round, big looked for: red",
        "wrong: red 1.0 %",
        "missing: first 98.0 %",
        "there is no confusion matrix, and no learning curve is measured",
        "without a label 3 1 0",
        "all pictures 9 3 5",
        "Validation mAP",
        "Validation: all labels right",
    ):
        assert words in text.replace("\u00a0", " "), words


def test_every_wrong_decision_is_behind_the_number_of_its_label(images):
    report = full_label_report(images)
    page = LabelPage(report, Phrases("en"), images=True)
    for row in page.labels:
        assert row.missed.count == len(row.missed.decisions) == row.entry.count - row.entry.correct
        assert row.wrongly_given.count == len(row.wrongly_given.decisions)
    counts = [cell.count for cell in page.cells]
    assert counts == sorted(counts, reverse=True) and sum(counts) == 8
    assert [cell.count for _, cell, _ in page.first_pairs] == counts[:3]
    without = LabelPage(report, Phrases("en"), images=False)
    assert all(not row.missed.anchor and not row.missed.decisions for row in without.labels)


def test_a_page_without_pictures_names_no_file_and_no_path(images, tmp_path):
    report = replace(full_label_report(images, name="private"), name="first", findings=Findings())
    page = render_run_report(report, language="en", images=False)
    elements = check_closed(page)
    assert not elements.all("img")
    assert str(tmp_path) not in page and ".jpg" not in page and "private" not in page
    assert "hubtune predict PICTURES --model RUN" in elements.text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_odd_lists_have_pages(language):
    shapes = [(1, 1), (2, 3), (30, 2)]
    for count, number in shapes:
        labels = [f"label {place}" for place in range(number)]
        for value in (0.0, 0.5, 1.0, np.nan):
            for truth in (np.zeros((count, number)), np.ones((count, number))):
                report = label_report_of(np.full((count, number), value), truth, labels)
                page_of(report, language)
    gone = label_report_of([[0.5]], [[True]], ["only"], unreadable=(0,))
    for empty in (gone, replace(gone, evaluation=None)):
        assert not page_of(empty, language).all("table")


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
    page = render_run_report(full_label_report(images), language="zh", images=True)
    assert missing == []
    assert "平均精度均值（mAP）" in page


def test_a_page_of_many_labels_and_pictures_stays_small():
    labels = [f"label {number}" for number in range(300)]
    report = drawn_label_report(3_000, labels, counts={label: {"train": 100} for label in labels})
    page = render_run_report(report, language="en", images=True)
    assert len(page.encode()) < 1_500_000
    elements = check_closed(page)
    assert "The other 270 labels" in elements.text
    assert page.count('class="mark"') == 30
