"""Cross-validation of a recipe: an ordinary run for each fold, tested on what the fold holds out."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtune.data.splits.files import Split, fold_name, write_split
from hubtune.data.splits.kfold import held_out
from hubtune.errors import DataError, MachineError, ModelError, UsageError
from hubtune.evaluation.metrics import Metrics, wilson_interval
from hubtune.log import logger
from hubtune.recipe.schema import Recipe
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import LISTS, check_place, check_unlocked, free_folder, is_run
from hubtune.runs.result import Run
from hubtune.storage.atomic import write_atomically
from hubtune.storage.cache_folder import cache_root
from hubtune.task import ImageClassifierTask, dataset_of
from hubtune.train.strategies import TRAINERS

RECORD = "folds.json"


@dataclass(frozen=True)
class CrossValidation:
    """What the folds have come to; every picture was predicted once, by a model that has not seen its group.

    Attributes:
        folder: where the runs are.
        runs: one a fold.
        tests: for each, the figures on what it held out.
        right: pictures of all folds that were named right.
        count: readable pictures of all folds.
        independent: how many independent pictures these are worth, as pictures of one group may be right or
            wrong together: ``(Σ n)² / Σ n²`` over the groups' sizes ``n`` (Kish, *Survey Sampling*, 1965, for
            groups whose members all have the same outcome).
    """

    folder: Path
    runs: list[Run]
    tests: list[Metrics]
    right: int
    count: int
    independent: float

    @property
    def accuracy(self) -> float:
        """Share of the pictures of all folds together that was named right."""
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy: Wilson's, for so many independent pictures.

        It says how far the choice of pictures may be misleading, not how much models differ that are trained
        on other pictures: no unbiased estimate of that can be had from one cross-validation (Bengio &
        Grandvalet, JMLR 5, 2004).
        """
        return wilson_interval(self.accuracy * self.independent, self.independent)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "folder": str(self.folder),
            "accuracy": self.accuracy,
            "mean_of_folds": sum(test.accuracy for test in self.tests) / len(self.tests),
            "right": self.right,
            "count": self.count,
            "independent": round(self.independent, 1),
            "interval": list(self.interval),
            "folds": [
                {"run": str(run.path), **test.as_dict()}
                for run, test in zip(self.runs, self.tests, strict=True)
            ],
        }


def cross_validate(
    recipe: Recipe,
    folds: Sequence[Split],
    folder: Path,
    *,
    resume: bool = False,
    callback: Callback | None = None,
) -> CrossValidation:
    """Train on each fold as a recipe says, and test on what it holds out.

    A run's lists are its own: what the fold holds out is the test list, which nothing is chosen on. Where the
    strategy chooses its best model on a validation list, a tenth of the training pictures is that.

    Args:
        recipe: what all runs have in common; its lists are not used, and its base folder must not be that of
            the pictures themselves.
        folds: as :func:`~hubtune.data.splits.kfold.fold_splits` gives them.
        folder: gets a run a fold, ``fold-1``, ``fold-2``, …, and ``folds.json``.
        resume: go on with what is there, in the fold where it stopped.
        callback: told about each run.

    Raises:
        UsageError: if the folder has something else, or what is resumed was begun with other folds or another
            recipe.
        HubtuneError: as :meth:`~hubtune.task.ImageClassifierTask.finetune_and_eval`.
    """
    callback = callback or Callback()
    trainer = TRAINERS[recipe.strategy.name]
    images = [image.path for name in ("train", "validate") for image in folds[0].lists[name]]
    check_place(folder, Path(recipe.data.base), images, cache_root())
    _begin(folder, recipe, folds, resume=resume)
    runs: list[Run] = []
    task: ImageClassifierTask | None = None
    for number, fold in enumerate(folds, 1):
        logger.info("fold %d of %d", number, len(folds))
        place = folder / fold_name(number)
        lists = held_out(fold, seed=recipe.train.seed, validate=trainer.chosen_on_validation)
        begun = _has_trained(place)
        if not begun:
            check_unlocked(place)
            write_split(lists, place / LISTS, {"seed": recipe.train.seed, "fold": number}, force=True)
        own = _recipe_of(recipe, place)
        if task is None:
            task = ImageClassifierTask.from_recipe(own)
        else:
            # The module is not changed by training, and loading it takes seconds.
            task = ImageClassifierTask(task.module, dataset_of(own, complete=False), own.config())
        runs.append(task.finetune_and_eval(resume=place if begun else False, callback=callback))
    found = _pooled(folder, runs, folds)
    _record(folder, _facts(recipe, folds), found.as_dict())
    return found


