"""``hubtune data cifar``."""

from pathlib import Path

import click

from hubtune.cli.console import echo, print_json, say, shown
from hubtune.cli.options import DIR, PATH, json_option
from hubtune.text import plural


@click.command()
@click.argument("source", type=PATH)
@click.option(
    "-o",
    "--out",
    required=True,
    type=DIR,
    help="Where the pictures and lists go: a new folder, or an empty one.",
)
@click.option(
    "--val",
    default="10%",
    metavar="N",
    help="Validation pictures per class, out of the training pictures: 500, or 0.1, or 10%.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, help="Another seed gives other validation pictures."
)
@json_option
def command(source: Path, out: Path, val: str, seed: int, as_json: bool) -> None:
    """Turn CIFAR-10 or CIFAR-100 as published (the Python version) into pictures and lists.

    SOURCE is the folder with the batches, or the .tar.gz as it was downloaded; no code in it is run. Pictures
    become PNG files in a folder for each class. The test list is CIFAR's own.

    \b
    hubtune data cifar cifar-10-python.tar.gz -o datasets/cifar10
    hubtune data cifar cifar-100-python/ -o datasets/cifar100 --val 50
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.prepare import convert_cifar
    from hubtune.data.splits.quota import SplitRequest, SplitSize

    request = SplitRequest(validate=SplitSize.parse(val), seed=seed)
    with working_bar("reading") as progress:
        name, split = convert_cifar(source, out, request, progress)
    counts = {part: len(images) for part, images in split.lists.items()}
    left_out = len(split.left_out)
    if as_json:
        figures = {"classes": split.folders, "counts": counts, "left_out": left_out, "remarks": split.remarks}
        print_json({"folder": str(out), "name": name, **figures})
        return
    lists = f"{counts['validate']:,} for validation, {counts['test']:,} for the test"
    echo(f"{name}: {len(split.folders)} classes; {counts['train']:,} pictures for training, {lists}")
    for remark in split.remarks:
        say(f"• {shown(remark)}")
    if left_out:
        images = plural(left_out, "training picture")
        say(f"• {images} left out, as the test list has the same; split.json names them.")
    say(f"Written to {shown(out)}")
    say(f"Next: hubtune finetune recipes/cifar10_resnet.yaml -o data.base={shown(out)}")
