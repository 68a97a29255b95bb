"""How a source is to be read, where a person says it: its lists, classes, columns, encoding and labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hubtune.data.list_labels import LABELS_ARE
from hubtune.data.listing import PART_OF_WORD, PARTS
from hubtune.errors import UsageError, suggest
from hubtune.storage.text_file import check_encoding

COLUMN_MEANINGS = ("path", "label", "group", "split")


@dataclass(frozen=True)
class SourceSettings:
    """Answers to what a source does not say with certainty; nothing is set by default.

    Attributes:
        parts: list, one of :data:`~hubtune.data.listing.PARTS` → the folder with its class folders.
        as_classes: every folder is a class and every picture counts, whatever they are called.
        encoding: of lists and tables.
        columns: ``path``, ``label``, ``group``, ``split`` → the name of a table's column, or its number from
            1 if the table has no line with names.
        labels_are: what the labels of lists are: see :func:`~hubtune.data.list_labels.class_labels`.
        no_list: a bucket is not listed again if an earlier listing of it is stored.
        listing: a file with the listing of a bucket, which is not listed then.
        least_classes: fewest classes that are no mistake; 1 if others come from elsewhere.
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    as_classes: bool = False
    encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    labels_are: str | None = None
    no_list: bool = False
    listing: Path | None = None
    least_classes: int = 2

    def __post_init__(self) -> None:
        """Refuse unknown words by a UsageError."""
        for name in self.parts:
            if name not in PARTS:
                raise UsageError(f"There is no list {name!r}: write train, validate or test")
        if self.parts and PARTS[0] not in self.parts:
            raise UsageError("The folders of lists lack the training folder: add train=FOLDER")
        if self.no_list and self.listing is not None:
            raise UsageError("--no-list and --listing contradict one another: give one of them")
        if self.parts and self.as_classes:
            raise UsageError("--parts and --as-classes contradict one another: give one of them")
        for name in self.columns:
            if name not in COLUMN_MEANINGS:
                raise UsageError(
                    f"A column is {', '.join(COLUMN_MEANINGS)}, not {name!r}.{suggest(name, COLUMN_MEANINGS)}"
                )
        if self.labels_are is not None and self.labels_are not in LABELS_ARE:
            raise UsageError(f"Labels are {', '.join(LABELS_ARE)}, not {self.labels_are!r}")
        if self.encoding is not None:
            check_encoding(self.encoding)

    def as_overrides(self) -> list[str]:
        """Return what is said about lists as overrides of a recipe."""
        keys = {"data.encoding": self.encoding, "data.labels_are": self.labels_are}
        return [f"{key}={value}" for key, value in keys.items() if value is not None]


AS_FOUND = SourceSettings()
"""Nothing is said: the source itself must tell."""


def parse_parts(text: str) -> dict[str, str]:
    """Read ``train=seg_train,val=…,test=seg_test``; a UsageError if it is not of that form."""
    return {PART_OF_WORD.get(word.lower(), word): folder for word, folder in _pairs("--parts", text).items()}


def parse_columns(text: str) -> dict[str, str]:
    """Read ``path=file,label=breed``; a UsageError if it is not of that form."""
    return _pairs("--column", text)


def _pairs(option: str, text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in text.split(","):
        word, separator, value = (piece.strip() for piece in item.partition("="))
        if not separator or not word or not value or word in pairs:
            raise UsageError(f"{option} {text!r}: write NAME=VALUE,NAME=VALUE, each name once")
        pairs[word] = value
    return pairs
