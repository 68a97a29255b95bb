"""``hubtune split --from``: what lists that were made elsewhere leak."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.console import print_json, print_table, say, shown
from hubtune.cli.found import found_as_dict, print_found, quoted, say_how_to_repair
from hubtune.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from hubtune.data.splits.files import Split

_MOST_SHOWN = 10


def check_lists(folder: Path, *, group_by: str | None, out: Path | None, force: bool, as_json: bool) -> None:
    """Check lists for pictures that lie on other sides than their copies.

    Exits with the code of a failed check where there are some, and no lists without them were asked for.

    Args:
        folder: where the lists are.
        group_by: a regular expression over names: what else keeps pictures together.
        out: where to write lists without the leaks; ``None`` writes nothing.
        force: whether other lists there may be replaced.
        as_json: whether the result is JSON.

    Raises:
        HubtuneError: if lists cannot be read or written.
    """
    from hubtune.cli.lists import groups_of, listing_of, scanned_again
    from hubtune.data.dataset import ListDataset
    from hubtune.data.splits.files import write_split
    from hubtune.data.splits.quota import NOTHING
    from hubtune.data.splits.split import make_split

    if folder.is_file():
        raise UsageError(f"--from takes a folder with lists, and {folder} is a file")
    dataset = ListDataset(folder)
    scan = scanned_again(listing_of(dataset))
    split = make_split(
        scan,
        validate=NOTHING,
        labels={name: name for name in dataset.label_list},
        groups=groups_of(scan, pattern=group_by),
    )
    files = []
    if out is not None:
        repaired = _repaired(split)
        files = write_split(
            repaired, out, {"seed": 0, "from": str(folder), "group_by": group_by}, force=force
        )
    if as_json:
        print_json(
            {
                "lists": {name: len(entries) for name, entries in split.lists.items()},
                **found_as_dict(split),
                "left_out": [{"path": str(e.path), "reason": e.reason} for e in split.left_out],
                "remarks": split.remarks,
                "files": [str(file) for file in files],
            }
        )
    else:
        _print(split)
        if out is not None:
            say(f"\nWritten to {quoted(out)}: {', '.join(file.name for file in files)}")
        elif split.leaks:
            say("")
            say_how_to_repair(folder)
    if split.leaks and out is None:
        click.get_current_context().exit(CheckFailedError.exit_code)


def _repaired(split: "Split") -> "Split":
    """The split without its leaks: what is measured stays, what is trained on loses the copies."""
    from hubtune.data.listing import Excluded
    from hubtune.data.splits.leakage import WORDS, without_leaks

    lists, lost = without_leaks(split.lists, split.leaks)
    beside = {mate.path: leak.part for leak in split.leaks for mate in leak.mates}
    left_out = [
        Excluded(image.path, f"a copy of it is in the {WORDS[beside[image.path]]} list") for image in lost
    ]
    return replace(split, lists=lists, left_out=[*split.left_out, *left_out], leaks=[])


def _print(split: "Split") -> None:
    from hubtune.data.splits.leakage import KIND_WORDS

    kinds = [kind for kind in KIND_WORDS if kind in ("equal", "near") or kind in split.group_kinds]
    lines = [["list", "pictures", "leaks", *(KIND_WORDS[kind] for kind in kinds)]]
    for name, entries in split.lists.items():
        # A test picture with copies in two lists is one leak.
        found = {leak.image.path: leak.kind for leak in reversed(split.leaks) if leak.part == name}
        counts = Counter(found.values())
        cells = (
            ["–"] * (1 + len(kinds))
            if name == "train"
            else [str(len(found)), *(str(counts[k]) for k in kinds)]
        )
        if entries:
            lines.append([name, f"{len(entries):,}", *cells])
    print_table(lines)
    print_found(split, "they are in the lists, but cannot be used")
    if split.leaks:
        say("")
    for leak in split.leaks[:_MOST_SHOWN]:
        mate, more = leak.mates[0], len(leak.mates) - 1
        also = f" and {more} more" if more else ""
        say(f"{leak.part}: {shown(leak.image.name)} – {leak.beside}: {shown(mate.name)}{also} ({leak.kind})")
    if len(split.leaks) > _MOST_SHOWN:
        say(f"… and {len(split.leaks) - _MOST_SHOWN:,} more; --json has all")
