"""Translates messages where a person reads them: on the terminal, in help and in notebooks.

The library writes English everywhere, so that JSON, logs, files and exceptions are the same in all languages;
nothing in it knows about translation. Here a finished text is recognised as one of the catalogue's messages,
and written again with the translated words and the same values.
"""

import re
from collections.abc import Iterator
from functools import cache

from hubtune.messages.catalogue import ENGLISH, language
from hubtune.messages.known_messages import KnownMessages
from hubtune.text import columns

_ERROR = "Error: "
_TITLE = re.compile(r"(\s*)([A-Z][a-z ]+:)( +)(\S.*)")
_COLUMNS = re.compile(r"(\s*\S.*?)(  +(?:— )?)(\S.*)")
_BULLET = re.compile(r"\s*[→·•*—–-] ")
# An indentation, a bullet, a number, or the line of a file that a message is about.
_INDENT = re.compile(r"\s*(?:[→·•*—–-]\s+|\d+\.\s+)?(?:\S+:\d+(?::\d+)?: )?")
# Where a piece begins that says more, with its own punctuation.
_PIECE = re.compile(r"(?=, )|(?=; )|(?=: )|(?= \()|(?= and )")
# Ends of sentences and of clauses.
_JOINT = re.compile(r"(?<=[a-z0-9)'%}][.?!]) (?=[A-Z'\[])|; |: ")
_ENDINGS = ((". ", "。"), (".", "。"), ("? ", "？"), ("! ", "！"), ("; ", "；"), (": ", "："))
_LIST = re.compile(r"(, and |, or |, | and | or |; )")
_LIST_MARKS = {", and ": "和", ", or ": "或", ", ": "、", " and ": "和", " or ": "或", "; ": "；"}
_QUOTED = re.compile(r"`[^`]*`|'[^']*'")
_WIDE_END = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]$")
_DEEPEST = 6  # of messages in messages
_MOST_READINGS = 4  # of a text
_MOST_PIECES = 24  # of a text that is divided
_MOST_CACHED = 5000  # texts
# Fields that hold words of hubtune's, never a name of a user's.
_WORD_FIELDS = {
    *("description", "fault", "fitted", "folder_title", "kind", "known", "list", "list_name", "lists"),
    *("noun", "nouns", "several", "state", "title", "type", "unit", "use", "what", "words"),
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
    """Takes texts apart into messages of the catalogue, and writes them in its language."""

    def __init__(self, code: str) -> None:
        self._messages = KnownMessages(code)
        self.phrases = self._messages.phrases
        self._cached: dict[tuple[str, int], str] = {}

    @staticmethod
    @cache
    def of(code: str) -> "_Translator":
        return _Translator(code)

    def text(self, text: str) -> str:
        """Translate a text as a whole, or else line by line."""
        if text.startswith(_ERROR):
            return self.phrases.get(_ERROR.rstrip(), _ERROR) + self.text(text.removeprefix(_ERROR))
        if not _BULLET.match(text) or text in self.phrases:
            whole = self._message(text, 0)
            if whole is not None and ("\n" in text or not _english(whole)):
                return whole
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> str:
        """Translate a line: a message, after its title, its bullet or its first column."""
        if (titled := _TITLE.fullmatch(line)) is not None and (title := self.phrases.get(titled[2])):
            before, name, gap, rest = titled.groups()
            if not self._begins_message(name, line):
                size = columns(name + gap) - columns(title)
                return before + title + " " * max(len(gap) > 1, size * (len(gap) > 1)) + self._part(rest, 0)
        whole = self._message(line, 0)
        if whole is not None and not _english(whole):
            return whole
        indent = _INDENT.match(line)
        start = indent.end() if indent else 0
        if start == len(line):
            return line
        if (parts := _COLUMNS.fullmatch(line)) is not None and whole is None:
            first, gap, rest = parts.groups()
            return first + gap + self._part(rest, 0)
        return line[:start] + self._part(line[start:], 0)

    def _begins_message(self, title: str, line: str) -> bool:
        line = line.lstrip()
        return line in self.phrases or any(
            message.texts[0].lstrip().startswith(title) and message.match(line)
            for message, _ in self._messages.candidates(line)
        )

    def _part(self, text: str, depth: int) -> str:
        """Translate a message, or what it is put together of, in the way that leaves the least English."""
        key = text, depth
        if key not in self._cached:
            if len(self._cached) >= _MOST_CACHED:
                self._cached.clear()
            whole = self._message(text, depth)
            if whole is None or _english(whole):
                ways = [*([] if whole is None else [whole]), *self._divided(text, depth)]
                whole = min(ways, key=_english, default=text)
            self._cached[key] = whole
        return self._cached[key]

    def _divided(self, text: str, depth: int) -> Iterator[str]:
        """Yield translations of the parts of a text that is no message as a whole."""
        if "\n" in text:
            lines = [(line[: len(line) - len(line.lstrip())], line.lstrip()) for line in text.split("\n")]
            yield "\n".join(before + self._part(line, depth) for before, line in lines)
            return
        if depth > _DEEPEST or len(_PIECE.findall(text)) > _MOST_PIECES:
            return
        for found in _PIECE.finditer(text, 1):
            first, rest = text[: found.start()], text[found.start() :]
            if (more := self._message(rest, depth, within=True)) is not None:
                yield (self._part(first, depth) if " " in first else first) + more
        for found in _JOINT.finditer(text):
            first, rest = text[: found.end()], text[found.end() :]
            if (translated := self._with_ending(first, depth)) is not None:
                yield translated + self._part(rest, depth)
            elif (after := self._with_ending(rest, depth, within=True)) is not None:
                yield first + after
        for way in (self._with_ending, self._list, self._halves, self._bracketed, self._counted):
            if (translated := way(text, depth)) is not None:
                yield translated
        yield text

    def _with_ending(self, text: str, depth: int, *, within: bool = False) -> str | None:
        """Translate a message and the punctuation after it."""
        if (whole := self._message(text.rstrip(), depth, within=within)) is not None:
            return whole + ("" if _WIDE_END.search(whole) else text[len(text.rstrip()) :])
        for ending, translated in _ENDINGS:
            if text.endswith(ending):
                found = self._message(text[: -len(ending)], depth, within=within)
                if found is not None:
                    return found + translated
        return None

    def _list(self, text: str, depth: int) -> str | None:
        """Translate a list with messages in it."""
        items = [self._message(item, depth, within=True) for item in _LIST.split(text)[::2]]
        marks = _LIST_MARKS | ({", ": "，"} if all(items) else {})  # between clauses
        return _joined(text, items, marks) if any(items) else None

    def _halves(self, text: str, depth: int) -> str | None:
        """Translate what stands before and after a colon."""
        first, colon, rest = text.partition(": ")
        if not colon:
            return None
        halves = self._part(first, depth), self._part(rest, depth)
        if first.istitle():  # of a line; a word in lower case may be a key or a class
            halves = self.phrases.get(first, halves[0]), halves[1]
        return ("：" if halves[0] != first else ": ").join(halves)

    def _bracketed(self, text: str, depth: int) -> str | None:
        """Translate what stands before and in a bracket."""
        if (found := re.fullmatch(r"(\S.*?) \((.+)\)", text)) is None:
            return None
        first, inner = found.groups()
        before = self._part(first, depth)
        return (
            f"{before}（{self.phrases.get(inner) or self._part(inner, depth)}）" if before != first else None
        )

    def _counted(self, text: str, depth: int) -> str | None:
        """Translate a number with its noun, and what is said of it."""
        blanks = [found.start() for found in re.finditer(" ", text)] if text[:1].isdigit() else []
        for place in blanks[1:4]:
            number = self._message(text[:place], depth, within=True)
            rest = text[place + 1 :]
            if number is not None and (translated := self._part(rest, depth)) != rest:
                return number + translated
        return None

    def _message(self, text: str, depth: int, *, within: bool = False) -> str | None:
        """Translate a text that is a message as a whole; ``within``: and stands inside another one."""
        inside = depth > 0 or within
        found = self._exact(text, depth, inside=inside)
        if found is None and text[:1].isalpha():  # a sentence that is a part of another one, or the other way
            found = self._exact(text[0].swapcase() + text[1:], depth, inside=inside)
        if found is None and text[-1:].isalnum() and (" " in text):  # a sentence without its full stop
            found = self._exact(f"{text}.", depth, inside=inside)
            found = found and found.removesuffix("。")
        return found

    def _exact(self, text: str, depth: int, *, inside: bool) -> str | None:
        if (phrase := self.phrases.get(text)) is not None and not text.isalpha():  # a word may be a class
            return phrase
        if depth > _DEEPEST:
            return None
        found: list[str] = []
        for message, translation in self._messages.candidates(text):
            if inside and not message.is_telling:
                continue
            if (values := message.match(text)) is not None:
                shown = {name: self._value(name, value, depth + 1) for name, value in values.items()}
                found.append(translation.format(shown))
                if len(found) == _MOST_READINGS:
                    break
        # A field may have swallowed a message of its own.
        return min(found, key=_english, default=None)

    def _value(self, field: str, value: str, depth: int) -> str:
        """Translate what a field holds, unless it may be a name of a user's."""
        kind = field.rstrip("0123456789")
        if kind in _WORD_FIELDS and value in self.phrases:
            return self.phrases[value]
        if " " not in value.strip():
            return value
        if kind in _WORD_FIELDS | _CHOICE_FIELDS:
            words = [self.phrases.get(word) for word in _LIST.split(value)[::2]]
            if any(words) or kind in _CHOICE_FIELDS:
                return _joined(value, words, _LIST_MARKS)
        return self._part(value, depth)


def _joined(text: str, items: list[str | None], marks: dict[str, str]) -> str:
    """Return a list with some of its items translated, and Chinese marks between them."""
    parts = _LIST.split(text)
    parts[::2] = [item or part for item, part in zip(items, parts[::2], strict=True)]
    for place in range(1, len(parts), 2):
        mark = marks[parts[place]]
        if mark not in "，、；":  # a blank beside Latin letters
            before = "" if _WIDE_END.search(parts[place - 1]) else " "
            mark = f"{before}{mark}{' ' if parts[place + 1][:1].isascii() else ''}"
        parts[place] = mark
    return "".join(parts)


def _english(text: str) -> int:
    """Return the number of lower-case words outside quotes, which are mostly not translated."""
    text = _QUOTED.sub("", text)
    return len(re.findall(r"(?<![\w/.-])[a-z]{2,}(?![\w/=.(-])", text, re.ASCII))
