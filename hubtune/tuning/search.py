"""Search for better settings by cross-validation on the training list alone."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import paddle

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.list_files import TRAIN_LIST
from hubtune.data.splits.files import read_groups
from hubtune.errors import NumericError, StoppedError, UsageError
from hubtune.hardware.device import select_device
from hubtune.inference.engine import check_engine
from hubtune.log import logger
from hubtune.recipe.load import dump_recipe
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategies import DefaultFinetuneStrategy
from hubtune.runs.callbacks import Callback
from hubtune.runs.description import describe_machine
from hubtune.runs.folder import RunFolder, check_place, free_folder, open_run
from hubtune.runs.signals import Stop, StopRequested, stop_on_signals
from hubtune.storage.atomic import sha256_of, write_atomically
from hubtune.storage.cache_folder import cache_root
from hubtune.task import ImageClassifierTask, dataset_of
from hubtune.text import format_duration
from hubtune.train.context import RunContext, RunData
from hubtune.train.data_checks import BadImages
from hubtune.train.run import run
from hubtune.train.strategies import TRAINERS
from hubtune.tuning.cost import estimate_training
from hubtune.tuning.folds import VALIDATE_PARTS, Lists, make_search_folds, readable_images
from hubtune.tuning.search_space import Choice, SearchSpace, apply_choice, make_search_space
from hubtune.tuning.study import Study, Trial, load_optuna

STUDY = "study.json"
BEST = "best.yaml"

_FOLD = "fold"  # run folder of the current fold
_NEVER = 10**9  # steps between checkpoints: a fold is repeated, not resumed


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        folder: has the study.
        recipe: the choice that leaves the recipe as it is.
        trials: the finished trials, best first; then the others.
        best_recipe: the file with the best trial's recipe; ``None`` if none was finished before a signal.
        stopped: exit code of the signal that stopped the search; ``None`` for none.
    """

    folder: Path
    recipe: Choice
    trials: list[Trial]
    best_recipe: Path | None
    stopped: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "study": str(self.folder / STUDY),
            "best_recipe": None if self.best_recipe is None else str(self.best_recipe),
            "stopped": self.stopped is not None,
            "trials": [
                {
                    "rank": rank if trial.state == "done" else None,
                    "number": trial.number,
                    "state": trial.state,
                    "recipe": trial.choice == self.recipe,
                    **asdict(trial.choice),
                    "accuracy": trial.accuracy,
                    "standard_error": trial.standard_error,
                    "right": sum(trial.right),
                    "count": sum(trial.counts),
                    "folds": len(trial.counts),
                    "seconds": trial.seconds,
                }
                for rank, trial in enumerate(self.trials, 1)
            ],
        }


