"""Pages have a policy that allows their one style, and escape all text."""

import pytest
from jinja2 import UndefinedError
from support.pages import HOSTILE, check_closed

from hubtune.report.html_page import render_page

CONTENT = {
    "source": HOSTILE,
    "sizes": {},
    "largest": 0,
    "total": 0,
    "by_label": False,
    "sections": [],
    "remarks": [],
}


def test_text_is_escaped_and_the_policy_names_the_style():
    page = check_closed(render_page("scan", "en", **CONTENT))
    assert HOSTILE in page.words


def test_a_missing_value_is_a_mistake_in_the_program():
    with pytest.raises(UndefinedError):
        render_page("scan", "en", **{name: CONTENT[name] for name in CONTENT if name != "remarks"})
