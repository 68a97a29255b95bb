"""The page of commands is the one that the commands give."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("make_cli_docs", ROOT / "tools" / "make_cli_docs.py")
make_cli_docs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_cli_docs)


def test_the_page_is_up_to_date():
    page = make_cli_docs.PAGE.read_text(encoding="utf-8")
    assert page == make_cli_docs.cli_page(), "run: python tools/make_cli_docs.py"
