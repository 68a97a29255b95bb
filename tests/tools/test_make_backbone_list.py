"""The list of backbones in the docs agrees with the records."""

from support.scripts import load_script

tool = load_script("make_backbone_list")


def test_the_list_of_backbones_is_up_to_date():
    assert tool.PAGE.read_text("utf-8") == tool.backbone_page(), "run: python tools/make_backbone_list.py"