def _begin(folder: Path, recipe: Recipe, folds: Sequence[Split], *, resume: bool) -> None:
    """Note what the folds are, or hold those that are resumed against it."""
    record = folder / RECORD
    facts = _facts(recipe, folds)
    if record.is_file() and not any(map(_has_trained, folder.iterdir())):
        # It ended before anything was trained: what has changed since may be what it ended because of.
        _record(folder, facts, None)
        return
    if not record.is_file():
        if free_folder(folder) != folder:
            raise UsageError(f"{folder} is a run: name another folder, -o run=runs/NAME")
        check_unlocked(folder)  # makes it
        _record(folder, facts, None)
        return
    if not resume:
        raise UsageError(
            f"{folder} has a cross-validation already: go on with it, or see its result, by --resume, or "
            "name another folder, -o run=runs/NAME"
        )
    try:
        before = dict(json.loads(record.read_bytes())["facts"])
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ModelError(f"{record} is damaged: remove {folder}, and begin anew") from error
    changed = [name for name, value in facts.items() if before.get(name) != value]
    if changed:
        raise UsageError(
            f"{folder} was begun with other settings ({', '.join(changed)}): resume it as it was, or name "
            "another folder, -o run=runs/NAME"
        )


def _has_trained(place: Path) -> bool:
    """Whether a folder is that of a run with something in it that was trained.

    Raises:
        LockedError: if another process is working on it.
    """
    if not is_run(place):
        return False
    check_unlocked(place)
    return free_folder(place) != place


def _facts(recipe: Recipe, folds: Sequence[Split]) -> dict[str, Any]:
    """What runs that are resumed must share with those that were begun."""
    said = recipe.model_dump(mode="json", by_alias=True, exclude={"run"})
    said["data"] = {
        key: value
        for key, value in said["data"].items()
        if key not in ("base", "train", "validate", "test", "labels", "workers")
    }
    for key in ("device", "engine"):
        del said["train"][key]
    parted = [[(image.name, image.label) for image in fold.lists["validate"]] for fold in folds]
    return {**said, "pictures": hashlib.sha256(json.dumps(parted).encode()).hexdigest()}


def _record(folder: Path, facts: dict[str, Any], result: dict[str, Any] | None) -> None:
    try:
        write_atomically(folder / RECORD, json.dumps({"facts": facts, "result": result}, indent=1) + "\n")
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written ({error.strerror}): name another folder, -o run=runs/NAME"
        ) from error


def _recipe_of(recipe: Recipe, place: Path) -> Recipe:
    """The recipe of a fold's run: an ordinary one, on the lists in the run's folder."""
    own = dict.fromkeys(("train", "validate_", "test", "labels"))
    data = recipe.data.model_copy(update={**own, "base": str(place / LISTS)})
    return recipe.model_copy(update={"data": data, "run": str(place)})


def _pooled(folder: Path, runs: list[Run], folds: Sequence[Split]) -> CrossValidation:
    tests = [run.test for run in runs if run.test is not None]
    if len(tests) < len(runs):
        raise DataError("None of the pictures that a fold holds out can be read: see skipped.csv in its run")
    count = sum(test.count for test in tests)
    group_of = {image.path: n for n, group in enumerate(folds[0].groups) for image in group}
    sizes: Counter[object] = Counter()
    for fold in folds:
        sizes.update(group_of.get(image.path, image.path) for image in fold.lists["validate"])
    share = sizes.total() / sum(size**2 for size in sizes.values())  # independent pictures a picture
    return CrossValidation(
        folder,
        runs,
        tests,
        right=sum(round(test.accuracy * test.count) for test in tests),
        count=count,
        independent=share * count,
    )
