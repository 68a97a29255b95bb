"""The catalogues have all messages of the code and the pages, translated, and are compiled."""

import gettext
import io

import pytest
from support.scripts import load_script

pytest.importorskip("babel", reason='Babel is not installed: pip install -e ".[test]"')
tool = load_script("make_catalogue")


def _messages(catalogue):
    return {message.id for message in catalogue if message.id}


@pytest.mark.parametrize("code", [*tool.catalogue_files()])
def test_a_catalogue_has_the_messages_of_the_sources_all_translated(code):
    catalogue = tool.read_catalogue(code)
    assert _messages(catalogue) == _messages(tool.find_messages()), "run: python tools/make_catalogue.py"
    assert tool.untranslated(catalogue) == []


@pytest.mark.parametrize("code", [*tool.catalogue_files()])
def test_the_compiled_catalogue_is_that_of_its_source(code):
    def entries(content):
        # Beside the header, which names the version of Babel.
        catalogue = gettext.GNUTranslations(io.BytesIO(content))._catalog
        return {message: text for message, text in catalogue.items() if message}

    compiled = tool.catalogue_files()[code].with_suffix(".mo").read_bytes()
    assert entries(compiled) == entries(tool.compiled(tool.read_catalogue(code)))


def test_messages_without_a_translation_are_named():
    catalogue = tool.Catalog(locale="zh")
    catalogue.add("a", "甲")
    catalogue.add("b")
    catalogue.add(("c", "d"), ("",))
    assert tool.untranslated(catalogue) == ["b", "('c', 'd')"]
