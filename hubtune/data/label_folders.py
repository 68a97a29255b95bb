"""Compares the labels of lists and tables with folders that are called as classes."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from hubtune.errors import DataError
from hubtune.text import escaped, plural


def compare_folders(rows: Iterable[tuple[str, str, int]], names: Sequence[str], cure: str) -> list[str]:
    """Return a sentence if labels contradict the folders of their images.

    Args:
        rows: where a label stands, for messages; the path of its image; the number of its class.
        names: the names of the classes.
        cure: what to do if all contradict, the end of a sentence.

    Raises:
        DataError: if several folders are called as classes, and all labels say otherwise.
    """
    classes_of: dict[str, set[int]] = {}
    agreeing, contradicting = 0, []
    forms = [_form(name) for name in names]
    for where, path, label in rows:
        folders = split_path(path)[:-1]
        folder = "/".join(folders)
        if folder not in classes_of:
            classes_of[folder] = {number for name in folders for number in _named_classes(_form(name), forms)}
        if label in classes_of[folder]:
            agreeing += 1
        elif classes_of[folder]:
            contradicting.append((where, label, folder))
    if not contradicting:
        return []
    where, label, folder = contradicting[0]
    example = f"{where}: the label is {names[label]!r}, but the picture lies in '{escaped(folder)}'"
    if not agreeing and len({folder for _, _, folder in contradicting}) > 1:
        raise DataError(f"{example}; so do all others: {cure}")
    verb = "contradicts" if len(contradicting) == 1 else "contradict"
    return [f"{plural(len(contradicting), 'label')} {verb} the picture's folder, such as {example}."]


def split_path(path: str) -> list[str]:
    """Return the names of a path with ``/`` or ``\\``."""
    return [name for name in path.replace("\\", "/").split("/") if name]


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _named_classes(folder: str, names: Sequence[str]) -> Iterable[int]:
    """Return the classes that a folder is called as, or whose names only it begins."""
    if folder in names:
        return [names.index(folder)]
    beginning = [number for number, name in enumerate(names) if re.match(re.escape(folder) + r"[\W_]", name)]
    return beginning if len(beginning) == 1 else []
