"""HTML for notebooks: tables, pictures and bars that make no request and run no code.

Styles are in the elements themselves, as notebooks remove style sheets from outputs that they do not trust.
Colours are translucent, so that they fit light and dark pages.
"""

import base64
import math
from collections.abc import Callable, Collection, Mapping, Sequence

from markupsafe import Markup, escape

from hubtune.messages.catalogue import language
from hubtune.messages.translation import translate, translate_word
from hubtune.text import escaped, format_share

SIDE = 96
"""Long side of a picture, pixels."""

_GREY = "rgba(128,128,128,.4)"
_PALE = "rgba(128,128,128,.14)"
_BLUE = "rgba(64,132,214,.7)"
_ORANGE = "rgba(230,140,20,.9)"
_PALE_ORANGE = "rgba(230,140,20,.14)"
_FONT = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.4"
_CELL = "padding:2px 10px 2px 0;border:0;background:none;vertical-align:middle;white-space:normal"
_SIDES = {"<": "left", ">": "right"}


def show_safely(render: Callable[[], Markup]) -> str | None:
    """Return the HTML of an object, or ``None``, for which a notebook shows the object's text."""
    try:
        return str(render())
    except Exception:  # noqa: BLE001  # a traceback in place of a result would look like the work's failure
        return None


def text(content: object) -> Markup:
    """Return a name of a user's, or a number, escaped for HTML; control characters are shown as escapes."""
    return escape(escaped(str(content)))


def message(content: str) -> Markup:
    """Return a text of hubtune's, translated and escaped as :func:`text`."""
    return escape(translate(escaped(content)))


def word(content: str) -> Markup:
    """Return a word of hubtune's that stands alone, translated and escaped."""
    return escape(translate_word(escaped(content)))


def document(*parts: Markup) -> Markup:
    """Join parts into the output of a cell."""
    # Chinese and Japanese share characters whose shapes differ.
    code = {"zh": "zh-Hans"}.get(language(), language())
    return Markup('<div lang="{}" style="{}">{}</div>').format(code, _FONT, Markup("").join(parts))


def line(content: Markup, *, strong: bool = False) -> Markup:
    """Return a paragraph of one line."""
    weight = "600" if strong else "400"
    return Markup('<div style="margin:4px 0;font-weight:{}">{}</div>').format(weight, content)


def notice(content: Markup, *, warning: bool = False) -> Markup:
    """Return a message, or a warning, in a box."""
    edge, back = (_ORANGE, _PALE_ORANGE) if warning else (_GREY, _PALE)
    style = f"margin:4px 0;padding:3px 10px;border-left:3px solid {edge};background:{back};max-width:60em"
    role = ' role="note"' if warning else ""
    return Markup('<div style="{}"{}>{}</div>').format(style, Markup(role), content)


def table(
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    sides: str = "<",
    strong: Collection[int] = (),
    total: bool = False,
) -> Markup:
    """Return a table; headings are translated, and cells that are not ``Markup`` escaped by :func:`text`.

    ``sides`` aligns each column, ``<`` or ``>``; further columns, mostly numbers, are right-aligned. Rows
    whose numbers are in ``strong`` are bold; so is the last one with ``total``, below a line.
    """
    sides = sides.ljust(len(heading), ">")
    head, body = Markup(""), []
    if any(heading):
        cells = zip(map(word, heading), sides, strict=True)
        line_below = f"font-weight:600;border-bottom:1px solid {_GREY}"
        names = Markup("").join(_cell("th", cell, side, line_below) for cell, side in cells)
        head = Markup("<thead><tr>{}</tr></thead>").format(names)
    for number, row in enumerate(rows):
        is_total = total and number == len(rows) - 1
        style = "font-weight:600" if number in strong or is_total else "font-weight:400"
        style += f";border-top:1px solid {_GREY}" * is_total
        cells = zip((cell if isinstance(cell, Markup) else text(cell) for cell in row), sides, strict=True)
        content = Markup("").join(_cell("td", cell, side, style) for cell, side in cells)
        body.append(Markup('<tr style="background:none">{}</tr>').format(content))
    style = "border-collapse:collapse;border:0;margin:4px 0;table-layout:auto;width:auto"
    return Markup('<table style="{}">{}<tbody>{}</tbody></table>').format(style, head, Markup("").join(body))


