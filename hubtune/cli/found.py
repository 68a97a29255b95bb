"""What a look at pictures has found, for people and as JSON."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubtune.cli.console import say, shown

if TYPE_CHECKING:
    from hubtune.data.splits.files import Split


def quoted(path: Path | str) -> str:
    """A path as it can be typed into a shell."""
    text = shown(str(path))
    return text if all(c.isalnum() or c in "-_./\\:" for c in text) else f'"{text}"'


def print_found(split: "Split", record: str) -> None:
    """Name what is in no list, by reason, as a camera's whole card of one kind is one line; then the rest.

    Args:
        split: with what was found.
        record: what becomes of the files that are left out, or where all of them are named.
    """
    from hubtune.text import first_few, plural

    if split.left_out:
        say(f"\nLeft out: {plural(len(split.left_out), 'file')}; {record}.")
    reasons: dict[str, list[str]] = {}
    for entry in split.left_out:
        reasons.setdefault(entry.reason, []).append(shown(_known_as(entry.path)))
    for reason, paths in reasons.items():
        say(f"• {shown(reason)}: {first_few(paths)}")
    if split.remarks:
        say("")
    for remark in split.remarks:
        say(f"• {shown(remark)}")


def _known_as(path: Path) -> str:
    """A file as a person knows it: one of an archive or an address by its path there, not in the cache."""
    from hubtune.storage.cache_folder import data_folder

    inside = path.relative_to(data_folder()).parts if path.is_relative_to(data_folder()) else ()
    return "/".join(inside[3:]) or str(path)  # kind/source/files/…


def say_how_to_repair(folder: Path) -> None:
    """Say what makes lists without leaks of those in a folder."""
    say(f"For lists without leaks: hubtune split --from {quoted(folder)} --out DIR")


def found_as_dict(split: "Split") -> dict[str, Any]:
    """Groups, contradictory labels and leaks as JSON has them."""
    from hubtune.data.dedup.groups import GROUP_KINDS

    kinds = Counter(split.group_kinds)
    return {
        "groups": {
            **{kind: kinds[kind] for kind in GROUP_KINDS},
            "pictures": sum(map(len, split.groups)),
        },
        "conflicts": [[str(image.path) for image in group] for group in split.conflicts],
        "leaks": [
            {
                "path": str(leak.image.path),
                "list": leak.part,
                "in": leak.beside,
                "kind": leak.kind,
                "copies": [str(mate.path) for mate in leak.mates],
            }
            for leak in split.leaks
        ],
    }
