"""``hubtune split --from``: the leaks of existing lists."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.console import print_json, print_table, say, shown
from hubtune.cli.split_output import print_remarks, quote_path, say_repair
from hubtune.errors import CheckFailedError, UsageError
from hubtune.messages.translation import translate, translate_word

if TYPE_CHECKING:
    from hubtune.data.dataset import ListDataset
    from hubtune.data.splits.files import Split

_MOST_SHOWN = 10


def check_lists_in(
    dataset: "ListDataset", *, group_by: str | None, out: Path | None, force: bool, as_json: bool
) -> None:
    """Print the images that have copies or images of their group in other lists.

    Exits with the code of a failed check if there are some, unless lists without them are written to ``out``.
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.existing_lists import check_lists
    from hubtune.data.splits.files import write_split

    folder = dataset.base_path
    if folder.is_file():
        raise UsageError(f"--from takes a folder with lists, and {folder} is a file")
    with working_bar("reading pictures") as progress:
        split = check_lists(dataset, group_by=group_by, progress=progress)
    files = []
    if out is not None:
        options = {"seed": 0, "from": str(folder), "group_by": group_by}
        files = write_split(split.without_leaks(), out, options, force=force)
    if as_json:
        document = split.as_dict()
        print_json(
            {
                "lists": {name: len(images) for name, images in split.lists.items()},
                **{name: document[name] for name in ("groups", "conflicts", "leaks", "left_out", "remarks")},
                "files": [str(file) for file in files],
            }
        )
    else:
        _print_leaks(split)
        if out is not None:
            say(f"\nWritten to {quote_path(out)}: {', '.join(file.name for file in files)}")
        elif split.leaks:
            say("")
            say_repair(folder)
    if split.leaks and out is None:
        click.get_current_context().exit(CheckFailedError.exit_code)


def _print_leaks(split: "Split") -> None:
    from hubtune.data.splits.leakage import KIND_WORDS

    kinds = [kind for kind in KIND_WORDS if kind in ("equal", "near") or kind in split.group_kinds]
    lines = [["list", "pictures", "leaks", *(KIND_WORDS[kind] for kind in kinds)]]
    for name, images in split.lists.items():
        # A test image with copies in two lists is one leak.
        leaks = {leak.image.path: leak.kind for leak in reversed(split.leaks) if leak.part == name}
        counts = Counter(leaks.values())
        cells = [str(len(leaks)), *(str(counts[kind]) for kind in kinds)]
        if images:
            lines.append([name, f"{len(images):,}", *(["–"] * len(cells) if name == "train" else cells)])
    print_table(lines)
    print_remarks(split, "they are in the lists, but cannot be used")
    if split.leaks:
        say("")
    for leak in split.leaks[:_MOST_SHOWN]:
        mate, more = leak.mates[0], len(leak.mates) - 1
        also = f" and {more} more" if more else ""
        part, beside, kind = map(translate_word, (leak.part, leak.beside, leak.kind))
        click.echo(
            f"{part}: {shown(leak.image.name)} – {beside}: {shown(mate.name)}{translate(also)} ({kind})",
            err=True,
        )
    if len(split.leaks) > _MOST_SHOWN:
        say(f"… and {len(split.leaks) - _MOST_SHOWN:,} more; --json has all")