def facts(values: Mapping[str, str]) -> Markup:
    """Return words, which are translated, with their values; empty values are left out."""
    return table(("", ""), [(word(name), value) for name, value in values.items() if value], sides="<<")


def _cell(kind: str, content: Markup, side: str, style: str) -> Markup:
    style = f"{_CELL};text-align:{_SIDES[side]};{style}"
    return Markup('<{0} style="{1}">{2}</{0}>').format(Markup(kind), style, content)


def image_tag(content: bytes | None, name: str, *, side: int = SIDE) -> Markup:
    """Return a picture, a WebP file, in a square with sides in pixels; an empty frame if it is ``None``."""
    style = f"width:{side}px;height:{side}px;margin:1px 2px 1px 0;box-sizing:border-box"
    if content is None:
        style += f";display:inline-block;vertical-align:middle;border:1px dashed {_GREY};opacity:.6"
        style += f";text-align:center;font-size:11px;line-height:{side - 2}px"
        # A small frame has no room for words.
        inside = word("no picture") if side >= SIDE else Markup("–")
        return Markup('<div style="{}" title="{}">{}</div>').format(style, text(name), inside)
    style += ";object-fit:contain;vertical-align:middle;max-width:none"
    return Markup('<img src="{}" alt="{}" title="{}" style="{}"/>').format(
        data_address(content, "webp"), text(name), text(name), style
    )


def data_address(content: bytes, kind: str) -> str:
    """Return an address that holds a picture itself; ``kind`` is its format, such as ``webp``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def bar(share: float, *, width: str = "7em") -> Markup:
    """Return a bar that is filled up to a share, 0 to 1; the number itself belongs beside it."""
    filled = 0.0 if math.isnan(share) else 100 * min(max(share, 0.0), 1.0)
    return Markup(
        '<div style="width:{};height:.7em;background:{};border-radius:2px" aria-hidden="true">'
        '<div style="width:{:.1f}%;height:100%;background:{};border-radius:2px"></div></div>'
    ).format(width, _PALE, filled, _BLUE)


def score_bars(scores: Sequence[tuple[str, float]], strong: Collection[int] = ()) -> Markup:
    """Return names with their scores, 0 to 1, as bars and numbers; those of ``strong`` are bold."""
    rows = [(text(name), bar(score, width="5em"), format_share(score)) for name, score in scores]
    return table(("", "", ""), rows, sides="<<>", strong=strong)


def side_by_side(parts: Sequence[Markup], *, gap: str = "8px 24px", least_width: str = "0") -> Markup:
    """Return parts beside one another, in as many lines as they need; equal widths make columns of them."""
    item = Markup('<div style="min-width:{}">{}</div>')
    items = Markup("").join(item.format(least_width, part) for part in parts)
    place = "center" if least_width == "0" else "flex-start"
    style = f"display:flex;flex-wrap:wrap;gap:{gap};align-items:{place};margin:4px 0"
    return Markup('<div style="{}">{}</div>').format(style, items)


def framed_page(page: str, title: str, *, height: int = 600) -> Markup:
    """Return a whole page, shown in a frame of a height in pixels; no script in it runs."""
    # Links within the page would lead to the notebook, which its addresses are relative to.
    page = page.replace("<head>", '<head><base href="about:srcdoc">', 1)
    style = f"width:100%;height:{height}px;border:1px solid {_GREY};background:white"
    return Markup('<iframe title="{}" sandbox="" srcdoc="{}" style="{}"></iframe>').format(
        word(title), page, style
    )


def more(count: int) -> Markup:
    """Return a line for what is not shown."""
    return line(message(f"and {count:,} more"))
