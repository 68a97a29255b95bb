"""What is chosen where a person names pictures and no recipe: module, strategy, lists."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubtune.cli.console import say, shown
from hubtune.cli.split_output import print_remarks, quote_path, say_repair
from hubtune.errors import UsageError

if TYPE_CHECKING:
    from hubtune.recipe.schema import Recipe

_LIST_WORDS = {"train": "training", "validate": "validation", "test": "the test"}


def recipe_from_file(file: str, overrides: list[str]) -> "Recipe":
    """Read a recipe; its run is called after it, unless it has a name.

    Raises:
        UsageError: if there is no such file.
        RecipeError: if it has mistakes.
    """
    from hubtune.recipe.load import load_recipe

    path = Path(file)
    if not path.exists() and not path.suffix:
        raise UsageError(f"There is no {file}: give a recipe (recipes/NAME.yaml) or a folder of pictures")
    recipe = load_recipe(path, overrides)
    if recipe.run is None:
        recipe = recipe.model_copy(update={"run": str(Path("runs") / path.stem)})
    return recipe


def recipe_for_source(source: str, overrides: list[str]) -> "Recipe":
    """The recipe for pictures or lists: what suits the machine, unless overridden; no picture is read.

    Args:
        source: what a person has named.
        overrides: ``key=value``.

    Raises:
        RecipeError: if the overrides have mistakes.
        UsageError: if the module cannot take pictures as it is asked to.
        ModelError: if the module or its weights file is not there.
    """
    import paddle

    from hubtune.data.existing_lists import find_lists
    from hubtune.data.sources.naming import lists_folder
    from hubtune.recipe.load import make_recipe

    on_gpu = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    data: dict[str, Any] = {
        "data": {"base": str(find_lists(source) or lists_folder(source))},
        # On a CPU a frozen trunk is run once where training all of it takes several times as long an epoch.
        "module": "resnet50_imagenet" if on_gpu else "paddle.vision:mobilenet_v2",
        "strategy": "default_finetune" if on_gpu else "frozen",
        "run": str(run_folder(source)),
    }
    recipe = make_recipe(data, overrides, source=f"hubtune finetune {source}")
    _check_module(recipe)
    return recipe


def _check_module(recipe: "Recipe") -> None:
    """Refuse a module that cannot be had or asked so, before any picture is read; nothing is downloaded."""
    from hubtune.hub.module import Module
    from hubtune.hub.registry import resolve_module
    from hubtune.hub.weights import resolve_weights as resolve_weights

    section, data = recipe.module, recipe.data
    found = resolve_module(section.name, trust_code=section.trust_code)
    backbone = found.pretrained.backbone
    found.preprocessing_for(section.name, data)
    if section.weights not in ("official", "none"):
        resolve_weights(section.weights, found.pretrained)
    if data.size is not None and data.size < backbone.input_size:
        Module(section.name, None, trust_code=section.trust_code).check_size(data.size)


def run_folder(source: str) -> Path:
    """Where runs on a source go if nobody says it."""
    from hubtune.data.sources.naming import source_name

    return Path("runs") / source_name(source)


def on_new_lists(recipe: "Recipe", source: str, folder: Path) -> "Recipe":
    """Divide a source that has no lists yet, and say what was found.

    Args:
        recipe: for the source.
        source: what a person has named.
        folder: where the lists go.

    Returns:
        The recipe for these lists.

    Raises:
        HubtuneError: if the pictures cannot be used, or the lists not written.
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.prepare import DEFAULT_SPLIT, split_source
    from hubtune.data.splits.files import write_split

    with working_bar("opening") as progress:
        split = split_source(source, progress=progress)
    write_split(split, folder, {"pictures": source, **DEFAULT_SPLIT, "train": None, "seed": 0}, force=True)
    counts = [f"{len(split.lists[name]):,} for {words}" for name, words in _LIST_WORDS.items()]
    if any(image.part for image in split.lists["train"]):
        say(f"{shown(source)} is divided already: {', '.join(counts)}")
    else:
        say(
            f"No lists for {shown(source)} yet: {', '.join(counts)} (to choose yourself: "
            f"hubtune split {quote_path(source)} --val 20)"
        )
    print_remarks(split, "not in any list")
    if split.leaks:
        say_repair(folder)
    return on_lists(recipe, folder)


def on_lists(recipe: "Recipe", folder: Path) -> "Recipe":
    """The recipe for the lists in a folder."""
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"base": str(folder)})})


def say_unused(recipe: "Recipe") -> None:
    """Say which of the keys that a person has set make no difference."""
    from hubtune.recipe.load import unused_keys

    if unused := unused_keys(recipe):
        say(f"Not used by strategy {recipe.strategy.name}: {', '.join(unused)}")


def say_chosen(recipe: "Recipe") -> None:
    """Say on what lists a run is, and what was chosen for it."""
    base = shown(str(recipe.data.base))
    say(f"Data: {base}; module: {recipe.module.name}; strategy: {recipe.strategy.name}")
