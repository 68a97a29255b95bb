"""Cross-validation of a recipe: a run for each fold, tested on the images that the fold holds out."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtune.data.existing_lists import folds_of_lists
from hubtune.data.splits.files import Split, fold_name, write_split
from hubtune.data.splits.kfold import held_out
from hubtune.errors import DataError, MachineError, ModelError, UsageError, writing
from hubtune.evaluation.metrics import Metrics, wilson_interval
from hubtune.log import logger
from hubtune.recipe.schema import Recipe
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import LISTS, RESULT_FILE, check_place, check_unlocked, free_folder, is_run
from hubtune.runs.lists import dataset_of
from hubtune.runs.result import Run
from hubtune.storage.atomic import write_atomically
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.regular_file import read_json
from hubtune.task import ImageClassifierTask
from hubtune.train.strategies import TRAINERS

RECORD = "folds.json"
_NEW_DEFAULTS = (("bits", "auto"), ("mean_std", "module"))


@dataclass(frozen=True)
class CrossValidation:
    """Result of a cross-validation: every image was predicted once, by a model that has not seen its group.

    Attributes:
        runs: one for each fold, in ``folder``.
        tests: figures of each run on the images that its fold held out.
        right: correctly classified images of all folds.
        count: readable images of all folds.
        independent: the equivalent number of independent images, because images of one group may be right
            or wrong together: ``(Σ n)² / Σ n²`` over the groups' sizes ``n`` (Kish, *Survey Sampling*, 1965,
            for groups whose members all have the same outcome).
    """

    folder: Path
    runs: list[Run]
    tests: list[Metrics]
    right: int
    count: int
    independent: float

    @property
    def accuracy(self) -> float:
        return self.right / self.count

    @property
    def mean_ap(self) -> float | None:
        """Mean of the folds' mean average precision; ``None`` for data of one class a picture."""
        figures = [test.mean_ap for test in self.tests if test.mean_ap is not None]
        return sum(figures) / len(figures) if figures else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy, for the number of independent images.

        It reflects the choice of the images, not how much models trained on other images would differ: one
        cross-validation has no unbiased estimate of that (Bengio & Grandvalet, JMLR 5, 2004).
        """
        return wilson_interval(self.accuracy * self.independent, self.independent)

    def as_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "accuracy": self.accuracy,
            "mean_of_folds": sum(test.accuracy for test in self.tests) / len(self.tests),
            **({} if self.mean_ap is None else {"mean_ap": self.mean_ap}),
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
    folds: int | Sequence[Split] = 5,
    folder: str | Path | None = None,
    *,
    resume: bool = False,
    callback: Callback | None = None,
) -> CrossValidation:
    """Train on each fold with a recipe, and test on the images that the fold holds out.

    Nothing is chosen on these. A strategy's validation list is a tenth of the training images.

    Args:
        recipe: what all runs have in common.
        folds: number of folds of the training and validation list; the test list is not opened. Or the folds
            themselves, from :func:`~hubtune.data.splits.kfold.fold_splits`, in place of the recipe's lists;
            then its base folder must not be that of the images themselves.
        folder: gets a run for each fold, ``fold-1``, ``fold-2``, …, and ``folds.json``; default: the recipe's
            run folder with ``-folds`` appended.
        resume: continue what is there, in the fold where it stopped.
        callback: receives the events of each run.

    Raises:
        UsageError: if the folder has something else, or was begun with other folds or another recipe.
        HubtuneError: as :meth:`~hubtune.task.ImageClassifierTask.finetune_and_eval`.

    Example:
        >>> result = hubtune.cross_validate(hubtune.load_recipe("recipes/idol5.yaml"), folds=5)
        >>> result.accuracy, result.interval
        (0.8083, (0.7288, 0.8687))
    """
    folds, folder = _folds_and_folder(recipe, folds, folder)
    _begin(folder, recipe, folds, resume=resume)
    runs: list[Run] = []
    task: ImageClassifierTask | None = None
    for number in range(1, len(folds) + 1):
        run, task = _train(recipe, folds, number, folder, task, callback)
        runs.append(run)
    result = _pool(folder, runs, folds)
    _record(folder, _facts(recipe, folds), result.as_dict())
    return result


def train_fold(
    recipe: Recipe,
    number: int,
    folds: int | Sequence[Split] = 5,
    folder: str | Path | None = None,
    *,
    callback: Callback | None = None,
) -> Run:
    """Train on one fold of :func:`cross_validate`, which may train the others in other processes meanwhile.

    A fold that was begun is continued; of one that is finished, the result is returned. When all are,
    ``cross_validate`` only joins the results.

    Args:
        recipe: what all runs have in common.
        number: of the fold, from 1.
        folds: as in ``cross_validate``.
        folder: as in ``cross_validate``.
        callback: receives the events of the run.

    Raises:
        UsageError: if there is no such fold, or as ``cross_validate``.
        LockedError: if another process trains this fold.
        HubtuneError: as :meth:`~hubtune.task.ImageClassifierTask.finetune_and_eval`.
    """
    folds, folder = _folds_and_folder(recipe, folds, folder)
    if not 1 <= number <= len(folds):
        raise UsageError(f"There is no fold {number}: the folds are 1 to {len(folds)}")
    _join(folder, recipe, folds)
    return _train(recipe, folds, number, folder, None, callback)[0]


def _folds_and_folder(
    recipe: Recipe, folds: int | Sequence[Split], folder: str | Path | None
) -> tuple[Sequence[Split], Path]:
    if isinstance(folds, int):
        folds, _ = folds_of_lists(dataset_of(recipe, complete=False), folds, seed=recipe.train.seed)
    folder = Path(f"{recipe.run_folder}-folds" if folder is None else folder)
    images = [image.path for name in ("train", "validate") for image in folds[0].lists[name]]
    check_place(folder, Path(recipe.data.base), images, cache_root())
    return folds, folder


def _train(
    recipe: Recipe,
    folds: Sequence[Split],
    number: int,
    folder: Path,
    task: ImageClassifierTask | None,
    callback: Callback | None,
) -> tuple[Run, ImageClassifierTask]:
    """Train on a fold, or continue it; returns its run, and the task, whose module serves the next one."""
    logger.info("fold %d of %d", number, len(folds))
    path, seed = folder / fold_name(number), recipe.train.seed
    begun = _has_trained(path)
    if not begun:
        check_unlocked(path)
        validate = TRAINERS[recipe.strategy.name].chosen_on_validation
        lists = held_out(folds[number - 1], seed=seed, validate=validate)
        write_split(lists, path / LISTS, {"seed": seed, "fold": number}, force=True)
    own_lists = dict.fromkeys(("train", "validate_", "test", "labels"))
    data = recipe.data.model_copy(update={**own_lists, "base": str(path / LISTS)})
    # The models are for measuring.
    without = {"report": False, "reference": False}
    own = recipe.model_copy(update={"data": data, "run": str(path), **without})
    if task is None:
        task = ImageClassifierTask.from_recipe(own)
    else:
        # Training does not change the module, and loading it takes seconds.
        task = ImageClassifierTask(task.module, dataset_of(own, complete=False), own.config())
    return task.finetune_and_eval(resume=path if begun else False, callback=callback or Callback()), task


def _begin(folder: Path, recipe: Recipe, folds: Sequence[Split], *, resume: bool) -> None:
    record, facts = folder / RECORD, _facts(recipe, folds)
    if not record.is_file():
        if free_folder(folder) != folder:
            raise UsageError(f"{folder} is a run: name another folder, -o run=runs/NAME")
        check_unlocked(folder)  # makes it
    if not record.is_file() or not any(map(_has_trained, folder.iterdir())):
        # Settings may be corrected as long as nothing was trained.
        _record(folder, facts, None)
        return
    unfinished = [n for n in range(1, len(folds) + 1) if not (folder / fold_name(n) / RESULT_FILE).is_file()]
    if not resume and (unfinished or _result_in(record) is not None):
        raise UsageError(
            f"{folder} has a cross-validation already: continue it, or see its result, by --resume, or "
            "name another folder, -o run=runs/NAME"
        )
    _check_facts(folder, facts)


def _join(folder: Path, recipe: Recipe, folds: Sequence[Split]) -> None:
    """Begin a cross-validation, or take part in one, while other processes may train its other folds."""
    facts = _facts(recipe, folds)
    if (folder / RECORD).is_file():
        _check_facts(folder, facts)
        return
    if is_run(folder):
        raise UsageError(f"{folder} is a run: name another folder, -o run=runs/NAME")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _record(folder, facts, None)


def _check_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Raise an error if a cross-validation was begun with other facts, or its record is damaged."""
    record = folder / RECORD
    try:
        before = dict(read_json(record)["facts"])
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ModelError(f"{record} is damaged: remove {folder}, and start again") from error
    changed = [name for name, value in facts.items() if _comparable(before.get(name)) != _comparable(value)]
    if changed:
        raise UsageError(
            f"{folder} was begun with other settings ({', '.join(changed)}): resume it as it was, or name "
            "another folder, -o run=runs/NAME"
        )


