"""``hubtune data preview``."""

from dataclasses import replace
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import print_json, say, say_missing_font, shown
from hubtune.cli.inputs import check_output_file
from hubtune.cli.named_data import bring_dataset
from hubtune.cli.options import FILE, source_options, trust_option
from hubtune.cli.training_inputs import find_lists_for
from hubtune.data.sources.naming import is_source
from hubtune.errors import DataError, UsageError
from hubtune.recipe.choices import AUGMENT_PRESETS
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune.data.listing import ImageEntry
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.recipe.schema import ImageSettings
    from hubtune.report.augmentation_preview import PreviewSource

_MAX_UNREADABLE = 10  # files that are named


@click.command()
@click.argument("data", metavar="RECIPE|PICTURES")
@click.option(
    "-o", "--output", type=FILE, default="preview.png", help="A .png file; an earlier preview is replaced."
)
@click.option(
    "--augment",
    type=click.Choice(tuple(AUGMENT_PRESETS)),
    help="A preset; default: the recipe's, or standard for pictures.",
)
@click.option("--count", type=click.IntRange(1, 12), default=6, help="Number of pictures.")
@click.option("--epochs", type=click.IntRange(1, 6), default=5, help="Number of epochs of each.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the run; default: the recipe's, or 0.")
@click.option(
    "--module",
    metavar="NAME",
    help="The module to train; default: the recipe's, or 224 × 224 pixels for pictures.",
)
@trust_option
@source_options
@click.option("--force", is_flag=True, help="Replace a file that is not a preview.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    data: str, output: Path, count: int, epochs: int, force: bool, as_json: bool, **options: Any
) -> None:
    """Draw what the network sees of a few training pictures.

    A row is a picture: first as in evaluation, then as in each epoch of training, exactly as in a run with
    this seed. With mixup or CutMix, the last rows show mixed pictures and their shares.

    \b
    hubtune data preview pics/ --augment strong
    hubtune data preview recipes/idol5.yaml -o idol5.png
    """
    _check_output(output, force)
    data = bring_dataset(data)
    source = _open_source(data, **options)
    changed = source.settings.model_dump(exclude_defaults=True)
    settings = ", ".join(f"{key} {value}" for key, value in changed.items())
    say(f"{source.name}: {settings or 'pictures stay as they are'}")
    if not source.entries:
        raise DataError(f"The training list of {data} has no picture")

    from hubtune.report.augmentation_preview import draw_preview, make_rows, save_preview

    rows, errors = make_rows(source, count=count, epochs=epochs)
    for error in errors[:_MAX_UNREADABLE]:
        say(f"left out: {shown(error)}")
    if len(errors) > _MAX_UNREADABLE:
        say(f"left out: … and {len(errors) - _MAX_UNREADABLE:,} more")
    if not rows:
        raise DataError(f"None of the {len(source.entries):,} training pictures can be read")
    drawing = draw_preview(source, rows)
    save_preview(output, drawing.image)
    if as_json:
        images = [{"path": str(row.entry.path), "label": source.labels[row.entry.label]} for row in rows]
        view, augmentation = source.view.model_dump(), source.settings.model_dump()
        facts = {"preprocessing": view, "augment": augmentation, "seed": source.seed}
        print_json({"output": str(output), "pictures": images, **facts})
    say(f"{plural(len(rows), 'picture')} in {plural(epochs, 'epoch')} written to {shown(output)}")
    if not drawing.complete:
        say_missing_font("the sheet has")


def _check_output(output: Path, force: bool) -> None:
    from hubtune.report.augmentation_preview import is_preview

    if output.suffix.lower() != ".png":
        raise UsageError(f"-o {output}: name a file that ends in .png")
    check_output_file(output, "-o")
    if not force and lexists(output) and not is_preview(output):
        raise UsageError(
            f"{output} exists and is not a preview: add --force to replace it, or name another file"
        )


def _open_source(
    data: str,
    *,
    augment: str | None,
    seed: int | None,
    module: str | None,
    trust_code: bool,
    settings: "SourceSettings",
) -> "PreviewSource":
    from hubtune.cli.progress import working_bar
    from hubtune.data.dataset import ListDataset
    from hubtune.data.prepare import DEFAULT_REQUEST, split_source
    from hubtune.data.published.catalog import missing_source
    from hubtune.recipe.augment import AugmentSettings, expand_preset
    from hubtune.recipe.schema import ImageSettings
    from hubtune.report.augmentation_preview import PreviewSource
    from hubtune.runs.folder import RECIPE_FILE, is_run
    from hubtune.runs.lists import dataset_of

    file = Path(data)
    if is_source(data) and not is_run(file):
        base = find_lists_for(data, settings)
        if base is not None:
            dataset = ListDataset(base, encoding=settings.encoding, labels_are=settings.labels_are)
            entries, labels = dataset.examples("train"), dataset.class_names
        else:
            with working_bar("opening") as progress:
                split = split_source(data, replace(DEFAULT_REQUEST, settings=settings), progress=progress)
            entries, labels = split.lists["train"], split.labels
        # The default preprocessing needs no Paddle.
        default = hubtune.Preprocessing()
        view = default if module is None else _preprocessing(module, trust_code, ImageSettings())
        name = augment or "standard"
        augmentation = AugmentSettings.model_validate(expand_preset(name))
        return PreviewSource(entries, labels, _with_bits(view, entries), augmentation, name, seed or 0)
    if is_source(data):
        file /= RECIPE_FILE
    elif not file.exists() and not file.suffix:
        raise missing_source(data)
    recipe = hubtune.load_recipe(file, settings.as_overrides())
    train_keys = recipe.strategy.train_keys
    if train_keys is not None and "augment" not in train_keys:
        say(f"Strategy {recipe.strategy.name} ignores train.augment: it trains on unchanged pictures")
    listed = dataset_of(recipe, complete=False)
    entries = listed.examples("train")
    view = _preprocessing(module or recipe.module.name, trust_code, recipe.data)
    return PreviewSource(
        entries,
        listed.class_names,
        _with_bits(view, entries) if recipe.data.bits == "auto" else view,
        AugmentSettings.model_validate(expand_preset(augment or recipe.train.augment)),
        augment or file.name,
        recipe.train.seed if seed is None else seed,
    )


def _with_bits(view: "hubtune.Preprocessing", entries: "list[ImageEntry]") -> "hubtune.Preprocessing":
    from hubtune.data.images.verify import find_bits

    return view.model_copy(update={"bits": find_bits(entry.path for entry in entries)})


def _preprocessing(module: str, trust_code: bool, settings: "ImageSettings") -> "hubtune.Preprocessing":
    from hubtune.hub.registry import resolve_module

    return resolve_module(module, trust_code=trust_code).preprocessing_for(module, settings)
