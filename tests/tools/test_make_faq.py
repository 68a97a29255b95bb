"""The page of frequent failures agrees with what the doctor prints."""

from support.scripts import load_script

from hubtune.doctor.faq import KNOWN_FAILURES, faq_text

tool = load_script("make_faq")


def test_the_page_is_up_to_date_and_the_doctor_prints_the_same():
    assert tool.PAGE.read_text("utf-8") == tool.faq_page(), "run: python tools/make_faq.py"
    text = faq_text()
    for entry in KNOWN_FAILURES:
        assert all(part in text for part in (entry.seen, entry.cause, entry.answer, *entry.cures))
