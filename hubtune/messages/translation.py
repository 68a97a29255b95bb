"""Translates messages where a person reads them: on the terminal, in help and in notebooks.

The library writes English everywhere, so that JSON, logs, files and exceptions are the same for programs in all
languages; nothing in it knows about translation. Here a finished text is recognised as one of the catalogue's
messages, and written anew with the translated words and the same values.
"""

import re
from functools import cache

from hubtune.messages.catalogue import ENGLISH, language, translations
from hubtune.messages.template import Template
from hubtune.text import columns

_INDENT = re.compile(r"\s*(?:[→·•*–-]\s+|\d+\.\s+)?")
_TITLE = re.compile(r"(\s*)([A-Z][a-z ]+:)( +)(\S.*)")
# Ends of sentences and of clauses, at which a text is divided that is no message as a whole.
_JOINTS = tuple(map(re.compile, (r"(?<=[a-z0-9)'%}][.?!]) (?=[A-Z'\[])", r"; ", r": ")))
# Where a piece begins that says more, with its own punctuation.
_STARTS = tuple(map(re.compile, (r"(?=, )", r"(?=; )", r"(?=: )", r"(?= \()")))
# Fields that hold a word of hubtune's, never a name of a user's.
_WORD_FIELDS = {"list", "list_name", "what", "kind", "fault", "state", "unit", "noun", "nouns", "title"}
_ENDINGS = ((". ", "。"), (".", "。"), ("? ", "？"), ("! ", "！"), ("; ", "；"), (": ", "："))
_WIDE = r"[\u2e80-\u9fff\uff00-\uffef]"
_DEEPEST = 6  # of messages in messages


def translate(text: str, to: str | None = None) -> str:
    """Translate a text of one or more lines; parts that the catalogue does not have stay as they are.

    Args:
        text: what hubtune says in English, with names, paths and numbers in it.
        to: the language; default: :func:`~hubtune.messages.catalogue.language`.
    """
    to = to or language()
    return text if to == ENGLISH or not text else _Translator.of(to).text(text)


def translate_word(word: str, to: str | None = None) -> str:
    """Translate a word or phrase that stands alone, such as the heading of a column."""
    to = to or language()
    return word if to == ENGLISH else _Translator.of(to).phrases.get(word, word)


class _Translator:
    """The catalogue of a language, arranged for recognising texts."""

    def __init__(self, code: str) -> None:
        messages = {
            message: translation
            for message, translation in translations(code).items()
            if translation
            and not re.search(r"%[(sd]", message)  # those of pages have fields of their own kind
        }
        self.phrases = {
            message.replace("{{", "{").replace("}}", "}"): translation.replace("{{", "{").replace("}}", "}")
            for message, translation in messages.items()
            if not Template.parse(message).fields
        }
        templates = [
            (Template.parse(message), Template.parse(translation))
            for message, translation in messages.items()
        ]
        # Of several messages that a text may be, the one with the most words of its own decides.
        self._templates = sorted(
            (pair for pair in templates if pair[0].fields), key=lambda pair: pair[0].size, reverse=True
        )

    @staticmethod
    @cache
    def of(code: str) -> "_Translator":
        return _Translator(code)

    def text(self, text: str) -> str:
        if (whole := self._message(text, 0)) is not None:
            return whole
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        titled = _TITLE.fullmatch(line)
        if titled is not None and (title := self.phrases.get(titled[2])) and self._message(line, 0) is None:
            gap = " " * max(1, columns(titled[2] + titled[3]) - columns(title))
            return titled[1] + title + gap + self._part(titled[4], 0)
        indent = _INDENT.match(line)
        assert indent is not None
        start = indent.end()
        return line if start == len(line) else line[:start] + self._part(line[start:], 0)

    def _part(self, text: str, depth: int) -> str:
        """Translate a message, or the sentences and clauses of one."""
        if (whole := self._message(text, depth)) is not None:
            return whole
        for start in _STARTS:
            for found in start.finditer(text):
                first, rest = text[: found.start()], text[found.start() :]
                if rest != text and (more := self._message(rest, depth, within=True)) is not None:
                    return (self._part(first, depth) if " " in first else first) + more
        for joint in _JOINTS:
            ends = [found.end() for found in joint.finditer(text)]
            for end in ends:
                first, rest = text[:end], text[end:]
                translated = self._with_ending(first, depth)
                if translated is not None:
                    return translated + self._part(rest, depth)
                after = self._message(rest, depth)
                if after is not None:
                    return first + after
        return self._with_ending(text, depth) or text

    def _with_ending(self, text: str, depth: int) -> str | None:
        if (whole := self._message(text.rstrip(), depth)) is not None:
            return whole + ("" if re.search(rf"{_WIDE}$", whole) else text[len(text.rstrip()) :])
        for ending, translated in _ENDINGS:
            if text.endswith(ending) and (found := self._message(text[: -len(ending)], depth)) is not None:
                return found + translated
        return None

    def _message(self, text: str, depth: int, *, within: bool = False) -> str | None:
        """Translate a text that is a message as a whole; ``within``: and stands inside another one."""
        if depth > _DEEPEST:
            return None
        if (phrase := self.phrases.get(text)) is not None and (" " in text or depth == 0):
            return phrase
        for template, translation in self._templates:
            if (depth or within) and not template.is_telling:
                continue
            if (values := template.match(text)) is not None:
                return translation.format(
                    {name: self._value(name, value, depth + 1) for name, value in values.items()}
                )
        return None

    def _value(self, field: str, value: str, depth: int) -> str:
        if " " in value.strip():
            return self._part(value, depth)
        return self.phrases.get(value, value) if field.rstrip("0123456789") in _WORD_FIELDS else value
