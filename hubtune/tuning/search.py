"""Search for better settings by cross-validation on the training list alone."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paddle

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.list_files import TRAIN_LIST
from hubtune.data.splits.files import read_groups
from hubtune.errors import NumericError, StoppedError, UsageError
from hubtune.hardware.device import select_device
from hubtune.inference.engine_interface import INT8_ENGINE, check_engine
from hubtune.log import logger
from hubtune.ranks import alone
from hubtune.recipe.load import dump_recipe
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategies import DefaultFinetuneStrategy
from hubtune.runs.callbacks import Callback
from hubtune.runs.description import describe_machine
from hubtune.runs.folder import RunFolder, check_place, free_folder, open_run
from hubtune.runs.lists import dataset_of
from hubtune.runs.signals import Stop, StopRequested, stop_on_signals
from hubtune.storage.atomic import sha256_of
from hubtune.storage.cache_folder import cache_root
from hubtune.task import ImageClassifierTask
from hubtune.text import format_duration
from hubtune.train.compatibility import settle_loss
from hubtune.train.context import RunContext, RunData
from hubtune.train.data_checks import BadImages
from hubtune.train.run import run
from hubtune.train.strategies import TRAINERS
from hubtune.tuning.cost import estimate_training
from hubtune.tuning.folds import VALIDATE_PARTS, Lists, make_search_folds, readable_images
from hubtune.tuning.search_result import STUDY, SearchResult, search_result, write_best
from hubtune.tuning.search_space import SearchSpace, apply_choice, make_search_space
from hubtune.tuning.shared_storage import SharedStorage, check_storage
from hubtune.tuning.shared_study import WORKERS, SharedStudy, worker_name
from hubtune.tuning.study import Study, Trial, load_optuna

_FOLD = "fold"  # run folder of the current fold
_NEVER = 10**9  # steps between checkpoints


@alone()  # each of several processes searches by itself, in one study
def tune(
    recipe: Recipe,
    folder: str | Path | None = None,
    *,
    trials: int = 20,
    seconds: float = 1800.0,
    folds: int = 3,
    strategies: Sequence[str] | None = None,
    resume: bool = False,
    storage: SharedStorage | None = None,
    callback: Callback | None = None,
) -> SearchResult:
    """Search for the strategy, learning rate and augmentation that suit the data best.

    A trial's score is its accuracy by cross-validation on the training list, stratified; copies of an image,
    and images of one group of ``split.json``, stay together. A tenth of a fold's training images is its
    validation list: the recipe's other lists are not opened. The first trials are the recipe as it is,
    ``frozen``, and the recipe with each other strategy.

    Args:
        recipe: what all trials have in common.
        folder: gets the study and the best recipe; default: the recipe's run folder with ``-tune`` appended.
        trials: number of trials, including those of earlier calls.
        seconds: time limit; what cannot be interrupted may take longer.
        folds: number of folds of the cross-validation, at least 2.
        strategies: names of the strategies to try; default: all that fit module and data.
        resume: continue the study in the folder, in the fold where it stopped; if there is none, it begins.
        storage: a database, in which several processes search together; the study there has the name of the
            folder, and is continued if there is one. ``None`` for a study of this process alone.
        callback: receives the progress of each fold.

    Raises:
        UsageError: if there is a study already, or one that is resumed was begun with other settings, or a
            strategy does not fit the recipe, or no trial was done in the time.
        NumericError: if all trials diverge.
        HubtuneError: as :meth:`~hubtune.task.ImageClassifierTask.finetune_and_eval`.

    Example:
        >>> hubtune.tune(hubtune.load_recipe("recipes/idol5.yaml"), trials=10).best_recipe
        PosixPath('runs/idol5-tune/best.yaml')
    """
    load_optuna()
    if storage is not None:
        check_storage(storage.address)
    if recipe.train.engine == INT8_ENGINE:
        raise UsageError(
            f"A search tries strategies that train the network, and engine {INT8_ENGINE} runs one that stays "
            "frozen: search with engine auto"
        )
    folder = Path(f"{recipe.run_folder}-tune" if folder is None else folder)
    task, space = _task_and_space(recipe, strategies)
    device = select_device(recipe.train.device)
    check_engine(recipe.train.engine)
    images = [example.path for example in task.dataset.examples("train")]
    check_place(folder, task.dataset.base_path, images, cache_root())
    if storage is None and not (folder / STUDY).is_file() and free_folder(folder) != folder:
        raise UsageError(f"{folder} is a run: name another folder, -o run=runs/NAME")
    callback = callback or Callback()
    paddle.disable_signal_handler()  # it would print a C++ traceback at SIGTERM
    work = folder if storage is None else folder / WORKERS / worker_name()
    with open_run(work) as opened, stop_on_signals(callback.notice) as signals:
        facts, seed = _facts(recipe, task, space, folds), recipe.train.seed
        stop = _TimeLimit(signals, seconds)
        study: Study | SharedStudy
        if storage is None:
            study = Study(folder / STUDY, space, facts, seed, resume=resume)
        else:
            study = SharedStudy(folder / STUDY, space, facts, seed, storage, stop.check)
        try:
            if study.lacks(trials):
                search = _Search(recipe, task, study, opened, stop, callback, device, folds=folds)
                search.announce(trials, seconds, space)
                search.run_trials(trials, folder)
        except (StopRequested, StoppedError):
            if signals.signal is None:
                logger.info("the time (%s) is over; --resume continues", format_duration(seconds))
        write_best(folder, study, recipe, pretrained=_is_pretrained(task))
        stopped = None if signals.signal is None else signals.exit_code
        return search_result(folder, study, space.first[0], stopped)


def _task_and_space(
    recipe: Recipe, strategies: Sequence[str] | None
) -> tuple[ImageClassifierTask, SearchSpace]:
    listed = dataset_of(recipe, complete=False)
    task = _training_task(recipe, listed)
    space = make_search_space(
        recipe,
        strategies,
        pretrained=_is_pretrained(task),
        stages=len(task.module.stages),
        has_validation=listed.list_files["validate"] is not None,
    )
    ImageClassifierTask(task.module, listed, recipe.config())  # refuses what a run of the recipe would
    return task, space


def _is_pretrained(task: ImageClassifierTask) -> bool:
    return task.module.weights is not None


def _training_task(recipe: Recipe, listed: BaseCVDataset) -> ImageClassifierTask:
    """Return the task of the recipe's training list alone: the other lists are not even counted."""
    data = recipe.data
    lists = {
        "train": data.train or TRAIN_LIST,
        "validate_": None,
        "test": None,
        "labels": data.labels or (listed.label_list_file and listed.label_list_file.name),
    }
    # Whether a strategy fits is checked for all of them, later.
    from_random = TRAINERS[recipe.strategy.name].start == "random"
    strategy = recipe.strategy if from_random else DefaultFinetuneStrategy()
    plain = recipe.model_copy(update={"data": data.model_copy(update=lists), "strategy": strategy})
    return ImageClassifierTask.from_recipe(plain, complete=True)


