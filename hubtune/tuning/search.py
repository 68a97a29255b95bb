"""A search for settings that suit the data better, by cross-validation on the training list alone."""

import hashlib
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.images.decode import ImageError, read_content
from hubtune.data.list_files import TRAIN_LIST
from hubtune.data.listing import ImageEntry
from hubtune.data.splits.files import read_groups
from hubtune.data.splits.kfold import make_folds
from hubtune.errors import DataError, NumericError, StoppedError, UsageError
from hubtune.hardware.device import select_device
from hubtune.hardware.throughput import threads
from hubtune.inference.engine import check_engine
from hubtune.log import logger
from hubtune.recipe.load import dump_recipe
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategies import DefaultFinetuneStrategy, ScratchStrategy
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RunFolder, check_place, describe_machine, free_folder, open_run
from hubtune.runs.signals import Stop, StopRequested, stop_on_signals
from hubtune.storage.atomic import sha256_of, write_atomically
from hubtune.storage.cache_folder import cache_root
from hubtune.task import ImageClassifierTask, dataset_of
from hubtune.text import format_duration
from hubtune.train.run import Session
from hubtune.train.skipped import BadImages
from hubtune.tuning.search_space import WITHOUT_AUGMENT, Choice, SearchSpace, recipe_of, space_of
from hubtune.tuning.study import Study, Trial, load_optuna

STUDY = "study.json"
BEST = "best.yaml"

_VALIDATE_PARTS = 10  # one of so many parts of a fold's training pictures is its validation list
_FOLD = "fold"  # the run folder of the fold that is at work
_NEVER = 10**9  # steps between checkpoints, which nothing would go on from

Lists = dict[str, list[ImageEntry]]
"""A fold's training, validation and test list."""


