"""The help of commands in the language of messages."""

import re
from collections.abc import Iterable

import click

from hubtune.messages.catalogue import ENGLISH, language
from hubtune.messages.translation import translate, translate_word
from hubtune.text import wrapped

_VERBATIM = "\b"  # click: the lines of this paragraph stay as they are
_COMMENT = re.compile(r"(?<=\S)( {3,})(?=\S)")  # what an example does, after its command
# What click itself says of an option.
_SETTINGS = re.compile(r"\s*\[((?:default: |required|x[<>]|\S+[<>]=?x).*)\]$")
_COLUMN, _GAP = 30, 2  # click's widest first column, and what follows it


class HelpFormatter(click.HelpFormatter):
    """Writes the help as click does, translated, and wrapped by the width of characters on a terminal."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        word = translate_word("Usage:")
        super().write_usage(
            prog, args, (word if word.endswith("：") else f"{word} ") if prefix is None else prefix
        )

    def write_heading(self, heading: str) -> None:
        if language() == ENGLISH:
            super().write_heading(heading)
        else:
            self.write(f"{'':>{self.current_indent}}{translate_word(heading)}：\n")

    def write_text(self, text: str) -> None:
        super().write_text(translated_help(text, self.width - self.current_indent))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = _COLUMN, col_spacing: int = _GAP
    ) -> None:
        rows = list(rows)
        first = min(max((len(name) for name, _ in rows), default=0), col_max) + col_spacing
        width = max(self.width - first - 2, 10)
        lines = [(name, translated_help(translated_option(text, language()), width)) for name, text in rows]
        super().write_dl(lines, col_max, col_spacing)


def paragraphs(text: str) -> list[str]:
    """Return the messages of a help text: its paragraphs, and what it says about its examples."""
    result = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if not paragraph.lstrip(" ").startswith(_VERBATIM):
            result.append(" ".join(paragraph.split()))
            continue
        examples = map(_COMMENT.split, paragraph.splitlines())
        result += [parts[2].strip() for parts in examples if len(parts) == 3]
    return [paragraph for paragraph in result if paragraph]


def translated_help(text: str, width: int) -> str:
    """Return a help text in the language of messages, laid out for click in lines of ``width``."""
    if language() == ENGLISH:
        return text
    result = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.lstrip(" ").startswith(_VERBATIM):
            lines = map(_COMMENT.split, paragraph.splitlines()[1:])
            shown = ["".join([*line[:2], *map(translate, line[2:])]) for line in lines]
        else:
            shown = wrapped(translate(" ".join(paragraph.split())), width)
        result.append("\n".join([_VERBATIM, *shown]))
    return "\n\n".join(result)


def translated_option(text: str, to: str) -> str:
    """Return the help of an option in a language, with click's words about its default."""
    if to == ENGLISH or (settings := _SETTINGS.search(text)) is None:
        return translate(text, to)
    items = [
        translate(item, to) if " " in item else translate_word(item, to) for item in settings[1].split("; ")
    ]
    return f"{translate(text[: settings.start()], to)} [{'；'.join(items)}]".lstrip()
