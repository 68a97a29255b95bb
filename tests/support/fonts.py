"""A machine with a single font."""

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from hubtune.report import fonts


def install_only_font(monkeypatch, file, characters):
    """Let the machine have only this font, with these characters; each is a black square."""
    glyphs = [".notdef", *(f"g{number}" for number in range(len(characters)))]
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap(dict(zip(map(ord, characters), glyphs[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupOS2()
    builder.setupPost()
    builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    builder.save(file)
    limit_fonts(monkeypatch, file)


def limit_fonts(monkeypatch, *files):
    fonts._system_font.cache_clear()
    fonts._system_fonts.cache_clear()
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [*map(str, files)])