@dataclass(frozen=True)
class SearchResult:
    """What a search has found.

    Attributes:
        folder: where its study is.
        recipe: the choice that is the recipe itself.
        trials: those that are done, best first; then the others.
        best_recipe: the file with the best trial's recipe; ``None`` if none was done before a signal.
        stopped: exit code of the signal that stopped the search; ``None`` for none.
    """

    folder: Path
    recipe: Choice
    trials: list[Trial]
    best_recipe: Path | None
    stopped: int | None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
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
    folder: Path,
    *,
    trials: int = 20,
    seconds: float = 1800.0,
    folds: int = 3,
    strategies: Sequence[str] | None = None,
    resume: bool = False,
    observer: Callback | None = None,
) -> SearchResult:
    """Search for the strategy, learning rate and augmentation that suit the data best.

    A trial's score is its accuracy by cross-validation on the training list. The folds are stratified;
    copies of a picture, and pictures of one group of ``split.json``, stay together. A tenth of a fold's
    training pictures is its validation list. The recipe's own validation and test lists are not opened. The
    first trials are the recipe as it is, ``frozen``, and the recipe with each other strategy.

    Args:
        recipe: what all trials have in common.
        folder: where the study, and the best trial's recipe, are kept.
        trials: how many in all, those of earlier calls included.
        seconds: no longer than this, but for what cannot be interrupted.
        folds: of the cross-validation, at least 2.
        strategies: names of those to try; default: all that go with module and data.
        resume: go on with the study in the folder, in the fold where it stopped; begin where there is none.
        observer: told about the progress of each fold.

    Raises:
        UsageError: if there is a study already, or one that is resumed was begun with other settings, or a
            strategy does not go with the recipe, or no trial was done in the time.
        DataError: if pictures or lists cannot be used, or there are too few for the folds.
        ModelError: if the module cannot be had, or the study is damaged.
        MachineError: if optuna or the device is missing, or the folder cannot be written.
        NumericError: if all trials diverge.
        LockedError: if another process uses the folder.
    """
    load_optuna()
    listed = dataset_of(recipe, complete=False)
    task = _task(recipe, listed)
    space = space_of(
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
    observer = observer or Callback()
    paddle.disable_signal_handler()  # it would print a C++ traceback at SIGTERM
    with open_run(folder) as run, stop_on_signals(observer.notice) as signals:
        facts = _facts(recipe, task, space, folds)
        study = Study(folder / STUDY, space, facts, recipe.train.seed, resume=resume)
        stop = _TimeLimit(signals, seconds)
        try:
            if study.lacks(trials):
                search = _Search(recipe, task, study, run, stop, observer, device, folds=folds)
                _announce(search, trials, folds, seconds, space)
                search.go(trials)
        except (StopRequested, StoppedError):
            if signals.signal is None:
                logger.info("the time (%s) is over; --resume goes on", format_duration(seconds))
        _write_best(study, recipe, task, folder / BEST)
        stopped = None if signals.signal is None else signals.exit_code
        return _found(folder, study, space.first[0], stopped)


def _announce(search: "_Search", trials: int, folds: int, seconds: float, space: SearchSpace) -> None:
    """Say what is ahead, and how long it takes as far as that is quick to know."""
    logger.info(
        "up to %d trials in %s, each by %d-fold cross-validation; Ctrl-C stops, --resume goes on",
        *(trials, format_duration(seconds), folds),
    )
    if {choice.strategy for choice in space.first}.union(space.strategies) - {*WITHOUT_AUGMENT}:
        logger.info("a trial that trains all parameters takes about %s", format_duration(search.estimate()))


def _task(recipe: Recipe, listed: BaseCVDataset) -> ImageClassifierTask:
    """The recipe's module and its training list, without the others: not even their labels are counted."""
    data = recipe.data
    lists = {
        "train": data.train or TRAIN_LIST,
        "validate_": None,
        "test": None,
        "labels": data.labels or (listed.label_list_file and listed.label_list_file.name),
    }
    # What a strategy needs is looked at for all of them, later.
    strategy = recipe.strategy if isinstance(recipe.strategy, ScratchStrategy) else DefaultFinetuneStrategy()
    plain = recipe.model_copy(update={"data": data.model_copy(update=lists), "strategy": strategy})
    return ImageClassifierTask.from_recipe(plain, complete=True)


def _facts(recipe: Recipe, task: ImageClassifierTask, space: SearchSpace, folds: int) -> dict[str, Any]:
    """What a study that is resumed must share with the one that was begun."""
    said = recipe.model_dump(mode="json", by_alias=True, exclude={"run"})
    for section, key in (("train", "device"), ("train", "engine"), ("data", "workers")):
        del said[section][key]
    file = task.dataset.list_files["train"]
    assert file is not None  # its examples have been read
    return {
        **{f"{section}.{key}": value for section, keys in said.items() for key, value in keys.items()},
        "the training list": sha256_of(file),
        "the classes": task.dataset.label_list,
        "the weights": task.module.weights_sha256,
        "--folds": folds,
        "--strategies": space.strategies,
    }


class _TimeLimit(Stop):
    """Asks to stop when a signal does, and when the time is over."""

    def __init__(self, signals: Stop, seconds: float) -> None:
        super().__init__()
        self._signals, self._end = signals, time.monotonic() + seconds

    def check(self) -> None:
        self._signals.check()
        if time.monotonic() > self._end:
            raise StopRequested


class _Inside(Callback):
    """Passes on how far a fold is, under its trial's name, and nothing else."""

    def __init__(self, observer: Callback, name: str) -> None:
        self._observer, self._name = observer, name

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._observer.start(f"{self._name} {what}", total, done)

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        self._observer.advance(images, loss=loss, accuracy=accuracy)


class _Search:
    """A search at work, in a folder that is locked."""

    def __init__(
        self,
        recipe: Recipe,
        task: ImageClassifierTask,
        study: Study,
        run: RunFolder,
        stop: Stop,
        observer: Callback,
        device: str,
        *,
        folds: int,
    ) -> None:
        """Divide the training list.

        Raises:
            DataError: if it has too few pictures, or too many that cannot be read.
            StopRequested: if there was a signal meanwhile, or the time is over.
        """
        self._recipe, self._task, self._study = recipe, task, study
        self._run, self._stop, self._observer, self._device = run, stop, observer, device
        self._groups = read_groups(task.dataset.base_path)
        examples = _readable(task, run, stop)
        groups = _group_of(examples, self._groups, stop)
        self._folds = _divide(examples, groups, folds=folds, seed=recipe.train.seed)

    def go(self, trials: int) -> None:
        """Run trials until there are so many, or none is left to try.

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
            _write_best(study, self._recipe, self._task, self._run.path / BEST)

    def estimate(self) -> float:
        """About how many seconds a trial takes in which all parameters are trained."""
        whole = self._task.estimate()
        return whole * (len(self._folds) - 1) * (1 - 1 / _VALIDATE_PARTS)

    def _run_trial(self, trial: Trial, trials: int) -> None:
        """Run what is left of a trial, of so many."""
        recipe = recipe_of(self._recipe, trial.choice, pretrained=self._task.module.weights is not None)
        for fold in range(len(trial.counts), len(self._folds)):
            if fold and self._study.falls_behind(trial):
                trial.state = "pruned"
                break
            started = time.monotonic()
            name = f"{trial.number}/{trials} fold {fold + 1}/{len(self._folds)}"
            watched = _Inside(self._observer, name)
            try:
                right, count = self._run_fold(recipe, self._folds[fold], watched)
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

    def _run_fold(self, recipe: Recipe, lists: Lists, observer: Callback) -> tuple[int, int]:
        """Train on a fold; returns how many held-out pictures are right, and of how many."""
        folder = self._run.path / _FOLD
        if folder.exists():  # of a process that was killed
            shutil.rmtree(folder)
        config = recipe.config().model_copy(
            update={
                "max_bad": "100%",  # that was held against the whole list
                "save_ckpt_interval": _NEVER,
            }
        )
        try:
            with open_run(folder) as run, _quiet():
                run.write_description(dump_recipe(recipe), describe_machine(self._device, threads()))
                session = Session(
                    self._task.module,
                    self._task.dataset.label_list,
                    config,
                    run,
                    lists,
                    self._groups,
                    self._stop,
                    observer,
                )
                test = session.train()["test"]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return (round(test["accuracy"] * test["count"]), test["count"]) if test else (0, 0)

    def _outcome(self, trial: Trial) -> str:
        """What a trial has come to, in words."""
        took = format_duration(trial.seconds)
        if trial.state == "failed":
            return "failed, training diverged"
        if trial.state == "pruned":
            return f"{_score(trial)}, given up after {len(trial.counts)} of {len(self._folds)} folds, {took}"
        return f"{_score(trial)}, {took}"


def _score(trial: Trial) -> str:
    """Accuracy and standard error of a trial in which at least one fold is done."""
    assert trial.accuracy is not None and trial.standard_error is not None
    return f"{100 * trial.accuracy:.1f} ± {100 * trial.standard_error:.1f} %"


def _write_best(study: Study, recipe: Recipe, task: ImageClassifierTask, file: Path) -> None:
    """Write the recipe of the best trial so far, if one is done."""
    done = [trial for trial in study.ranked() if trial.state == "done"]
    if not done:
        return
    best = done[0]
    found = recipe_of(recipe, best.choice, pretrained=task.module.weights is not None)
    command, rest = dump_recipe(found, f"hubtune finetune {file}").split("\n", 1)
    said = (
        f"# Found by hubtune tune: {_score(best)} right in {len(best.counts)}-fold cross-validation on "
        f"{sum(best.counts)}\n# training pictures, a little flattered as the best of {len(done)} scores."
    )
    write_atomically(file, f"{command}\n{said}\n{rest}")


def _readable(task: ImageClassifierTask, run: RunFolder, stop: Stop) -> list[ImageEntry]:
    """The training pictures, without those that are known to be bad, which are named in ``skipped.csv``."""
    examples = task.dataset.examples("train")
    BadImages(run, {"train": examples}, task.config).check_headers(stop.check)
    bad = {path for _, path, _ in run.read_skipped()}
    return [example for example in examples if str(example.path) not in bad]


def _group_of(examples: Sequence[ImageEntry], groups: Mapping[Path, int], stop: Stop) -> list[object]:
    """For each picture, what it has in common with those that belong to it: a group's number, or its sum."""
    found: list[object] = []
    for example in examples:
        stop.check()
        try:
            own = hashlib.sha256(read_content(example.path)).hexdigest()
        except ImageError:
            own = str(example.path)  # it is named where it is looked at
        found.append(groups.get(example.path, own))
    return found


def _divide(
    examples: Sequence[ImageEntry], groups: Sequence[object], *, folds: int, seed: int
) -> list[Lists]:
    """Divide the training list for cross-validation, each fold with a validation list of its own.

    Raises:
        DataError: if there are too few pictures.
    """
    labels = np.array([example.label for example in examples], dtype=np.int64)

    def chosen(rows: np.ndarray) -> list[ImageEntry]:
        return [examples[row] for row in rows]

    divided: list[Lists] = []
    for fitted, tested in make_folds(labels, groups, folds=folds, seed=seed):
        parts = make_folds(labels[fitted], [groups[row] for row in fitted], folds=_VALIDATE_PARTS, seed=seed)
        if parts:
            validate = fitted[parts[0][1]]
            train = np.setdiff1d(fitted, validate)
            divided.append({"train": chosen(train), "validate": chosen(validate), "test": chosen(tested)})
    if len(divided) < folds:
        raise DataError(
            f"The training list has {len(examples)} readable pictures of {len(np.unique(labels))} classes, "
            f"too few for {folds} folds of cross-validation: add pictures"
            + (", or take fewer --folds" if folds > 2 else "")
        )
    return divided


@contextmanager
def _quiet() -> Iterator[None]:
    """What is logged while the block runs is for those who debug."""

    def demote(record: logging.LogRecord) -> bool:
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logger.isEnabledFor(logging.DEBUG)

    logger.addFilter(demote)
    try:
        yield
    finally:
        logger.removeFilter(demote)


def _found(folder: Path, study: Study, own: Choice, stopped: int | None) -> SearchResult:
    ranked = study.ranked()
    if ranked and ranked[0].state == "done":
        return SearchResult(folder, own, ranked, folder / BEST, stopped)
    if stopped is None and (study.is_interrupted or not study.trials):
        raise UsageError(
            "The time was over before a trial was done: go on by --resume with a longer --timeout, or take "
            "fewer train.epochs"
        )
    if stopped is None and ranked:
        raise NumericError(f"All {len(ranked)} trials have diverged: look at the pictures and the recipe")
    return SearchResult(folder, own, ranked, None, stopped)
