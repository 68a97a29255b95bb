"""The page of commands agrees with the commands."""

from support.scripts import load_script

tool = load_script("make_cli_docs")


def test_the_page_is_up_to_date():
    assert tool.PAGE.read_text("utf-8") == tool.cli_page(), "run: python tools/make_cli_docs.py"
