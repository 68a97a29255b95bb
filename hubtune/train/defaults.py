"""Default recipes: what is trained on a source of images if no recipe is given."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paddle

from hubtune.data.default_lists import has_lists
from hubtune.data.existing_lists import find_lists
from hubtune.data.published.catalog import missing_source
from hubtune.data.sources.naming import lists_folder, source_name
from hubtune.errors import ModelError
from hubtune.hub.module import Module
from hubtune.hub.registry import resolve_module
from hubtune.hub.starting_model import find_model
from hubtune.hub.weights import resolve_weights
from hubtune.recipe.load import load_recipe, make_recipe
from hubtune.recipe.schema import ImageSettings, Recipe
from hubtune.runs.folder import RECIPE_FILE, is_run


def read_recipe(file: str, overrides: Sequence[str]) -> Recipe:
    """Read a recipe; its run is named after the file, unless the recipe names it.

    Raises:
        UsageError: if there is no such file.
        RecipeError: if it has mistakes.
    """
    path = Path(file)
    if not path.exists() and not path.suffix:
        raise missing_source(file)
    recipe = load_recipe(path, overrides)
    if recipe.run is None:
        recipe = recipe.model_copy(update={"run": str(Path("runs") / path.stem)})
    return recipe


def default_recipe(source: str, overrides: Sequence[str]) -> Recipe:
    """Return the recipe for a source of images or lists: what suits the machine, unless overridden.

    No image is read and nothing is downloaded, but names are checked: reading may take long.

    Raises:
        RecipeError: if the overrides have mistakes.
        UsageError: if the module cannot take such images.
        ModelError: if the module or its weights file does not exist.
    """
    on_gpu = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    settings: dict[str, Any] = {
        "data": {"base": str(find_lists(source) or lists_folder(source))},
        # On a CPU, training the whole network takes several times as long for each epoch as one pass of a
        # frozen backbone.
        "module": "resnet50_imagenet" if on_gpu else "paddle.vision:mobilenet_v2",
        "strategy": "default_finetune" if on_gpu else "frozen",
        "run": str(default_run_folder(source)),
    }
    recipe = make_recipe(settings, overrides, source=f"hubtune finetune {source}")
    _check_module(recipe)
    return recipe


def recipe_to_continue(model: Path, source: str, overrides: Sequence[str]) -> Recipe:
    """Return the recipe that goes on from a run, or a model folder, with a source of images.

    Of a run, it has all settings but the lists; what began with random values goes on as fine-tuning.

    Raises:
        RecipeError: if the overrides have mistakes.
        ModelError: if there is no model.
    """
    found = find_model(model)
    if found is None:
        raise ModelError(f"There is no model in {model} yet: name a run that has one, or a model folder")
    if not is_run(model):
        return default_recipe(source, [f"module={found}", *overrides])
    old = load_recipe(model / RECIPE_FILE)
    strategy = old.strategy.model_dump(by_alias=True)
    if old.strategy.from_random:
        decay = strategy["regularization_coeff"]
        strategy = {"name": "default_finetune", "regularization_coeff": decay, "learning_rate": None}
    images = old.data.model_dump(include=set(ImageSettings.model_fields))
    settings = {
        "data": {"base": str(lists_folder(source)), **images},
        "module": {"name": str(model)},
        "strategy": strategy,
        "train": old.train.model_dump(by_alias=True),
        "run": str(default_run_folder(source)),
    }
    recipe = make_recipe(settings, overrides, source=f"hubtune finetune {source} --from {model}")
    _check_module(recipe)
    return recipe


def default_run_folder(source: str) -> Path:
    """Return the folder for runs on a source; never inside a folder of images, even if one works there."""
    folder, images = Path("runs") / source_name(source), Path(source)
    if "://" in source or not images.is_dir() or has_lists(images):
        return folder
    real = images.resolve()
    return Path(os.path.relpath(real.parent)) / folder if Path.cwd().is_relative_to(real) else folder


def _check_module(recipe: Recipe) -> None:
    section, data = recipe.module, recipe.data
    resolved = resolve_module(section.name, trust_code=section.trust_code)
    resolved.preprocessing_for(section.name, data)
    if section.weights not in ("official", "none"):
        resolve_weights(section.weights, resolved.pretrained)
    if data.size is not None and data.size < resolved.pretrained.backbone.input_size:
        Module(section.name, None, trust_code=section.trust_code).check_size(data.size)
