"""``hubtune data preview``."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.answers import check_target, trust_option
from hubtune.cli.output import print_json, say, shown
from hubtune.errors import DataError, MachineError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from hubtune.data.images.preprocessing import Preprocessing
    from hubtune.data.listing import ImageEntry
    from hubtune.recipe.augment import AugmentSettings
    from hubtune.recipe.schema import ImageSettings
    from hubtune.report.contact_sheet import Cell

AUGMENT_PRESETS = ("none", "flip", "crop", "standard", "strong")
"""Those of :data:`hubtune.recipe.augment.PRESETS`, whose module is too much for a help text."""

_SIDE = 224  # of a picture on the sheet, pixels: most networks' input as it is
_MOST_NAMED = 10  # of the pictures that cannot be read
# PNG keeps this among its first bytes; it tells a preview from a picture that is somebody's work.
_MARK = "hubtune data preview"
_MARKED = b"tEXtSoftware\0" + _MARK.encode()


@dataclass(frozen=True)
class _Source:
    """What is shown.

    Attributes:
        examples: the training list.
        labels: class names.
        view: how evaluation sees a picture.
        settings: what training does to it.
        name: names the settings.
        seed: the run's.
    """

    examples: "list[ImageEntry]"
    labels: list[str]
    view: "Preprocessing"
    settings: "AugmentSettings"
    name: str
    seed: int


@dataclass(frozen=True)
class _Row:
    """A training picture as the network sees it, uint8 ``[height, width, channels]`` each.

    Attributes:
        example: the picture.
        plain: in evaluation.
        augmented: in each epoch, from the first.
    """

    example: "ImageEntry"
    plain: "np.ndarray"
    augmented: "list[np.ndarray]"


@click.command()
@click.argument("data", metavar="RECIPE|PICTURES")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="preview.png",
    show_default=True,
    metavar="FILE",
    help="A .png file; an earlier preview is replaced.",
)
@click.option(
    "--augment",
    type=click.Choice(AUGMENT_PRESETS),
    help="A preset; default: the recipe's, or standard for pictures.",
)
@click.option("--count", type=click.IntRange(1, 12), default=6, show_default=True, help="How many pictures.")
@click.option(
    "--epochs", type=click.IntRange(1, 6), default=5, show_default=True, help="How many epochs of each."
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the run; default: the recipe's, or 0.")
@click.option(
    "--module",
    metavar="NAME",
    help="The module that will see them; default: the recipe's, or 224 × 224 pixels for pictures.",
)
@trust_option
@click.option("--force", is_flag=True, help="Replace a file that is no preview.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    data: str,
    output: Path,
    augment: str | None,
    count: int,
    epochs: int,
    seed: int | None,
    module: str | None,
    trust_code: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Draw what the network will see of a few training pictures.

    A row is a picture: first as evaluation sees it, then as training does in each epoch, drawn exactly as a
    run with this seed would. With mixup or CutMix, the last rows show mixed pictures and their shares.

    \b
    hubtune data preview pics/ --augment strong
    hubtune data preview recipes/idol5.yaml -o idol5.png
    """
    _check_output(output, force)
    recipe = _recipe_file(data)
    if recipe is not None:
        source = _from_recipe(recipe, augment, seed, module, trust_code)
    else:
        source = _from_images(data, augment or "standard", seed or 0, module, trust_code)
    say(f"{source.name}: {_in_words(source.settings)}")
    if not source.examples:
        raise DataError(f"The training list of {data} has no picture")

    from hubtune.report.contact_sheet import contact_sheet
    from hubtune.text import plural

    rows = _rows(source, count, epochs)
    columns = 1 + epochs
    cells = [cell for row in rows for cell in _cells(source, row)]
    cells += [cell for kind in ("mixup", "cutmix") for cell in _mixed(source, rows, kind, columns)]
    title = f"{source.name}: {source.view.description}, seed {source.seed}"
    drawn = contact_sheet(cells, columns=columns, side=_SIDE, title=title)
    _write(output, drawn.image)
    if as_json:
        print_json(
            {
                "output": str(output),
                "pictures": [
                    {"path": str(row.example.path), "label": source.labels[row.example.label]} for row in rows
                ],
                "preprocessing": source.view.model_dump(),
                "augment": source.settings.model_dump(),
                "seed": source.seed,
            }
        )
    say(f"{plural(len(rows), 'picture')} in {plural(epochs, 'epoch')} written to {shown(str(output))}")
    if not drawn.complete:
        say(
            "No font on this machine can draw all class names; the sheet has the classes' numbers. "
            "Install one, such as Noto Sans CJK, and run this again"
        )


