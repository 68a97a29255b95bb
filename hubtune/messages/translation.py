"""Translates messages where a person reads them: on the terminal, in help and in notebooks.

The library writes English everywhere, so that JSON, logs, files and exceptions are the same in all languages;
nothing in it knows about translation. Here a finished text is recognised as one of the catalogue's messages,
and written anew with the translated words and the same values.
"""

import re
from functools import cache

from hubtune.messages.catalogue import ENGLISH, language, translations
from hubtune.messages.template import Template
from hubtune.text import columns

_TITLE = re.compile(r"(\s*)([A-Z][a-z ]+:)( +)(\S.*)")
# An indentation, a bullet, a number, or the line of a file that a message is about.
_INDENT = re.compile(r"(?:Error: )?\s*(?:[→·•*—–-]\s+|\d+\.\s+)?(?:\S+:\d+(?::\d+)?: )?")
# Where a piece begins that says more, with its own punctuation.
_STARTS = tuple(map(re.compile, (r"(?=, )", r"(?=; )", r"(?=: )", r"(?= \()", r"(?= and )")))
# Ends of sentences and of clauses, at which a text is divided that is no message as a whole.
_JOINTS = tuple(map(re.compile, (r"(?<=[a-z0-9)'%}][.?!]) (?=[A-Z'\[])", r"; ", r": ")))
_ENDINGS = ((". ", "。"), (".", "。"), ("? ", "？"), ("! ", "！"), ("; ", "；"), (": ", "："))
_LIST = re.compile(r"(, and |, or |, | and | or |; )")
_LIST_MARKS = {", and ": "和", ", or ": "或", ", ": "、", " and ": "和", " or ": "或", "; ": "；"}
_WIDE = r"[\u2e80-\u9fff\uff00-\uffef]"
_WORD = re.compile(r"(?<![\w{}])[A-Za-z]{2,}(?![\w{}])")
_DEEPEST = 6  # of messages in messages
_MOST_READINGS = 4  # of a text
# Fields that hold words of hubtune's, never a name of a user's.
_WORD_FIELDS = {
    *(
        "description",
        "fault",
        "fitted",
        "folder_title",
        "kind",
        "known",
        "list",
        "list_name",
        "lists",
        "noun",
        "nouns",
        "state",
        "title",
    ),
    *("type", "unit", "what", "words"),
}
# Fields that hold words of the command line with "or" or "and" between them.
_CHOICE_FIELDS = {
    *("allowed", "choices", "formats", "joined", "languages", "missing", "options", "possibilities"),
    "variables",
}


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
        # The messages of pages have fields of their own kind.
        messages = {
            message: translation
            for message, translation in translations(code).items()
            if not re.search(r"%[(sd]", message)
        }
        nouns = {
            "n_" + re.sub(r"\W", "_", message[4:]): message[4:-1]
            for message in messages
            if re.fullmatch(r"\{n\} [a-z -]+s", message)
        }
        parsed = [
            (Template.parse(message, nouns), Template.parse(translation))
            for message, translation in messages.items()
        ]
        # A piece may follow the end of a sentence, which has taken its blank, or an indentation.
        parsed += [
            (message.stripped(), translation.stripped())
            for message, translation in parsed
            if message.texts[0][:1].isspace()
        ]
        self.phrases: dict[str, str] = {}
        for message, translation in parsed:
            if not message.fields:
                self.phrases.setdefault(message.texts[0], translation.texts[0])
        # Of several messages that a text may be, those with the most words of their own come first.
        self._templates = sorted(
            (pair for pair in parsed if pair[0].fields), key=lambda pair: pair[0].size, reverse=True
        )
        self._places: dict[str, list[int]] = {}
        for place, (message, _) in enumerate(self._templates):
            if words := _WORD.findall("{}".join(message.texts)):
                self._places.setdefault(max(words, key=len), []).append(place)

    @staticmethod
    @cache
    def of(code: str) -> "_Translator":
        return _Translator(code)

    def _candidates(self, text: str) -> list[tuple[Template, Template]]:
        """Return the messages whose longest word is in the text; those with the most words come first."""
        places = {place for word in _WORD.findall(text) for place in self._places.get(word, ())}
        return [self._templates[place] for place in sorted(places)]

    def text(self, text: str) -> str:
        if (whole := self.phrases.get(text)) is not None and not text.isalpha():
            return whole
        if not re.match(r"\s*[→·•*—–-] ", text) and (whole := self._message(text, 0)) is not None:
            return whole
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> str:
        titled = _TITLE.fullmatch(line)
        if titled is not None and (title := self.phrases.get(titled[2])) and self._message(line, 0) is None:
            size = columns(titled[2] + titled[3]) - columns(title)
            gap = " " * max(1, size) if len(titled[3]) > 1 else ""
            return titled[1] + title + gap + self._part(titled[4], 0)
        indent = _INDENT.match(line)
        assert indent is not None
        start = indent.end()
        if start == len(line):
            return line
        if (columns_of := re.fullmatch(r"(\s*\S.*?)(  +(?:— )?)(\S.*)", line)) and self._message(
            line, 0
        ) is None:
            first, gap, rest = columns_of.groups()
            return first + gap + self._part(rest, 0)
        before = re.sub("^Error: ", self.phrases.get("Error:", "Error: "), line[:start])
        return before + self._part(line[start:], 0)

    def _part(self, text: str, depth: int) -> str:
        """Translate a message, or the sentences, clauses and list items of one."""
        if (whole := self._message(text, depth)) is not None:
            return whole
        if "\n" in text:
            return "\n".join(self._part(line, depth) for line in text.split("\n"))
        for start in _STARTS:
            for found in start.finditer(text):
                first, rest = text[: found.start()], text[found.start() :]
                if rest != text and (more := self._message(rest, depth, within=True)) is not None:
                    return (self._part(first, depth) if " " in first else first) + more
        for joint in _JOINTS:
            for found in joint.finditer(text):
                first, rest = text[: found.end()], text[found.end() :]
                if (translated := self._with_ending(first, depth)) is not None:
                    return translated + self._part(rest, depth)
                if (after := self._with_ending(rest, depth, within=True)) is not None:
                    return first + after
        for way in (self._with_ending, self._list, self._halves, self._counted):
            if (translated := way(text, depth)) is not None:
                return translated
        return text

    def _counted(self, text: str, depth: int) -> str | None:
        """Translate a number with its noun, and what is said of it."""
        blanks = (
            [place for place, character in enumerate(text) if character == " "] if text[0].isdigit() else []
        )
        for place in blanks[1:4]:
            number = self._message(text[:place], depth, within=True)
            if number is not None and (said := self._part(text[place + 1 :], depth)) != text[place + 1 :]:
                return number + said
        return None

    def _halves(self, text: str, depth: int) -> str | None:
        """Translate what stands before and after a colon, or before and in a bracket."""
        if (found := re.fullmatch(r"(\S.*?): (.+)", text, re.DOTALL)) is not None:
            halves = [self.phrases.get(half) or self._part(half, depth) for half in found.groups()]
            if halves[0] != found[1]:
                return "：".join(halves)
            if halves[1] != found[2]:
                return ": ".join(halves)
        if (found := re.fullmatch(r"(\S.*?) \((.+)\)", text)) is not None:
            first = self._part(found[1], depth)
            inner = self.phrases.get(found[2]) or self._part(found[2], depth)
            if first != found[1]:
                return f"{first}（{inner}）"
        return None

    def _with_ending(self, text: str, depth: int, *, within: bool = False) -> str | None:
        if (whole := self._message(text.rstrip(), depth, within=within)) is not None:
            return whole + ("" if re.search(rf"{_WIDE}$", whole) else text[len(text.rstrip()) :])
        for ending, translated in _ENDINGS:
            if text.endswith(ending):
                found = self._message(text[: -len(ending)], depth, within=within)
                if found is not None:
                    return found + translated
        return None

    def _list(self, text: str, depth: int, *, words: bool = False) -> str | None:
        """Translate a list with messages in it; with ``words``, one of single words."""
        parts = _LIST.split(text)
        if len(parts) == 1:
            return None
        items = [
            self.phrases.get(item) if words else self._message(item, depth, within=True)
            for item in parts[::2]
        ]
        if not any(items) and not words:
            return None
        parts[::2] = [item or part for item, part in zip(items, parts[::2], strict=True)]
        marks = _LIST_MARKS | ({", ": "，"} if all(items) and not words else {})  # between clauses
        for place in range(1, len(parts), 2):
            mark = marks[parts[place]]
            is_close = mark in "，、；" or re.search(rf"{_WIDE}$", parts[place - 1])
            parts[place] = mark if is_close else f" {mark} "
        return "".join(parts)

    def _message(self, text: str, depth: int, *, within: bool = False) -> str | None:
        """Translate a text that is a message as a whole; ``within``: and stands inside another one."""
        if depth > _DEEPEST:
            return None
        found = self._exact(text, depth, inside=depth > 0 or within)
        if found is None and text[:1].isalpha():  # a sentence that is a part of another one, or the other way
            found = self._exact(text[0].swapcase() + text[1:], depth, inside=depth > 0 or within)
        return found

    def _exact(self, text: str, depth: int, *, inside: bool) -> str | None:
        if (phrase := self.phrases.get(text)) is not None and not text.isalpha():  # a word may be a class
            return phrase
        found: list[str] = []
        for template, translation in self._candidates(text):
            if inside and not template.is_telling:
                continue
            if (values := template.match(text)) is not None:
                shown = {name: self._value(name, value, depth + 1) for name, value in values.items()}
                found.append(translation.format(shown))
                if len(found) == _MOST_READINGS:
                    break
        # A field may have swallowed a message of its own: the reading with the least English is right.
        return min(found, key=_english, default=None)

    def _value(self, field: str, value: str, depth: int) -> str:
        """Translate what a field holds, unless it may be a name of a user's."""
        kind = field.rstrip("0123456789")
        if kind in _WORD_FIELDS and value in self.phrases:
            return self.phrases[value]
        if " " not in value.strip():
            return value
        if kind in _WORD_FIELDS | _CHOICE_FIELDS and (found := self._list(value, depth, words=True)):
            return found
        return self._part(value, depth)


def _english(text: str) -> int:
    """Return the number of lower-case words, which are mostly not translated."""
    return len(re.findall(r"(?<![\w/.-])[a-z]{2,}(?![\w/=.(-])", text))
