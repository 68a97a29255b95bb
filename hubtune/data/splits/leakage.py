"""Leaks: images with a copy, or a mate of their group, in a list that must be independent of theirs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hubtune.data.dedup.groups import GROUP_KINDS, DuplicateGroup
from hubtune.data.listing import WORDS, ImageEntry
from hubtune.text import plural

KIND_WORDS = {
    "equal": "equal",
    "near": "nearly equal",
    "burst": "of the same thing",
    "given": "of a group that was given",
}

LIST_PAIRS = (("validate", "train"), ("test", "train"), ("test", "validate"))
"""Lists that must not share images: a measured image must not have been trained on, and a test image must not
have chosen the model."""


@dataclass(frozen=True)
class Leak:
    """An image of a validation or test list that has mates in an earlier list.

    Attributes:
        part: the image's list, ``validate`` or ``test``.
        beside: the list of its mates: ``train``, or ``validate`` for a test image.
        mates: its copies, or other images of its group, in that list.
        kind: the closest relation to one of them, one of :data:`GROUP_KINDS`.
    """

    image: ImageEntry
    part: str
    beside: str
    mates: tuple[ImageEntry, ...]
    kind: str


def find_leaks(
    images: Sequence[ImageEntry], parts: Sequence[str | None], groups: Iterable[DuplicateGroup]
) -> list[Leak]:
    """Find the leaks between lists: those of the validation list first, each in the order of images.

    ``parts`` has the list of each image; ``groups`` are of their places.
    """
    leaks: dict[tuple[int, str], Leak] = {}
    for group in groups:
        members = defaultdict(list)
        for place in group.members:
            members[parts[place]].append(place)
        for part, beside in LIST_PAIRS:
            mates = tuple(images[mate] for mate in members[beside])
            sums = {mate.sha256 for mate in mates}
            for place in members[part] if mates else ():
                kind = "equal" if images[place].sha256 in sums else group.kind
                known = leaks.get((place, beside))
                if known is None or GROUP_KINDS.index(kind) < GROUP_KINDS.index(known.kind):
                    leaks[place, beside] = Leak(images[place], part, beside, mates, kind)
    return [leaks[key] for key in sorted(leaks, key=lambda key: (parts[key[0]] == "test", *key))]


def describe_leaks(leaks: Sequence[Leak], counts: Mapping[str, int]) -> list[str]:
    """Return a sentence for every two lists that share images; ``counts`` are the sizes of the lists."""
    sentences = []
    for part, beside in LIST_PAIRS:
        kinds = [leak.kind for leak in leaks if (leak.part, leak.beside) == (part, beside)]
        if kinds:
            by_kind = ", ".join(
                f"{kinds.count(kind):,} {words}" for kind, words in KIND_WORDS.items() if kind in kinds
            )
            images, words = plural(counts[part], f"{WORDS[part]} picture"), WORDS[beside]
            sentences.append(
                f"{len(kinds):,} of {images} {'has' if len(kinds) == 1 else 'have'} "
                f"{'copies or images of their group' if 'given' in kinds else 'copies'} in the {words} list "
                f"({by_kind})."
            )
    return sentences