def tune(
    recipe: Recipe,
    folder: str | Path | None = None,
    *,
    trials: int = 20,
    seconds: float = 1800.0,
    folds: int = 3,
    strategies: Sequence[str] | None = None,
    resume: bool = False,
    callback: Callback | None = None,
) -> SearchResult:
    """Search for the strategy, learning rate and augmentation that suit the data best.

    A trial's score is its accuracy by cross-validation on the training list. The folds are stratified.
    Copies of an image, and images of one group of ``split.json``, stay together. A tenth of a fold's training
    images is its validation list. The recipe's own validation and test lists are not opened. The first trials
    are the recipe as it is, ``frozen``, and the recipe with each other strategy.

    Args:
        recipe: what all trials have in common.
        folder: gets the study, and the recipe of the best trial; default: the recipe's run folder with
            ``-tune`` appended.
        trials: number of trials, including those of earlier calls.
        seconds: time limit; what cannot be interrupted may take longer.
        folds: number of folds of the cross-validation, at least 2.
        strategies: names of the strategies to try; default: all that fit module and data.
        resume: continue the study in the folder, in the fold where it stopped; if there is none, it begins.
        callback: receives the progress of each fold.

    Raises:
        UsageError: if there is a study already, or one that is resumed was begun with other settings, or a
            strategy does not fit the recipe, or no trial was done in the time.
        DataError: if pictures or lists cannot be used, or there are too few for the folds.
        ModelError: if the module cannot be loaded, or the study is damaged.
        MachineError: if optuna or the device is missing, or the folder cannot be written.
        NumericError: if all trials diverge.
        LockedError: if another process uses the folder.

    Example:
        >>> result = hubtune.tune(hubtune.load_recipe("recipes/idol5.yaml"), trials=10)
        >>> result.best_recipe
        PosixPath('runs/idol5-tune/best.yaml')
    """
    load_optuna()
    folder = Path(f"{recipe.run_folder}-tune" if folder is None else folder)
    listed = dataset_of(recipe, complete=False)
    task = _task(recipe, listed)
    space = make_search_space(
        recipe,
        strategies,
        pretrained=task.module.weights is not None,
        stages=len(task.module.stages),
        has_validation=listed.list_files["validate"] is not None,
    )
    ImageClassifierTask(task.module, listed, recipe.config())  # refuses what a run of the recipe would
    device = select_device(recipe.train.device)
    check_engine(recipe.train.engine)
    examples = task.dataset.examples("train")
    check_place(folder, task.dataset.base_path, [example.path for example in examples], cache_root())
    if not (folder / STUDY).is_file() and free_folder(folder) != folder:
        raise UsageError(f"{folder} is a run: name another folder, -o run=runs/NAME")
    callback = callback or Callback()
    paddle.disable_signal_handler()  # it would print a C++ traceback at SIGTERM
    with open_run(folder) as opened, stop_on_signals(callback.notice) as signals:
        facts = _facts(recipe, task, space, folds)
        study = Study(folder / STUDY, space, facts, recipe.train.seed, resume=resume)
        stop = _TimeLimit(signals, seconds)
        try:
            if study.lacks(trials):
                search = _Search(recipe, task, study, opened, stop, callback, device, folds=folds)
                _announce(search, trials, folds, seconds, space)
                search.run_trials(trials)
        except (StopRequested, StoppedError):
            if signals.signal is None:
                logger.info("the time (%s) is over; --resume continues", format_duration(seconds))
        _write_best(study, recipe, task, folder / BEST)
        stopped = None if signals.signal is None else signals.exit_code
        return _result(folder, study, space.first[0], stopped)


def _announce(search: "_Search", trials: int, folds: int, seconds: float, space: SearchSpace) -> None:
    """Log the extent of the search, and how long a trial takes."""
    logger.info(
        "up to %d trials in %s, each by %d-fold cross-validation; Ctrl-C stops, --resume continues",
        *(trials, format_duration(seconds), folds),
    )
    tried = {choice.strategy for choice in space.first}.union(space.strategies)
    if any(TRAINERS[name].sees_augmented for name in tried):
        logger.info("a trial that trains all parameters takes about %s", format_duration(search.estimate()))