def _result_in(record: Path) -> Any:
    """Return the result of a cross-validation that was finished or joined; ``None`` if it is damaged."""
    try:
        return read_json(record)["result"]
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _comparable(value: Any) -> Any:
    """Return a setting without the keys that an older version did not have, and that change nothing."""
    if not isinstance(value, dict):
        return value
    return {key: own for key, own in value.items() if own is not None and (key, own) not in _NEW_DEFAULTS}


def _has_trained(place: Path) -> bool:
    if not is_run(place):
        return False
    check_unlocked(place)
    return free_folder(place) != place


def _facts(recipe: Recipe, folds: Sequence[Split]) -> dict[str, Any]:
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"run", "report", "reference"})
    for key in ("base", "train", "validate", "test", "labels", "workers"):
        del settings["data"][key]
    for key in ("device", "engine"):
        del settings["train"][key]
    test_images = [[(image.name, image.label) for image in fold.lists["validate"]] for fold in folds]
    return {**settings, "pictures": hashlib.sha256(json.dumps(test_images).encode()).hexdigest()}


def _record(folder: Path, facts: dict[str, Any], result: dict[str, Any] | None) -> None:
    try:
        write_atomically(folder / RECORD, json.dumps({"facts": facts, "result": result}, indent=1) + "\n")
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written ({error.strerror}): name another folder, -o run=runs/NAME"
        ) from error


def _pool(folder: Path, runs: list[Run], folds: Sequence[Split]) -> CrossValidation:
    tests = [run.test for run in runs if run.test is not None]
    if len(tests) < len(runs):
        raise DataError("None of the pictures that a fold holds out can be read: see skipped.csv in its run")
    count = sum(test.count for test in tests)
    group_of = {image.path: n for n, group in enumerate(folds[0].groups) for image in group}
    tested = [image.path for fold in folds for image in fold.lists["validate"]]
    sizes = Counter[object](group_of.get(path, path) for path in tested)
    share = sizes.total() / sum(size**2 for size in sizes.values())  # independent pictures a picture
    return CrossValidation(
        *(folder, runs, tests),
        right=sum(round(test.accuracy * test.count) for test in tests),
        count=count,
        independent=share * count,
    )
