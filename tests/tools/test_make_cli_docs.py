"""The pages of commands agree with the commands."""

import pytest
from support.scripts import load_script

tool = load_script("make_cli_docs")


@pytest.mark.parametrize("language", tool.PAGES)
def test_the_page_is_up_to_date(language):
    page = tool.PAGES[language].read_text("utf-8")
    assert page == tool.cli_page(language), "run: python tools/make_cli_docs.py"
