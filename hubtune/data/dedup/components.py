"""What hangs together, directly or through others: connected components."""

from collections.abc import Iterable
from typing import TypeVar

Member = TypeVar("Member", int, str)


def component_of(sets: Iterable[Iterable[Member]]) -> dict[Member, Member]:
    """Join sets that have a member in common, by union-find (Galler & Fischer, CACM 7, 1964).

    Returns:
        For each member, in rising order, the least of those that it hangs together with.
    """
    top: dict[Member, Member] = {}

    def find(member: Member) -> Member:
        while top[member] != member:
            top[member] = top[top[member]]
            member = top[member]
        return member

    for members in sets:
        first: Member | None = None
        for member in members:
            own = find(top.setdefault(member, member))
            if first is None:
                first = own
            first, other = min(first, own), max(first, own)
            top[other] = first
    return {member: find(member) for member in sorted(top)}
