"""The page's files, its languages, and that it is closed to scripts of others."""

import re
from importlib.resources import files

import pytest
from support.pages import PageElements

from hubtune.serve.page_files import PageFiles, accepted_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        *(("", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de,en;q=0.5,zh;q=0.4", "en"), ("fr", "en")),
        *(("en;q=0.1,zh;q=0.2", "zh"), ("zh;q=0", "en"), ("zh;q=x", "en"), (",;,q=;;", "en"), ("*", "en")),
    ],
)
def test_the_language_is_the_first_accepted_one_that_there_is(header, language):
    assert accepted_language(header) == language


def test_a_switch_goes_before_the_browsers_language():
    page = PageFiles(needs_token=False)
    assert page.page("zh", "en").headers["content-language"] == "zh-Hans"
    assert page.page("en", "zh").headers["content-language"] == "en"
    assert page.page("xx", "zh").headers["content-language"] == "zh-Hans"
    assert "这" in page.page("zh", "").body.decode()


def test_the_page_has_no_script_style_or_address_of_its_own_or_elsewhere():
    for language in ("en", "zh"):
        body = PageFiles(needs_token=True).page(language, "").body.decode()
        elements = PageElements(body)
        for tag, attributes in elements.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
            for name in ("src", "href"):
                assert re.match(r"/(?!/)|#", attributes.get(name) or "#"), attributes
        assert [attributes["src"] for attributes in elements.all("script")] == ["/app.js"]
        assert not elements.all("style")


def test_every_text_that_the_script_uses_is_on_the_page():
    script = (files("hubtune.serve") / "page" / "app.js").read_text("utf-8")
    [texts] = PageElements(PageFiles(needs_token=False).page("en", "").body.decode()).all("template")
    names = {re.sub(r"-(\w)", lambda found: found[1].upper(), name.removeprefix("data-")) for name in texts}
    assert set(re.findall(r"\btexts\.(\w+)", script)) <= names
    assert "innerHTML" not in script and "eval(" not in script and "://" not in script


def test_only_the_files_of_the_table_are_served():
    page = PageFiles(needs_token=False)
    assert PageFiles.paths() == ["/app.js", "/app.css", "/icon.svg"]
    with pytest.raises(KeyError):
        page.file("/../app.py")
    assert page.file("/app.js").media_type == "text/javascript"
