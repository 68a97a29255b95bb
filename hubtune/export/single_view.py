"""A model that looks at each image in one way, cropped or stretched, as some formats can only say that."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import DataError, ModelError
from hubtune.hub.file_names import CODE_FILE
from hubtune.inference.load_model import load_model
from hubtune.inference.model import Model
from hubtune.inference.program import Subnetwork, save_program
from hubtune.log import logger
from hubtune.recipe.load import load_recipe
from hubtune.recipe.schema import Recipe
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RECIPE_FILE
from hubtune.task import ImageClassifierTask
from hubtune.train.head_solver import head_settings
from hubtune.train.strategies import TRAINERS

FITS = ("crop", "stretch")


def takes_any_size(model: Model) -> bool:
    """Whether the program of a model takes images of all sizes that its views have.

    With ``whole``, they have many, and some networks can only be traced for one, as those with attention in
    windows. hubtune's engines have a program for each size of them.
    """
    views = model.card.views
    if all(view.fit != "whole" for view in views):
        return True
    with TemporaryDirectory(prefix="hubtune-") as folder:
        try:
            save_program(
                Subnetwork(model.classifier, model.classifier, views[0]), Path(folder) / "any", None, None
            )
        except Exception as error:  # noqa: BLE001  # Paddle fails in many ways here
            logger.debug("the network takes one size only (%s)", error)
            return False
    return True


@contextmanager
def single_view_model(model: Model, run: Path | None, title: str) -> Iterator[Model]:
    """Yield the model, if it looks at images in one such way, or one with a new head for the nearest view.

    The head is solved again on the training images of the run, as the run did. The new model's metrics are
    its own.

    Args:
        model: the model.
        run: its run folder; ``None`` if it is in none.
        title: of the format, for messages.

    Raises:
        ModelError: the head cannot be solved again for another view: it was trained by gradients, or its
            run or training images are not there.
    """
    views = model.card.views
    if len(views) == 1 and views[0].fit in FITS and views[0].antialias and not views[0].mirror:
        yield model
        return
    wanted = f"With {title}, this network looks at a picture in one way, cropped or stretched"
    if run is None:
        raise ModelError(
            f"{wanted}, and the model's own is {_describe(views)}: its head has to be solved again for that "
            "on the training pictures, which only a run knows. Export the run, not its model folder"
        )
    recipe = load_recipe(run / RECIPE_FILE)
    if TRAINERS[recipe.strategy.name].start != "solved_head" or model.card.step:
        raise ModelError(
            f"{wanted}, and the model was trained for {_describe(views)}: train it again with "
            "-o data.fit=crop, or use another format"
        )
    with TemporaryDirectory(prefix="hubtune-") as folder:
        head = f"strategy.head={head_settings(recipe.config()).head}"
        trusted = model.card.architecture == CODE_FILE  # or it could not have been loaded
        settings = [f"module.trust_code={str(trusted).lower()}"] if trusted else []
        settings += ["strategy=frozen", head, "strategy.views=1", "report=off", f"run={folder}/run"]
        try:
            solved = _solve(load_recipe(run / RECIPE_FILE, [*settings, *_overrides(views[0])]))
        except DataError as error:
            raise ModelError(
                f"{wanted}: the head has to be solved again for that on the training pictures of {run}, "
                f"which cannot be used ({str(error).rstrip('.')}). Use another format, or put them back"
            ) from error
        yield load_model(solved, trust_code=trusted)


def _describe(views: list[Preprocessing]) -> str:
    return ", ".join(view.description for view in views)


def _overrides(view: Preprocessing) -> list[str]:
    """Return the settings of the view nearest to this one that crops or stretches."""
    if view.fit in FITS:
        return [f"data.fit={view.fit}", f"data.size={view.size}"]
    return ["data.fit=stretch", f"data.size={view.resize if view.fit == 'whole' else view.size}"]


def _solve(recipe: Recipe) -> Path:
    """Train a model, without logging its progress, and return its run folder."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        task = ImageClassifierTask.from_recipe(recipe, complete=True)
        return task.finetune_and_eval(callback=Callback(), newest=False).path
    finally:
        logger.setLevel(level)
