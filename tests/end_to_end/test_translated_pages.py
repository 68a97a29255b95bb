"""Translated pages have the structure of the English ones: headings, code, tables, figures and links."""

import posixpath
import re

import pytest
from support.scripts import ROOT

# English page → its translation.
PAGES = {"README.md": "README.zh.md"}
PAGES |= {f"docs/{path.name}": f"docs/zh/{path.name}" for path in sorted(ROOT.glob("docs/*.md"))}
_NOTEBOOKS = {
    f"docs/notebooks/{path.name}": f"docs/zh/notebooks/{path.name}" for path in ROOT.glob("docs/notebooks/*")
}
# A picture that has one of the same name in docs/zh is shown in Chinese.
IMAGES = {
    f"docs/{path.name}": f"docs/zh/{path.name}"
    for path in sorted(ROOT.glob("docs/zh/*"))
    if path.suffix in (".png", ".svg")
}
_ADDRESSES = {"https://www.paddlepaddle.org.cn/en": "https://www.paddlepaddle.org.cn"}
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_MARKS = (r"^#+ ", r"^\|", r"^ *(?:-|\d+\.) ", r"^!\[", r"^> ")


def _read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _prose(text):
    return _FENCED.sub("", text)


def _links(page, text):
    """Return the targets of links and images, as paths from the root, without the anchors."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    paths = [target.partition("#")[0] if "://" not in target else target for target in targets]
    folder = posixpath.dirname(page)
    return [
        path if "://" in path or not path else posixpath.normpath(posixpath.join(folder, path))
        for path in paths
    ]


def _anchors(text):
    """Return the anchors that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.*)$", _prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("english", PAGES)
def test_a_translation_has_the_same_structure(english):
    translated = PAGES[english]
    first, second = _read(english), _read(translated)
    assert _FENCED.findall(first) == _FENCED.findall(second)  # to the byte
    links = [_links(page, _prose(text)) for page, text in ((english, first), (translated, second))]
    # Each may link to the other, and a translation to the glossary.
    others = {english, translated, "docs/zh/glossary.md"}
    translations = _ADDRESSES | PAGES | _NOTEBOOKS | IMAGES
    wanted = [translations.get(link, link) for link in links[0] if link not in others]
    assert sorted(wanted) == sorted(link for link in links[1] if link not in others)
    first, second = _prose(first), _prose(second)
    for what in _MARKS:
        found = [re.findall(what, text, re.MULTILINE) for text in (first, second)]
        assert found[0] == found[1], what
    for what in (r"`[^`]+`", r"\d+(?:\.\d+)? %|\d+\.\d+"):
        assert sorted(re.findall(what, first)) == sorted(re.findall(what, second)), what


@pytest.mark.parametrize("translated", PAGES.values())
def test_each_anchor_of_a_translation_exists(translated):
    text = _prose(_read(translated))
    for path, anchor in re.findall(r"\]\(([^)#:\s]*\.md)?#([^)\s]+)\)", text):
        page = posixpath.normpath(
            posixpath.join(posixpath.dirname(translated), path or posixpath.basename(translated))
        )
        assert anchor in _anchors(_read(page)), f"{path}#{anchor}"


@pytest.mark.parametrize("translated", PAGES.values())
def test_chinese_has_chinese_punctuation_and_blanks_beside_latin_words(translated):
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", " ", _prose(_read(translated))))
    assert not re.findall(r".{,9}[\u4e00-\u9fff][,;:!?](?=[\s\u4e00-\u9fff])", text)
    assert not re.findall(r".{,9}[\u4e00-\u9fff][A-Za-z]|[A-Za-z][\u4e00-\u9fff]", text)
