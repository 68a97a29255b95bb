"""The lists of backbones in the docs agree with the records."""

import pytest
from support.scripts import load_script

tool = load_script("make_backbone_list")


@pytest.mark.parametrize("language", tool.PAGES)
def test_the_list_of_backbones_is_up_to_date(language):
    page = tool.PAGES[language].read_text("utf-8")
    assert page == tool.backbone_page(language), "run: python tools/make_backbone_list.py"
