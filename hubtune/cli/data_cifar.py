"""``hubtune data cifar``."""

from functools import partial
from pathlib import Path

import click

from hubtune.cli.console import print_json, say, shown

# The largest batch, CIFAR-100's, has 200,000.
_MOST_OPCODES = 1_000_000


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the pictures and lists go: a new folder, or an empty one.",
)
@click.option(
    "--val",
    default="10%",
    show_default=True,
    metavar="N",
    help="Validation pictures per class, out of the training pictures: 500, or 0.1, or 10%.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Another seed gives other validation pictures.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(source: Path, out: Path, val: str, seed: int, as_json: bool) -> None:
    """Turn CIFAR-10 or CIFAR-100 as published (the Python version) into pictures and lists.

    SOURCE is the folder with the batches, or the .tar.gz as it was downloaded; what is in it is read without
    running it. Pictures become PNG files, a folder a class. The test list is CIFAR's own.

    \b
    hubtune data cifar cifar-10-python.tar.gz -o datasets/cifar10
    hubtune data cifar cifar-100-python/ -o datasets/cifar100 --val 50
    """
    from hubtune.cli.progress import counting_bar
    from hubtune.data.sources.cifar import convert
    from hubtune.storage.pickle_reader import read_plain_pickle
    from hubtune.text import plural

    read = partial(read_plain_pickle, most_opcodes=_MOST_OPCODES)
    with counting_bar("writing pictures, by batch") as advance:
        done = convert(source, out, read=read, validate=val, seed=seed, advance=advance)
    if as_json:
        print_json(
            {
                "folder": str(out),
                "name": done.name,
                "classes": list(done.classes),
                "counts": done.counts,
                "left_out": done.left_out,
                "remarks": list(done.remarks),
            }
        )
        return
    counts = done.counts
    click.echo(
        f"{done.name}: {len(done.classes)} classes; {counts['train']:,} pictures for training, "
        f"{counts['validate']:,} for validation, {counts['test']:,} for the test"
    )
    for remark in done.remarks:
        say(f"• {shown(remark)}")
    if done.left_out:
        say(
            f"• {plural(done.left_out, 'training picture')} left out, as the test list has the same; "
            "split.json names them."
        )
    say(f"Written to {shown(str(out))}")
    say(f"Next: hubtune finetune recipes/cifar10_resnet.yaml -o data.base={shown(str(out))}")