def _check_output(output: Path, force: bool) -> None:
    """Refuse a place that cannot be written, or that has something else, before any work is done."""
    if output.suffix.lower() != ".png":
        raise UsageError(f"-o {output}: name a file that ends in .png")
    check_target(output, "-o")
    if force or not lexists(output):
        return
    try:
        with output.open("rb") as file:
            if _MARKED in file.read(256):
                return
    except OSError:
        pass  # a link that leads nowhere, or a file of somebody else's
    raise UsageError(
        f"{output} is there already, and is no preview: add --force to replace it, or name another file"
    )


def _recipe_file(data: str) -> Path | None:
    """The recipe that is meant, a run's own among them; ``None`` for pictures or lists."""
    from hubtune.data.sources.naming import is_source
    from hubtune.runs.folder import RECIPE_FILE, is_run

    path = Path(data)
    if is_source(data):
        return path / RECIPE_FILE if is_run(path) else None
    if not path.exists() and not path.suffix:
        raise UsageError(f"There is no {data}: give a recipe (recipes/NAME.yaml) or a folder of pictures")
    return path


def _from_recipe(
    file: Path, augment: str | None, seed: int | None, module: str | None, trust_code: bool
) -> _Source:
    from hubtune.data.dataset import ListDataset
    from hubtune.recipe.augment import AugmentSettings, long_augment
    from hubtune.recipe.load import load_recipe
    from hubtune.runs.folder import RECIPE_FILE

    recipe = load_recipe(file)
    used = recipe.strategy.train_keys
    if used is not None and "augment" not in used:
        say(f"Not used by strategy {recipe.strategy.name}: train.augment; it sees pictures as they are")
    # What a run's folder says is not the word of whoever looks at it.
    trust_code = trust_code or (recipe.module.trust_code and file.name != RECIPE_FILE)
    dataset = ListDataset(recipe.data.base, recipe.data.train, label_list_file=recipe.data.labels)
    return _Source(
        dataset.examples("train"),
        dataset.label_list,
        _view(module or recipe.module.name, trust_code, recipe.data),
        AugmentSettings.model_validate(long_augment(augment or recipe.train.augment)),
        augment or file.name,
        recipe.train.seed if seed is None else seed,
    )


def _from_images(source: str, augment: str, seed: int, module: str | None, trust_code: bool) -> _Source:
    from hubtune.cli.progress import working_bar
    from hubtune.data.dataset import ListDataset
    from hubtune.data.existing_lists import find_lists
    from hubtune.data.images.preprocessing import Preprocessing
    from hubtune.data.prepare import split_source
    from hubtune.recipe.augment import PRESETS, AugmentSettings
    from hubtune.recipe.schema import ImageSettings

    base = find_lists(source)
    if base is not None:
        dataset = ListDataset(base)
        examples, labels = dataset.examples("train"), dataset.label_list
    else:
        with working_bar("opening") as progress:
            split = split_source(source, progress=progress)
        examples, labels = split.lists["train"], split.labels
    # Without a module, as most take pictures; and without Paddle.
    view = Preprocessing() if module is None else _view(module, trust_code, ImageSettings())
    return _Source(examples, labels, view, AugmentSettings(**PRESETS[augment]), augment, seed)


def _view(module: str, trust_code: bool, asked: "ImageSettings") -> "Preprocessing":
    """How evaluation sees a picture under a module."""
    from hubtune.hub.entry import preprocessing_for
    from hubtune.hub.registry import resolve_module

    found = resolve_module(module, trust_code=trust_code)
    return preprocessing_for(module, found.preprocessing, found.pretrained.backbone, asked)


def _in_words(settings: "AugmentSettings") -> str:
    """The settings that were made, as a recipe has them."""
    given = settings.model_dump(exclude_defaults=True)
    return ", ".join(f"{key} {value}" for key, value in given.items()) or "pictures stay as they are"


