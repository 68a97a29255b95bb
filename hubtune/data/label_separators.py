"""Texts with several names or numbers of labels, and what separates them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

SEPARATORS = re.compile("[,;|、，；]")
"""What separates labels without a question, if they come back in other texts."""

# What may as well be a part of a name: asked for by a person, the first one whose parts come back.
_OTHERS = tuple(map(re.compile, ("/", r"\+", "&", r"\s")))
_BLANKS = _OTHERS[-1]
_BRACKETS = re.compile(r"[\[({](.*)[\])}]", re.DOTALL)
_QUOTES = "'\""


def split_labels(
    texts: Iterable[str], *, is_certain: bool = False, are_tags: bool = False
) -> dict[str, list[str]]:
    """Return text → the labels in it.

    Brackets around all texts, and quotes around labels, are of other programs' lists, and are removed.

    Args:
        texts: in the place of labels.
        is_certain: whether they are known to be several labels, so that less usual separators count.
        are_tags: whether blanks may separate them, as in a column ``tags``.
    """
    texts = list(texts)
    brackets = {text: _BRACKETS.fullmatch(text.strip()) for text in texts if text.strip()}
    plain = {text: text for text in texts}
    if brackets and all(brackets.values()):
        plain |= {text: found[1] for text, found in brackets.items() if found}
    parts = {text: _split(own, SEPARATORS) for text, own in plain.items()}
    if not any(map(SEPARATORS.search, plain.values())):
        for separator in _OTHERS if is_certain else (_BLANKS,) if are_tags else ():
            if come_back(found := {text: _split(own, separator) for text, own in plain.items()}):
                return found
    return parts


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    parts = (part.strip().strip(_QUOTES).strip() for part in separator.split(text))
    return [part for part in parts if part]


def come_back(parts_of: Mapping[str, Sequence[str]]) -> bool:
    """Whether most parts of names with several parts are in other names as well, or stand alone elsewhere.

    Names with synonyms have parts of their own.
    """
    combined = [parts for parts in parts_of.values() if len(parts) > 1]
    alone = {parts[0] for parts in parts_of.values() if len(parts) == 1}
    count = Counter(part for parts in parts_of.values() for part in parts)
    if combined and all(part in alone for parts in combined for part in parts):
        return True
    return len(combined) > 1 and count.total() >= 1.5 * len(count)


def hint_at_several(texts: Iterable[str], option: str) -> list[str]:
    """Return a sentence if names of classes may be several labels by an unusual separator; else nothing."""
    texts = list(texts)
    for separator in _OTHERS:
        parts = {text: _split(text, separator) for text in texts}
        has_numbers = any(part.isdecimal() for own in parts.values() for part in own)
        if not has_numbers and come_back(parts):
            combined = next(text for text, own in parts.items() if len(own) > 1)
            return [
                f"Names such as {combined!r} are taken for classes; if they are several labels of a picture: "
                f"{option}."
            ]
    return []
