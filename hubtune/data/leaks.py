"""Pictures that belong together: byte-equal, nearly equal, or another frame of the same thing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hubtune.data.scan import Picture


@dataclass(frozen=True)
class Group:
    """Pictures that must stay on one side of a split.

    Attributes:
        members: their places in the sequence that was searched, rising.
        kind: ``equal``: the same bytes; ``near``: one picture, changed; ``given``: the source says so.
    """

    members: tuple[int, ...]
    kind: Literal["equal", "near", "given"]


def find_groups(pictures: Sequence[Picture]) -> list[Group]:
    """Find the groups; every picture is in at most one.

    Returns:
        Groups of at least two, in the order of their first members.
    """
    copies = defaultdict(list)
    for place, picture in enumerate(pictures):
        copies[picture.sha256].append(place)
    return [Group(tuple(members), "equal") for members in copies.values() if len(members) > 1]
