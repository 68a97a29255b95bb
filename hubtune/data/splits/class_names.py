"""Names of classes: display names of class folders, and classes in the names of images."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hubtune.data.label_names import parse_label_names
from hubtune.data.label_sets import LabelSets
from hubtune.errors import DataError, suggest
from hubtune.storage.text_file import read_encoded_text
from hubtune.text import escaped


def class_namer(folders: Sequence[str], labels: Sequence[str]) -> Callable[[str], int | None]:
    """Return a function that finds the number of the class in the name of an image, or ``None``.

    A class is a folder or a display name in ``<class>/….jpg``, ``<class>.jpg``, ``<class>_2.jpg``, ….
    """
    # Exact names before those in another case, folders before display names.
    readings = [
        (fold, {fold(unicodedata.normalize("NFC", name)): label for label, name in enumerate(names)})
        for names in (folders, labels)
        for fold in (str, str.casefold)
    ]

    def label_of(image: str) -> int | None:
        top, _, below = image.partition("/")
        word = unicodedata.normalize("NFC", top if below else Path(top).stem)
        numbered = None if below else re.fullmatch(r"(.*?)[\s_.()-]*\d+[\s_.()-]*", word, re.DOTALL)
        for candidate in (word, numbered[1] if numbered else word):
            for fold, known in readings:
                if fold(candidate) in known:
                    return known[fold(candidate)]
        return None

    return label_of


def read_display_names(file: Path, folders: Sequence[str], encoding: str | None = None) -> dict[str, str]:
    """Read display names for class folders.

    A line is ``folder name``, separated by a space, tab, comma, colon or ``=``; folders without a line keep
    their own name. A file of plain names, one for every folder, names the folders in sorted order; a file
    that lists the folders themselves sets the order of the labels, which is that of the returned dictionary.

    Raises:
        DataError: if the file is not UTF-8, a line matches no folder, or two classes would have one name.
    """
    try:
        content = read_encoded_text(file, encoding=encoding)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if content.lstrip().startswith("{"):
        content = _lines_of_index(content, file)
    normal = {unicodedata.normalize("NFC", folder): folder for folder in folders}
    lines = [unicodedata.normalize("NFC", line.strip()) for line in content.split("\n") if line.strip()]
    if sorted(lines) == sorted(normal):
        return {normal[line]: normal[line] for line in lines}
    longest_first = sorted({len(folder) for folder in normal}, reverse=True)  # `red fox` before `red`
    named: dict[str, str] = {}
    unmatched = []
    for line in lines:
        fits = (
            (folder, _name_in(line[length:]))
            for length in longest_first
            if (folder := line[:length]) in normal
        )
        folder, name = next(((folder, name) for folder, name in fits if name), ("", ""))
        if name:
            named[normal[folder]] = name
        else:
            unmatched.append(line)
    if len(unmatched) == len(lines) == len(folders):
        named, unmatched = dict(zip(folders, parse_label_names(lines, file).names, strict=True)), []
    if unmatched and len(named) < len(folders):
        raise DataError(
            f"{file}: '{escaped(unmatched[0])}' fits no class folder."
            f"{suggest(unmatched[0].split()[0], folders)} Write `folder name` a line, for example "
            "`yushuxin 虞书欣`"
        )
    names = {folder: named.get(folder, folder) for folder in folders}
    name, times = Counter(names.values()).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{file}: two classes would be called '{escaped(name)}': every class needs a name of its own"
        )
    return names


def rename_labels(
    label_sets: LabelSets, names: Path | Mapping[str, str] | None, encoding: str | None = None
) -> tuple[dict[str, str], LabelSets]:
    """Give the labels of multi-label data display names, and their order.

    ``names`` is label → display name, or a file as of :func:`read_display_names`.

    Returns:
        The old name of each set → its new one, in the new order, and the new sets.

    Raises:
        DataError: if the names do not fit the labels, or as :func:`read_display_names`.
    """
    labels = label_sets.labels
    if isinstance(names, Path):
        names = read_display_names(names, labels, encoding)
    elif names is None:
        names = dict(zip(labels, labels, strict=True))
    if set(names) != set(labels):
        odd = min(set(names) ^ set(labels))
        raise DataError(
            f"The display names do not fit the {len(labels):,} labels of the pictures, first "
            f"'{escaped(odd)}': give one for each label"
        )
    place = {label: number for number, label in enumerate(names)}
    changed = [[place[labels[number]] for number in own] for own in label_sets.sets]
    renamed = LabelSets.of([*names.values()], changed)
    old = {tuple(sorted(own)): name for own, name in zip(changed, label_sets.names, strict=True)}
    return {old[own]: name for own, name in zip(renamed.sets, renamed.names, strict=True)}, renamed


def _lines_of_index(content: str, file: Path) -> str:
    """Return the lines ``folder name`` of ``{"folder": "name"}`` or Keras' ``{"0": ["folder", "name"]}``."""
    try:
        pairs = [
            (key, value) if isinstance(value, str) else tuple(value)
            for key, value in json.loads(content).items()
        ]
        return "\n".join(f"{folder} {name}" for folder, name in pairs)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f'{file} does not name folders, {{"folder": "name", …}}: correct it') from error


def _name_in(rest: str) -> str:
    """Return the name behind the folder in a line ``folder name``; empty if the line is about another."""
    name = rest.lstrip()
    if name.startswith(("=", ":", ",")):
        return name[1:].lstrip()
    return name if name != rest else ""