def _task(recipe: Recipe, listed: BaseCVDataset) -> ImageClassifierTask:
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
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"run"})
    for section, key in (("train", "device"), ("train", "engine"), ("data", "workers")):
        del settings[section][key]
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
    """A running search, in a locked folder."""

    def __init__(
        self,
        recipe: Recipe,
        task: ImageClassifierTask,
        study: Study,
        folder: RunFolder,
        stop: Stop,
        callback: Callback,
        device: str,
        *,
        folds: int,
    ) -> None:
        """Divide the training list.

        Raises:
            DataError: if it has too few images, or too many that cannot be read.
            StopRequested: after a signal, or when the time is over.
        """
        self._recipe, self._task, self._study = recipe, task, study
        self._folder, self._stop, self._callback, self._device = folder, stop, callback, device
        self._groups = read_groups(task.dataset.base_path)
        images = readable_images(task.dataset.examples("train"), task.config, folder, stop)
        self._folds = make_search_folds(images, self._groups, folds=folds, seed=recipe.train.seed)

    def run_trials(self, trials: int) -> None:
        """Run trials up to this number, or until there is nothing left to try.

        Raises:
            StopRequested, StoppedError: after a signal, or when the time is over; the study is saved.
        """
        study = self._study
        while study.lacks(trials):
            trial = study.next_trial()
            if trial is None:
                logger.info("nothing is left to try")
                return
            self._run_trial(trial, max(trials, trial.number))
            _write_best(study, self._recipe, self._task, self._folder.path / BEST)

    def estimate(self) -> float:
        """Estimate the seconds of a trial that trains all parameters."""
        whole = estimate_training(self._task)
        return whole * (len(self._folds) - 1) * (1 - 1 / VALIDATE_PARTS)

    def _run_trial(self, trial: Trial, trials: int) -> None:
        """Run the remaining folds of a trial."""
        recipe = apply_choice(self._recipe, trial.choice, pretrained=self._task.module.weights is not None)
        for fold in range(len(trial.counts), len(self._folds)):
            if fold and self._study.falls_behind(trial):
                trial.state = "pruned"
                break
            started = time.monotonic()
            name = f"{trial.number}/{trials} fold {fold + 1}/{len(self._folds)}"
            progress = _FoldProgress(self._callback, name)
            try:
                right, count = self._run_fold(recipe, self._folds[fold], progress)
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
        logger.info(
            "trial %d of %d: %s: %s",
            *(trial.number, trials, trial.choice.description, self._outcome(trial)),
        )

    def _run_fold(self, recipe: Recipe, lists: Lists, callback: Callback) -> tuple[int, int]:
        """Train on a fold; returns the number of correct test images, and of all readable ones."""
        path = self._folder.path / _FOLD
        if path.exists():  # left by a process that was killed
            shutil.rmtree(path)
        config = recipe.config().model_copy(
            update={
                "max_bad": "100%",  # the limit was checked for the whole list
                "save_ckpt_interval": _NEVER,
            }
        )
        try:
            with open_run(path) as folder, _quiet():
                folder.write_description(dump_recipe(recipe), describe_machine(self._device))
                data = RunData(self._task.dataset.label_list, lists, self._groups)
                bad_images = BadImages(folder, lists, config)
                test = run(
                    RunContext(config, self._task.module, data, folder, self._stop, callback, bad_images)
                )["test"]
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return (round(test["accuracy"] * test["count"]), test["count"]) if test else (0, 0)

    def _outcome(self, trial: Trial) -> str:
        """Describe the result of a trial."""
        took = format_duration(trial.seconds)
        if trial.state == "failed":
            return "failed, training diverged"
        if trial.state == "pruned":
            return f"{_score(trial)}, given up after {len(trial.counts)} of {len(self._folds)} folds, {took}"
        return f"{_score(trial)}, {took}"


def _score(trial: Trial) -> str:
    """Format accuracy and standard error of a trial with at least one finished fold."""
    assert trial.accuracy is not None and trial.standard_error is not None
    return f"{100 * trial.accuracy:.1f} ± {100 * trial.standard_error:.1f} %"


def _write_best(study: Study, recipe: Recipe, task: ImageClassifierTask, file: Path) -> None:
    """Write the recipe of the best finished trial so far, if there is one."""
    done = [trial for trial in study.ranked() if trial.state == "done"]
    if not done:
        return
    best = done[0]
    best_recipe = apply_choice(recipe, best.choice, pretrained=task.module.weights is not None)
    command, rest = dump_recipe(best_recipe, f"hubtune finetune {file}").split("\n", 1)
    result = (
        f"# Found by hubtune tune: {_score(best)} right in {len(best.counts)}-fold cross-validation on "
        f"{sum(best.counts)}\n# training pictures, slightly optimistic as the best of {len(done)} scores."
    )
    write_atomically(file, f"{command}\n{result}\n{rest}")


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


def _result(folder: Path, study: Study, own: Choice, stopped: int | None) -> SearchResult:
    ranked = study.ranked()
    if ranked and ranked[0].state == "done":
        return SearchResult(folder, own, ranked, folder / BEST, stopped)
    if stopped is None and (study.is_interrupted or not study.trials):
        raise UsageError(
            "The time was over before a trial was done: continue by --resume with a longer --timeout, or "
            "take fewer train.epochs"
        )
    if stopped is None and ranked:
        raise NumericError(f"All {len(ranked)} trials have diverged: look at the pictures and the recipe")
    return SearchResult(folder, own, ranked, None, stopped)
