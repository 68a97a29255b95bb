"""Messages with fields: ``{rows} written to {file}``, and the recognition of a text as one of them.

The code writes messages as f-strings, in English; a translation has the same fields, in its own order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter

_NUMBER = r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?"
# A field's name, without the number that tells two of a name apart, says what it holds.
_PATTERNS = {
    "n": rf"(?:{_NUMBER}|nan|inf)",
    "percent": r"(?:(?:under )?[\d.,–-]+[\s\u00a0]%|–)",
    "format_bytes": r"[\d,.]+ (?:GB|MB|kB|bytes)",
    "format_duration": r"[\d,.]+ (?:second|minute|hour)s?",
    "folder_title": r"[A-Z][a-z]+(?: folder)?",
    "words": r"(?:training|validation|(?:the )?test)",
    "taken_for": r".*; [\d,]+ (?:class|label).*",
    **dict.fromkeys(("near", "suggest", "hint"), r"(?:\s.*)?"),  # a further sentence, or none
}
_ANYTHING = r".*?"
_LEAST_LETTERS, _LEAST_LETTERS_INSIDE = 5, 8


@dataclass(frozen=True)
class Template:
    """A message.

    Attributes:
        texts: what stands before, between and after the fields.
        fields: their names, one fewer than texts.
        nouns: field → noun, of the fields that hold a number with its noun: ``n_files``, ``3 files``.
    """

    texts: tuple[str, ...]
    fields: tuple[str, ...]
    nouns: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def parse(cls, message: str, nouns: Mapping[str, str] | None = None) -> "Template":
        """Read a message as ``str.format`` does.

        Raises:
            ValueError: its braces do not match.
        """
        texts, fields = [""], []
        for text, name, _, _ in Formatter().parse(message):
            texts[-1] += text
            if name is not None:
                fields.append(name)
                texts.append("")
        return cls(tuple(texts), tuple(fields), nouns or {})

    def stripped(self) -> "Template":
        """Return the message without the blanks or the bullet before it."""
        return Template((self.texts[0].lstrip(" •*→\n"), *self.texts[1:]), self.fields, self.nouns)

    @property
    def size(self) -> int:
        """The number of characters outside the fields."""
        return sum(map(len, self.texts))

    @property
    def is_telling(self) -> bool:
        """Whether a part of a message that reads like this one is it, and hardly a name of a user's."""
        words = re.findall(r"[A-Za-z']+", "{}".join(self.texts))
        letters = sum(map(len, words))
        numbers = sum(_kind(name) in _PATTERNS or _kind(name) in self.nouns for name in self.fields)
        # What has fields on both sides may be any sentence with its words.
        least = _LEAST_LETTERS if self.texts[0] or self.texts[-1] else _LEAST_LETTERS_INSIDE
        return (len(words) > 1 and letters >= least) or (numbers > 0 and letters + numbers > 3)

    def match(self, text: str) -> dict[str, str] | None:
        """Return the content of the fields if the text is this message."""
        if not text.startswith(self.texts[0]) or not text.endswith(self.texts[-1]):
            return None
        place = 0
        for part in self.texts:  # quick, and rules out nearly all
            place = text.find(part, place)
            if place < 0:
                return None
            place += len(part)
        pattern, joined = re.escape(self.texts[0]), False
        for name, after in zip(self.fields, self.texts[1:], strict=True):
            # Nothing tells where one of two neighbours ends: the first has both.
            content = "" if joined else self._pattern(name)
            pattern += f"(?P<{name}>{content}){re.escape(after)}"
            joined = not after and content in ("", _ANYTHING)
        found = re.fullmatch(pattern, text, re.DOTALL if "\n" in "".join(self.texts) else 0)
        return None if found is None else found.groupdict()

    def _pattern(self, name: str) -> str:
        if (noun := self.nouns.get(_kind(name))) is not None:
            return rf"{_NUMBER} {re.escape(noun)}s?"
        return _PATTERNS.get(_kind(name), _ANYTHING)

    def format(self, values: Mapping[str, str]) -> str:
        """Return the message with the content of its fields; one that is not given is left empty."""
        parts = [self.texts[0]]
        for name, after in zip(self.fields, self.texts[1:], strict=True):
            parts += [values.get(name, ""), after]
        return "".join(parts)


def _kind(name: str) -> str:
    return name.rstrip("0123456789")
