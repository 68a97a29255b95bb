"""The language of messages, and the catalogue's translations."""

import re

import pytest

from hubtune.messages.catalogue import DOMAIN, ENGLISH, LANGUAGES, LOCALE, language, translator

PLACEHOLDER = r"%(?:\(\w+\))?[sd]"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"HUBTUNE_LANG": "zh"}, "zh"),
        ({"HUBTUNE_LANG": "zh_CN.UTF-8"}, "zh"),
        ({"HUBTUNE_LANG": "zh-Hans"}, "zh"),
        ({"HUBTUNE_LANG": "ZH"}, "zh"),
        ({"HUBTUNE_LANG": "tlh", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"HUBTUNE_LANG": "", "LC_ALL": "zh_CN.UTF-8", "LANG": "en_GB.UTF-8"}, "zh"),
        ({"LC_MESSAGES": "de_DE", "LANG": "zh_CN"}, "en"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
    ],
)
def test_the_first_variable_that_is_set_decides_and_an_unknown_language_is_english(
    variables, expected, monkeypatch
):
    for name in ("HUBTUNE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_english_is_the_message_itself_and_other_languages_have_a_catalogue():
    assert translator(ENGLISH).gettext("Data") == "Data"
    assert translator(ENGLISH).ngettext("%s picture", "%s pictures", 2) == "%s pictures"
    assert translator("zh").gettext("Data") == "数据"
    assert translator("zh").gettext("a message that nobody wrote") == "a message that nobody wrote"
    assert {folder.name for folder in LOCALE.iterdir()} == {*LANGUAGES} - {ENGLISH}


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != ENGLISH])
def test_translations_have_the_placeholders_of_their_messages(code):
    for message, translation in translator(code)._catalog.items():
        if message:  # the empty one is the header
            message = message[0] if isinstance(message, tuple) else message
            found = [sorted(re.findall(PLACEHOLDER, text)) for text in (message, translation)]
            assert found[0] == found[1], message


def test_the_source_of_a_catalogue_is_beside_it():
    for code in {*LANGUAGES} - {ENGLISH}:
        assert (LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.po").is_file()