def _facts(recipe: Recipe, task: ImageClassifierTask, space: SearchSpace, folds: int) -> dict[str, Any]:
    """Return everything that must not change before a study is resumed."""
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"run", "report", "reference"})
    for section, key in (("train", "device"), ("train", "engine"), ("data", "workers")):
        del settings[section][key]
    for key, default in (("bits", "auto"), ("mean_std", "module")):
        if settings["data"][key] == default:
            del settings["data"][key]  # older searches do not have the key
    file = task.dataset.list_files["train"]
    assert file is not None  # its examples have been read
    return {
        **{f"{section}.{key}": value for section, keys in settings.items() for key, value in keys.items()},
        "the training list": sha256_of(file),
        "the classes": task.dataset.label_list,
        "the weights": task.module.weights_sha256,
        "--folds": folds,
        "--strategies": space.strategies,
    }


class _TimeLimit(Stop):
    """Requests a stop after a signal, and when the time is over."""

    def __init__(self, signals: Stop, seconds: float) -> None:
        super().__init__()
        self._signals, self._end = signals, time.monotonic() + seconds

    def check(self) -> None:
        self._signals.check()
        if time.monotonic() > self._end:
            raise StopRequested


class _FoldProgress(Callback):
    """Forwards the progress of a fold under its trial's name, and nothing else."""

    def __init__(self, callback: Callback, name: str) -> None:
        self._callback, self._name = callback, name

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._callback.start(f"{self._name} {what}", total, done)

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        self._callback.advance(images, loss=loss, accuracy=accuracy)


