"""Messages with fields: ``{rows} written to {file}``, and the recognition of a text as one of them.

The code writes messages as f-strings, in English; a translation has the same fields, in its own order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

# A field's name, without the number that tells two of a name apart, says what it holds.
_PATTERNS = {"n": r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?|nan|inf", "percent": r"[\d.,–-]+[\s\u00a0]%|–"}
_ANYTHING = r".*?"
_LEAST_LETTERS = 6


@dataclass(frozen=True)
class Template:
    """A message: texts, and the names of the fields between them (one fewer than texts)."""

    texts: tuple[str, ...]
    fields: tuple[str, ...]

    @classmethod
    def parse(cls, message: str) -> "Template":
        """Read a message as ``str.format`` does.

        Raises:
            ValueError: its braces do not match.
        """
        texts, fields = [""], []
        for text, field, _, _ in Formatter().parse(message):
            texts[-1] += text
            if field is not None:
                fields.append(field)
                texts.append("")
        return cls(tuple(texts), tuple(fields))

    @property
    def size(self) -> int:
        """The number of characters outside the fields."""
        return sum(map(len, self.texts))

    @property
    def is_telling(self) -> bool:
        """Whether a part of a message that reads like this one is certainly it, and not a name of a user's."""
        words = re.findall(r"[A-Za-z']+", "{}".join(self.texts))
        letters = sum(map(len, words))
        has_number = any(_kind(name) in _PATTERNS for name in self.fields)
        return (len(words) > 1 and letters >= _LEAST_LETTERS) or (has_number and letters > 2)

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
        for field, after in zip(self.fields, self.texts[1:], strict=True):
            # Nothing tells where one of two neighbours ends: the first has both.
            content = "" if joined else _PATTERNS.get(_kind(field), _ANYTHING)
            pattern += f"(?P<{field}>{content}){re.escape(after)}"
            joined = not after and content in ("", _ANYTHING)
        found = re.fullmatch(pattern, text, re.DOTALL if "\n" in "".join(self.texts) else 0)
        return None if found is None else found.groupdict()

    def format(self, values: Mapping[str, str]) -> str:
        """Return the message with the content of its fields; one that is not given is left empty."""
        parts = [self.texts[0]]
        for field, after in zip(self.fields, self.texts[1:], strict=True):
            parts += [values.get(field, ""), after]
        return "".join(parts)


def _kind(field: str) -> str:
    return field.rstrip("0123456789")