def _rows(source: _Source, count: int, epochs: int) -> list[_Row]:
    """The first pictures that can be read of a random order in which classes take turns."""
    from hubtune.data.images.augment import augmented, read_image
    from hubtune.data.images.decode import ImageError
    from hubtune.data.images.preprocessing import pixels_of
    from hubtune.rng import rng_for

    rows: dict[int, _Row] = {}
    unreadable = 0
    for index in _in_turns([example.label for example in source.examples], source.seed):
        example = source.examples[index]
        try:
            plain = pixels_of(source.view.read(example.path))
            image = read_image(example.path, source.view, source.settings)
        except ImageError as error:
            unreadable += 1
            if unreadable <= _MOST_NAMED:
                say(f"left out: {shown(str(error))}")
            continue
        seeds = (rng_for(source.seed, "augment", epoch, index) for epoch in range(epochs))
        changed = [augmented(image, source.view, source.settings, random) for random in seeds]
        rows[index] = _Row(example, plain, changed)
        if len(rows) == count:
            break
    if unreadable > _MOST_NAMED:
        say(f"left out: … and {unreadable - _MOST_NAMED:,} more")
    if not rows:
        raise DataError(f"None of the {len(source.examples):,} training pictures can be read")
    return [rows[index] for index in sorted(rows, key=lambda index: (source.examples[index].label, index))]


def _in_turns(labels: Sequence[int], seed: int) -> list[int]:
    """All indices in random order, but each class's first before any class's second, and so on."""
    from hubtune.rng import rng_for

    order = rng_for(seed, "preview").permutation(len(labels)).tolist()
    seen: Counter[int] = Counter()
    turns = {}
    for index in order:
        turns[index] = seen[labels[index]]
        seen[labels[index]] += 1
    return sorted(order, key=turns.__getitem__)


def _cells(source: _Source, row: _Row) -> "Iterator[Cell]":
    from hubtune.report.contact_sheet import Cell

    label = row.example.label
    yield Cell(_shown(row.plain), source.labels[label], fallback=f"class {label}")
    for epoch, pixels in enumerate(row.augmented, start=1):
        yield Cell(_shown(pixels), f"epoch {epoch}")


def _shown(pixels: "np.ndarray") -> "Image.Image":
    """What the network sees, as people can see it: transparency on white."""
    from hubtune.data.images.decode import with_channels
    from hubtune.data.images.preprocessing import image_of

    return with_channels(image_of(pixels), 3)


def _mixed(source: _Source, rows: Sequence[_Row], kind: str, count: int) -> "Iterator[Cell]":
    """So many mixed pictures of one kind, with the shares of their classes; none where it is off."""
    import numpy as np

    from hubtune.data.images.mixup import mix_batch
    from hubtune.report.contact_sheet import Cell
    from hubtune.rng import rng_for

    alone = {other: 0.0 for other in ("mixup", "cutmix") if other != kind}
    settings = source.settings.model_copy(update=alone)
    if not settings.mixes:
        return
    scale, shift = source.view.scale_and_shift
    labels = [row.example.label for row in rows]
    for number in range(count):
        step, place = divmod(number, len(rows))
        seen = [source.view.normalise(row.augmented[step % len(row.augmented)]) for row in rows]
        random = rng_for(source.seed, "mix", step)
        mixed, targets = mix_batch(seen, labels, len(source.labels), settings, random)
        pixels = (mixed[place] + shift[:, None, None]) / scale[:, None, None]
        image = _shown(np.rint(pixels.clip(0, 255)).astype(np.uint8).transpose(1, 2, 0))
        shares = targets[place]
        classes = [label for label in np.argsort(-shares, kind="stable").tolist() if shares[label]]
        caption = " + ".join(f"{100 * shares[label]:.0f} % {source.labels[label]}" for label in classes)
        fallback = " + ".join(f"{100 * shares[label]:.0f} % class {label}" for label in classes)
        yield Cell(image, caption, fallback=fallback)


def _write(output: Path, sheet: "Image.Image") -> None:
    from PIL.PngImagePlugin import PngInfo

    from hubtune.storage.atomic import replacing

    mark = PngInfo()
    mark.add_text("Software", _MARK)
    try:
        with replacing(output) as file:
            sheet.save(file, "PNG", pnginfo=mark)
    except OSError as error:
        raise MachineError(f"{output} cannot be written: {error.strerror or error}") from error
