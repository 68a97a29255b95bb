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
        cure: what to do if whole folders contradict, the end of a sentence.

    Raises:
        DataError: if several folders are called as classes, and all labels of their images say otherwise.
    """
    classes_of: dict[str, frozenset[int]] = {}
    agreeing, contradicting = set(), []
    forms = [_form(name) for name in names]
    for where, path, label in rows:
        folders = split_path(path)[:-1]
        folder = "/".join(folders)
        if folder not in classes_of:
            classes_of[folder] = frozenset(n for name in folders for n in _named_classes(_form(name), forms))
        if label in classes_of[folder]:
            agreeing.add(classes_of[folder])
        elif classes_of[folder]:
            contradicting.append((where, label, folder))
    if not contradicting:
        return []
    where, label, folder = contradicting[0]
    whole = {classes_of[folder] for _, _, folder in contradicting} - agreeing
    if len(whole) > 1:
        where, label, folder = next(row for row in contradicting if classes_of[row[2]] in whole)
    example = f"{where}: the label is {names[label]!r}, but the picture lies in '{escaped(folder)}'"
    if len(whole) > 1 and _is_shifted(
        names, {(min(classes_of[folder]), n) for _, n, folder in contradicting}
    ):
        return [
            f"The folders are called by other numbers than the labels, in the same order: the pictures in "
            f"'{escaped(folder)}' are the class {names[label]!r}."
        ]
    if len(whole) > 1:
        others = f"all others in {len(whole)} folders" if agreeing else "all others"
        raise DataError(f"{example}; so do {others}: {cure}")
    verb = "contradicts" if len(contradicting) == 1 else "contradict"
    return [f"{plural(len(contradicting), 'label')} {verb} the picture's folder, such as {example}."]


def _is_shifted(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> bool:
    """Whether classes and folders are numbers in the same order, as where one of them counts from 1."""
    places, labels = zip(*sorted(pairs), strict=True)
    return all(map(str.isdecimal, names)) and all(
        len(set(numbers)) == len(numbers) and [*numbers] == sorted(numbers) for numbers in (places, labels)
    )


def split_path(path: str) -> list[str]:
    """Return the names of a path with ``/`` or ``\\``."""
    return [name for name in path.replace("\\", "/").split("/") if name]


def _form(name: str) -> str:
    plain = " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFKC", name).casefold().strip()))
    return str(int(plain)) if plain.isdecimal() else plain


def _named_classes(folder: str, names: Sequence[str]) -> Iterable[int]:
    """Return the class that a folder is called as, but for a number before it, or whose name it begins."""
    if folder in names:
        return [names.index(folder)]
    beginning = [number for number, name in enumerate(names) if re.match(re.escape(folder) + r"[\W_]", name)]
    if len(beginning) == 1:
        return beginning
    word = _without_number(folder)
    same = [number for number, name in enumerate(names) if _without_number(name) == word]
    return same if len(same) == 1 else []


def _without_number(name: str) -> str:
    """Return ``cat`` for ``001.cat`` and ``1 cat``."""
    return re.sub(r"^\d+[\W_]+(?=[^\W\d])", "", name)
