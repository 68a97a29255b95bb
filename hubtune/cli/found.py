"""What a look at pictures has found, for people and as JSON."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubtune.cli.output import say, shown

if TYPE_CHECKING:
    from hubtune.data.split_files import Split


def quoted(path: Path | str) -> str:
    """A path as it can be typed into a shell."""
    text = shown(str(path))
    return text if all(c.isalnum() or c in "-_./\\:" for c in text) else f'"{text}"'


def print_left_out(split: "Split", record: str = "split.json has them all") -> None:
    """Name what is in no list, by reason: a camera's whole card of one kind is one line."""
    from hubtune.data.scan import counted, some

    if not split.left_out:
        return
    say(f"\nLeft out: {counted(len(split.left_out), 'file')}; {record}.")
    reasons: dict[str, list[str]] = {}
    for entry in split.left_out:
        reasons.setdefault(entry.reason, []).append(shown(str(entry.path)))
    for reason, paths in reasons.items():
        say(f"• {reason}: {some(paths)}")


def found_as_dict(split: "Split") -> dict[str, Any]:
    """Groups, contradictory labels and leaks as JSON has them."""
    from hubtune.data.belonging import KINDS

    kinds = Counter(split.group_kinds)
    return {
        "groups": {
            **{kind: kinds[kind] for kind in KINDS},
            "pictures": sum(map(len, split.groups)),
        },
        "conflicts": [[str(picture.path) for picture in group] for group in split.conflicts],
        "leaks": [
            {
                "path": str(leak.picture.path),
                "list": leak.part,
                "in": leak.beside,
                "kind": leak.kind,
                "copies": [str(mate.path) for mate in leak.mates],
            }
            for leak in split.leaks
        ],
    }