class _Search:
    def __init__(
        self,
        recipe: Recipe,
        task: ImageClassifierTask,
        study: Study | SharedStudy,
        folder: RunFolder,
        stop: Stop,
        callback: Callback,
        device: str,
        *,
        folds: int,
    ) -> None:
        self._recipe, self._task, self._study = recipe, task, study
        self._folder, self._stop, self._callback, self._device = folder, stop, callback, device
        self._groups = read_groups(task.dataset.lists_folder)
        images = readable_images(task.dataset.examples("train"), task.config, folder, stop)
        self._folds = make_search_folds(
            images,
            self._groups,
            folds=folds,
            seed=recipe.train.seed,
            members=None if (sets := task.dataset.label_sets) is None else sets.matrix,
        )

    def announce(self, trials: int, seconds: float, space: SearchSpace) -> None:
        """Log the extent of the search, and how long a trial that trains all parameters takes."""
        logger.info(
            "up to %d trials in %s, each by %d-fold cross-validation; Ctrl-C stops, --resume continues",
            *(trials, format_duration(seconds), len(self._folds)),
        )
        tried = {choice.strategy for choice in space.first}.union(space.strategies)
        if any(TRAINERS[name].sees_augmented for name in tried):
            trial = estimate_training(self._task) * (len(self._folds) - 1) * (1 - 1 / VALIDATE_PARTS)
            logger.info("a trial that trains all parameters takes about %s", format_duration(trial))

    def run_trials(self, trials: int, folder: Path) -> None:
        """Run trials up to this number, or until there is nothing left to try; the best go into a folder."""
        while self._study.lacks(trials):
            if not self._study.run_next(lambda trial: self._run_trial(trial, max(trials, trial.number))):
                logger.info("nothing is left to try")
                return
            write_best(folder, self._study, self._recipe, pretrained=_is_pretrained(self._task))

    def _run_trial(self, trial: Trial, trials: int) -> None:
        recipe = apply_choice(self._recipe, trial.choice, pretrained=_is_pretrained(self._task))
        for fold in range(len(trial.counts), len(self._folds)):
            if fold and self._study.falls_behind(trial):
                trial.state = "pruned"
                break
            started = time.monotonic()
            name = f"{trial.number}/{trials} fold {fold + 1}/{len(self._folds)}"
            try:
                right, count = self._run_fold(recipe, self._folds[fold], _FoldProgress(self._callback, name))
            except NumericError:
                trial.state = "failed"
                break
            trial.right.append(right)
            trial.counts.append(count)
            trial.seconds += time.monotonic() - started
            self._study.save()
        else:
            trial.state = "done"
        self._study.save()
        choice, outcome = trial.choice.description, self._outcome(trial)
        logger.info("trial %d of %d: %s: %s", trial.number, trials, choice, outcome)

    def _run_fold(self, recipe: Recipe, lists: Lists, callback: Callback) -> tuple[int, int]:
        """Train on a fold; returns the number of correct test images, and of all readable ones."""
        path = self._folder.path / _FOLD
        if path.exists():  # left by a process that was killed
            shutil.rmtree(path)
        # The limit of bad images was checked for the whole list; a fold is repeated, not resumed.
        settings = {"max_bad": "100%", "save_ckpt_interval": _NEVER, "report": False, "reference": False}
        config = recipe.config().model_copy(update=settings)
        try:
            with open_run(path) as folder, _quiet():
                folder.write_description(dump_recipe(recipe), describe_machine(self._device))
                dataset = self._task.dataset
                data = RunData(dataset.class_names, lists, self._groups, label_sets=dataset.label_sets)
                config = settle_loss(config, data)
                bad = BadImages(folder, lists, config)
                context = RunContext(config, self._task.module, data, folder, self._stop, callback, bad)
                test = run(context)["test"]
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return (round(test["accuracy"] * test["count"]), test["count"]) if test else (0, 0)

    def _outcome(self, trial: Trial) -> str:
        if trial.state == "failed":
            return "failed, training diverged"
        after = f"given up after {len(trial.counts)} of {len(self._folds)} folds, "
        return f"{trial.score}, {after if trial.state == 'pruned' else ''}{format_duration(trial.seconds)}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Demote everything that is logged in the block to the level DEBUG."""

    def demote(record: logging.LogRecord) -> bool:
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logger.isEnabledFor(logging.DEBUG)

    logger.addFilter(demote)
    try:
        yield
    finally:
        logger.removeFilter(demote)
