"""Fonts are chosen by their characters."""

import pytest
from support.fonts import install_only_font, limit_fonts

from hubtune.report import fonts
from hubtune.report.fonts import find_font


@pytest.fixture(autouse=True)
def _forget_fonts():
    yield
    fonts._system_font.cache_clear()
    fonts._system_fonts.cache_clear()


def test_a_system_font_is_used_for_characters_that_our_own_lacks(monkeypatch, tmp_path):
    install_only_font(monkeypatch, tmp_path / "NotoSansTest-Regular.ttf", "虞书欣")
    assert find_font("class 2", 16).getname()[0] == "DejaVu Sans"
    assert find_font("虞书欣", 16).getname()[0] == "Test"
    assert find_font("虞书欣 2", 16) is None


@pytest.mark.parametrize("name", ["Last Resort.ttf", "broken.ttf"])
def test_fonts_that_are_damaged_or_draw_every_character_as_a_box_are_not_used(monkeypatch, tmp_path, name):
    if name == "broken.ttf":
        (tmp_path / name).write_bytes(b"not a font")
        limit_fonts(monkeypatch, tmp_path / name)
    else:
        install_only_font(monkeypatch, tmp_path / name, "虞书欣")
    assert find_font("虞书欣", 16) is None
