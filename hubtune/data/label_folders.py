"""Compares the labels of lists and tables with folders that are called as classes."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from hubtune.errors import DataError
from hubtune.text import escaped, plural


def compare_folders(rows: Iterable[tuple[object, str, int]], names: Sequence[str], cure: str) -> list[str]:
    """Return a sentence if labels contradict the folders of their images.

    Args:
        rows: where a label stands, as text for messages; the path of its image; the number of its class.
        names: the names of the classes.
        cure: what to do if whole folders contradict, the end of a sentence.

    Raises:
        DataError: if several folders are called as classes, and all labels of their images say otherwise.
    """
    classes_of: dict[str, frozenset[int]] = {}
    agreeing, contradicting = set(), []
    named_classes = _class_finder([_form(name) for name in names])
    for where, path, label in rows:
        folder = path.replace("\\", "/").rpartition("/")[0]
        if folder not in classes_of:
            names_above = split_path(folder)
            classes_of[folder] = frozenset(n for name in names_above for n in named_classes(_form(name)))
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


def _class_finder(names: Sequence[str]) -> Callable[[str], list[int]]:
    """Return a function that finds the class that a folder is called as, or whose name only it begins.

    A number before the one or the other does not count.
    """
    ordered = sorted((name, number) for number, name in enumerate(names))
    by_word: dict[str, list[int]] = {}
    for name, number in ordered:
        by_word.setdefault(_without_number(name), []).append(number)

    @cache
    def find(folder: str) -> list[int]:
        found: list[int] = []
        for place in range(bisect_left(ordered, (folder,)), len(ordered)):
            name, number = ordered[place]
            if name == folder:
                return [number]
            if not name.startswith(folder) or len(found) > 1:
                break
            if not name[len(folder)].isalnum():  # a word ends there
                found.append(number)
        same = found if len(found) == 1 else by_word.get(_without_number(folder), [])
        return same if len(same) == 1 else []

    return find


def _without_number(name: str) -> str:
    """Return ``cat`` for ``001.cat`` and ``1 cat``."""
    return re.sub(r"^\d+[\W_]+(?=[^\W\d])", "", name)
