"""The page of frequent failures agrees with what the doctor prints."""

import pytest
from support.scripts import load_script

from hubtune.doctor.faq import KNOWN_FAILURES, faq_text

tool = load_script("make_faq")


@pytest.mark.parametrize("language", tool.PAGES)
def test_the_page_is_up_to_date(language):
    page = tool.PAGES[language].read_text("utf-8")
    assert page == tool.faq_page(language), "run: python tools/make_faq.py"


def test_the_doctor_prints_the_same():
    text = faq_text()
    for entry in KNOWN_FAILURES:
        assert all(part in text for part in (entry.seen, entry.cause, entry.answer, *entry.cures))
