"""The messages of a catalogue and their translations, found by the words that a text has."""

import re
from collections.abc import Iterator

from hubtune.messages.catalogue import translations
from hubtune.messages.template import Template

# A word that no field touches.
_WORD = re.compile(r"(?<![\w{}])[A-Za-z]{2,}(?![\w{}])")


class KnownMessages:
    """Messages with and without fields, and their translations into a language.

    Attributes:
        phrases: message without fields → translation.
    """

    def __init__(self, code: str) -> None:
        # The messages of pages have fields of their own kind, and are not recognised in texts.
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
            if message.texts[0].startswith((" ", "•", "*", "→", "\n"))
        ]
        self.phrases: dict[str, str] = {}
        for message, translation in parsed:
            if not message.fields:
                self.phrases.setdefault(message.texts[0], translation.texts[0])
        self._templates = sorted(
            (pair for pair in parsed if pair[0].fields), key=lambda pair: pair[0].size, reverse=True
        )
        self._places: dict[str, list[int]] = {}
        for place, (message, _) in enumerate(self._templates):
            if words := _WORD.findall("{}".join(message.texts)):
                self._places.setdefault(max(words, key=len), []).append(place)

    def candidates(self, text: str) -> Iterator[tuple[Template, Template]]:
        """Yield the messages with fields that the text may be, those with the most words first."""
        places = {place for word in _WORD.findall(text) for place in self._places.get(word, ())}
        return (self._templates[place] for place in sorted(places))
