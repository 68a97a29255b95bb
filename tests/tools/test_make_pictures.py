"""The pictures of README and docs: what a terminal shows, as an image that is the same everywhere."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image
from support.scripts import ROOT, load_script

tool = load_script("make_pictures")

LANGUAGES = [*tool.FOLDERS]
SVG = "{http://www.w3.org/2000/svg}"


def texts_of(line):
    return "".join(run.text for run in line)


def drawn(session, language="en"):
    """Return the elements of a session's texts: content, column, and columns taken."""
    root = ElementTree.fromstring(tool.session_svg(session, language))
    return [
        (
            text.text,
            float(text.get("x")) / tool.COLUMN_WIDTH,
            float(text.get("textLength")) / tool.COLUMN_WIDTH,
        )
        for text in root.iter(f"{SVG}text")
    ]


def test_a_terminal_shows_what_was_not_erased():
    output = (
        "first\r\n\x1b[?25l\r\x1b[2Kfeatures \x1b[38;5;70m━━━\x1b[0m 1/2\r\x1b[2Kfeatures 2/2\r\n"
        "\x1b[?25h\r\x1b[1A\x1b[2K\x1b[2mengine: openvino\x1b[0m\r\nlong line\rshort\r\n\r\nlast  \r\n\r\n"
    )
    lines = tool.screen_lines(output)
    assert [*map(texts_of, lines)] == ["first", "engine: openvino", "shortline", "", "last"]
    assert lines[1] == (tool.Run("engine: openvino", "2"),)


def test_an_excerpt_marks_each_gap_and_has_no_times():
    lines = [
        (tool.Run(text),) for text in ("a", "b", "c", "about 3 minutes", "约 3 分钟", "[22:54:08] d", "e")
    ]
    assert [*map(texts_of, tool.excerpt(lines, None))] == ["a", "b", "c", "…", "e"]
    assert [*map(texts_of, tool.excerpt(lines, (0, 3, -1)))] == ["a", "…", "e"]
    assert [*map(texts_of, tool.excerpt(lines, (1,)))] == ["…", "b", "…"]


@pytest.mark.parametrize("text", ["• " + "word " * 40, "• " + "汉字" * 60])
def test_a_long_line_is_wrapped_and_complete(text):
    lines = [*map(texts_of, tool.excerpt([(tool.Run(text.rstrip()),)], None))]
    assert len(lines) > 1 and all(tool.columns(line) <= tool.COLUMNS for line in lines)
    assert all(line.startswith("  ") for line in lines[1:])
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)


def test_text_is_escaped_and_keeps_its_columns():
    hostile = '<script>alert("&amp;")</script>'
    table = "验证集：    84.2 %（120 张中 101 张）"
    texts = drawn([("hubtune a", [(tool.Run(hostile),), (tool.Run(table, "2"),), ()])])
    assert [text for text, _, _ in texts[:3]] == ["$", "hubtune a", hostile]
    # Wide characters take two columns, and what follows stands after them.
    wanted = [
        ("验证集：", 0, 8),
        ("84.2 %", 12, 6),
        ("（", 18, 2),
        ("120", 20, 3),
        ("张中", 24, 4),
        ("101", 29, 3),
        ("张）", 33, 4),
    ]
    for (text, column, width), row in zip(wanted, texts[3:], strict=True):
        assert row == (text, pytest.approx(column, abs=0.01), pytest.approx(width, abs=0.01))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_image_of_the_session_is_closed_and_names_no_machine(language):
    content = (tool.FOLDERS[language] / "session.svg").read_text("utf-8")
    root = ElementTree.fromstring(content)
    assert root.get("role") == "img" and root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text
    # In <img>, nothing else would be loaded or run.
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "desc", "style", "rect", "circle", "g", "text")
    }
    assert not re.search(r"url\(|@import|@font-face|href|\bon\w+=", content)
    assert len(content.encode()) < 60_000
    shown = " ".join(text.text for text in root.iter(f"{SVG}text"))
    assert all(step.command in shown for step in tool.STEPS)
    assert not re.search(
        r"(?:^|[\s'\"])/\w|[A-Z]:\\|\b(?:tmp|home|Users|root)\b|20\d\d-\d\d|\d\d:\d\d", shown
    )
    # What moves, moves only for people who have not asked for less motion, and all of it ends visible.
    style = root.find(f"{SVG}style").text
    before, _, moving = style.partition("@media (prefers-reduced-motion: no-preference)")
    assert "animation:" in moving and "animation:" not in before and "infinite" not in style
    assert content.count("animation:") == moving.count("animation:") and "animation-name" not in content
    right = max(float(text.get("x")) + float(text.get("textLength")) for text in root.iter(f"{SVG}text"))
    assert right + 2 * tool.SIDE <= float(root.get("width"))


def test_the_pictures_that_pages_show_exist_and_are_small():
    shown = set()
    for page in (ROOT / "README.md", ROOT / "README.zh.md", *ROOT.glob("docs/**/*.md")):
        for alt, target in re.findall(r"!\[(.*?)\]\((?!https?:)([^)]+)\)", page.read_text("utf-8")):
            assert alt, f"{page.name}: {target}"
            shown.add((page.parent / target).resolve())
    made = {folder / name for folder in tool.FOLDERS.values() for name in tool.IMAGES}
    assert shown == made
    screenshots = [path for path in made if path.suffix == ".png"]
    for path in screenshots:
        with Image.open(path) as image:
            assert image.format == "PNG" and image.width == 1600
    assert sum(path.stat().st_size for path in screenshots) < 700_000
    assert Path(tool.FOLDERS["en"]) == ROOT / "docs"
