"""Translated pages have the structure of the English ones: headings, code, tables, figures and links."""

import re

import pytest
from support.scripts import ROOT

# A page and its translation.
PAGES = [("README.md", "README.zh.md")]


def _read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _code(text):
    return re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)


def _prose(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("english", "translated"), PAGES)
def test_a_translation_has_the_same_structure(english, translated):
    first, second = _read(english), _read(translated)
    assert _code(first) == _code(second)  # to the byte
    first, second = _prose(first), _prose(second)
    for what in (r"^#+ ", r"^\|", r"^- ", r"^!\["):
        found = [re.findall(what, text, re.MULTILINE) for text in (first, second)]
        assert found[0] == found[1], what
    targets = [sorted(re.findall(r"\]\(([^)]+)\)", text)) for text in (first, second)]
    others = {english, translated, "https://www.paddlepaddle.org.cn/en", "https://www.paddlepaddle.org.cn"}
    assert [name for name in targets[0] if name not in others] == [
        name for name in targets[1] if name not in others
    ]
    words = [sorted(re.findall(r"`[^`]+`", text)) for text in (first, second)]
    assert words[0] == words[1]
    figures = [sorted(re.findall(r"\d+(?:\.\d+)? %|\d+\.\d+", text)) for text in (first, second)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize("translated", [translated for _, translated in PAGES])
def test_chinese_has_chinese_punctuation_and_blanks_beside_latin_words(translated):
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", " ", _prose(_read(translated))))
    assert not re.findall(r"[\u4e00-\u9fff][,;:!?](?=[\s\u4e00-\u9fff])", text)
    assert not re.findall(r"[\u4e00-\u9fff][A-Za-z]|[A-Za-z][\u4e00-\u9fff]", text)
