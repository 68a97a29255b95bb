"""Leaks: pictures that lie on another side than a copy of theirs, or another picture of their group."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.listing import ImageEntry
from hubtune.text import plural

WORDS = {"train": "training", "validate": "validation", "test": "test"}
KIND_WORDS = {
    "equal": "equal",
    "near": "nearly equal",
    "burst": "of the same thing",
    "given": "of a group that was given",
}

# What a list must not share pictures with: nothing that is measured may have been trained on, and nothing
# that the model was chosen on may be in the test.
_BEFORE = {"validate": ("train",), "test": ("train", "validate")}


@dataclass(frozen=True)
class Leak:
    """A picture that a list has, though lists that come before it have something of it.

    Attributes:
        image: which.
        part: its list, ``validate`` or ``test``.
        beside: the list of the others: ``train``, or ``validate`` where the test list has a copy of a
            validation picture.
        mates: those others.
        kind: ``equal``, ``near``, ``burst`` or ``given``: the closest tie to one of them.
    """

    image: ImageEntry
    part: str
    beside: str
    mates: tuple[ImageEntry, ...]
    kind: str


def find_leaks(
    images: Sequence[ImageEntry], parts: Sequence[str | None], groups: Iterable[DuplicateGroup]
) -> list[Leak]:
    """Find the leaks between lists.

    Args:
        images: all pictures.
        parts: the list of each.
        groups: of the pictures, by their places.

    Returns:
        The leaks of the validation list, then those of the test list; each in the order of pictures.
    """
    found: dict[tuple[int, str], Leak] = {}
    for group in groups:
        members = defaultdict(list)
        for place in group.members:
            members[parts[place]].append(place)
        for part, beside in ((part, beside) for part, before in _BEFORE.items() for beside in before):
            mates = tuple(images[mate] for mate in members[beside])
            sums = {mate.sha256 for mate in mates}
            for place in members[part] if mates else ():
                kind = "equal" if images[place].sha256 in sums else group.kind
                known = found.get((place, beside))
                if known is None or _KINDS.index(kind) < _KINDS.index(known.kind):
                    found[place, beside] = Leak(images[place], part, beside, mates, kind)
    return [found[key] for key in sorted(found, key=lambda key: (parts[key[0]] == "test", *key))]


_KINDS = tuple(KIND_WORDS)


def without_leaks(
    lists: Mapping[str, Sequence[tuple[ImageEntry, int]]], leaks: Iterable[Leak]
) -> tuple[dict[str, list[tuple[ImageEntry, int]]], list[ImageEntry]]:
    """Take leaks out of lists: what was measured stays as it is, what came before it loses the copies.

    Returns:
        The lists, and the pictures that are in none of them any more.
    """
    gone = {(leak.beside, mate.path) for leak in leaks for mate in leak.mates}
    kept: dict[str, list[tuple[ImageEntry, int]]] = {}
    lost = []
    for name, entries in lists.items():
        # A file that stands in both lists is lost by the one only.
        kept[name] = [entry for entry in entries if (name, entry[0].path) not in gone]
        lost += [image for image, _ in entries if (name, image.path) in gone]
    return kept, lost


def leaks_in_words(leaks: Sequence[Leak], counts: Mapping[str, int]) -> list[str]:
    """A sentence for each two lists that share pictures.

    Args:
        leaks: as :func:`find_leaks` gives them.
        counts: pictures in each list.
    """
    said = []
    for part, before in _BEFORE.items():
        for beside in before:
            kinds = [leak.kind for leak in leaks if (leak.part, leak.beside) == (part, beside)]
            if kinds:
                parted = ", ".join(
                    f"{kinds.count(kind):,} {words}" for kind, words in KIND_WORDS.items() if kind in kinds
                )
                verb = "has" if len(kinds) == 1 else "have"
                what = "copies or group mates" if "given" in kinds else "copies"
                said.append(
                    f"{len(kinds):,} of {plural(counts[part], f'{WORDS[part]} picture')} {verb} {what} in "
                    f"the {WORDS[beside]} list ({parted})."
                )
    return said
