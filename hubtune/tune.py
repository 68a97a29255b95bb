"""A search for better settings by cross-validation on the training list: `hubtune tune`.

optuna proposes settings with tree-structured Parzen estimators (Bergstra et al., "Algorithms for
Hyper-Parameter Optimization", 2011), and gives up what falls behind the median of the others (Golovin et al.,
"Google Vizier: A Service for Black-Box Optimization", 2017). What was found is kept in one JSON file and given
to optuna anew for each proposal, whose seed is drawn from its number: a search that was interrupted goes on as
an undisturbed one would have. optuna's own files do neither: its samplers begin anew with each process, and a
line that was half written when a process died makes its journal unreadable.
"""

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import paddle

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.image import PictureError, read_content
from hubtune.data.lists import TRAIN_LIST, Example
from hubtune.data.split import read_groups
from hubtune.errors import DataError, MachineError, NumericError, StoppedError, UsageError, suggest
from hubtune.features.engine import check_engine
from hubtune.files import sha256_of, write_atomically
from hubtune.hub.cache import home
from hubtune.log import duration, logger
from hubtune.randomness import seed_of
from hubtune.recipe.augment import PRESETS, AugmentSettings
from hubtune.recipe.load import dump_recipe
from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategy import (
    AdamWeightDecayStrategy,
    DefaultFinetuneStrategy,
    FromFrozenStrategy,
    FrozenStrategy,
    HeadSettings,
    L2SPFinetuneStrategy,
    LastStageStrategy,
    ScratchStrategy,
    Strategy,
    ULMFiTStrategy,
)
from hubtune.session import Session
from hubtune.task import ImageClassifierTask, dataset_of
from hubtune.train.device import select_device
from hubtune.train.head import make_folds
from hubtune.train.interrupt import Stop, StopRequested, stop_on_signals
from hubtune.train.observer import Observer
from hubtune.train.pace import threads
from hubtune.train.run_folder import (
    RunFolder,
    check_place,
    describe_machine,
    free_folder,
    open_run,
)
from hubtune.train.skipped import Skipped

if TYPE_CHECKING:
    import optuna

STUDY = "study.json"
BEST = "best.yaml"

_STRATEGIES: dict[str, Any] = {
    kind.model_fields["name"].default: kind
    for kind in (
        FrozenStrategy,
        FromFrozenStrategy,
        DefaultFinetuneStrategy,
        LastStageStrategy,
        L2SPFinetuneStrategy,
        ULMFiTStrategy,
        AdamWeightDecayStrategy,
        ScratchStrategy,
    )
}
_FROM_RANDOM = ("adam_weight_decay", "scratch")  # what makes sense without pretrained weights
_AUGMENTS = ("none", "flip", "standard", "strong")
_RECIPES_OWN = "the recipe's"  # augmentation that is no preset

_RATES = (1e-5, 1e-2)  # for Adam and its kin
_RATES_WITHOUT_ADAM = (1e-4, 1.0)  # momentum, sgd and lars do not divide by the size of the gradient

_VALIDATE_FOLDS = 10  # one of so many parts of a fold's training pictures is its validation list
_ATTEMPTS = 100  # at a proposal that has not been tried; where nothing is left, none will be found

State = Literal["running", "done", "pruned", "failed"]


@dataclass(frozen=True)
class Choice:
    """What a trial changes in the recipe.

    Attributes:
        strategy: its name.
        learning_rate: ``auto`` where the recipe says so; ``None`` where there is none.
        augment: a preset's name, or "the recipe's"; ``None`` where pictures are not augmented.
    """

    strategy: str
    learning_rate: float | Literal["auto"] | None = None
    augment: str | None = None

    @property
    def in_words(self) -> str:
        """The choice for people, on one line."""
        words = [self.strategy]
        if self.learning_rate is not None:
            rate = self.learning_rate
            words.append(f"rate {rate if rate == 'auto' else format(rate, '.2g')}")
        if self.augment is not None:
            words.append(f"augment {self.augment}")
        return ", ".join(words)


@dataclass
class Trial:
    """A choice, and what has been found of it.

    Attributes:
        number: its place in the order of trials, from 1.
        choice: what was tried.
        state: ``running`` also for one that was interrupted.
        right: pictures named right, in each fold that is done.
        counts: readable pictures held out, in each of these.
        seconds: what these took.
    """

    number: int
    choice: Choice
    state: State = "running"
    right: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of the pictures of all folds that is named right; ``None`` before the first."""
        return sum(self.right) / sum(self.counts) if sum(self.counts) else None

    @property
    def standard_error(self) -> float | None:
        """Of the accuracy, as a share of so many independent pictures."""
        share = self.accuracy
        return None if share is None else math.sqrt(share * (1 - share) / sum(self.counts))


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        folder: the search's folder.
        recipe: the choice that is the recipe as it came.
        trials: those that are done, best first; then the others.
        best_recipe: the best trial's recipe; ``None`` if none was done before a signal.
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
                    **asdict(trial.choice),
                    "recipe": trial.choice == self.recipe,
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
    observer: Observer | None = None,
) -> Found:
    """Search for the strategy, learning rate and augmentation that suit the data best.

    A trial's score is its accuracy by cross-validation on the training list, copies and pictures of one group
    in one fold; a tenth of each fold's training pictures is its validation list. The recipe's own validation
    and test lists are not opened. The first trials are the recipe as it is, and ``frozen``.

    Args:
        recipe: what all trials have in common; its ``run`` is that of the recipe that is found.
        folder: where the study is kept.
        trials: how many in all, those of earlier calls included.
        seconds: no longer than this.
        folds: of the cross-validation.
        strategies: names of those to try; default: all that suit module and data.
        resume: go on with the study in the folder, if there is one.
        observer: told about the progress of each fold, and of signals.

    Raises:
        UsageError: if there is a study already, or one that is resumed was begun with other settings, or a
            strategy does not go with the recipe, or no trial was done in the time.
        DataError: if there are too few pictures, or they cannot be used.
        ModelError: if the module cannot be had, or the study is damaged.
        MachineError: if optuna or the device is missing, or the folder cannot be written.
        NumericError: if all trials diverge.
        LockedError: if another process uses the folder.
    """
    program = _load_optuna()
    study = folder / STUDY
    if study.is_file() and not resume:
        raise UsageError(
            f"{folder} has a study already: go on with it by --resume, or name another folder, "
            "-o run=runs/NAME"
        )
    task = _task(recipe)
    space = _Space.of(recipe, task, strategies, has_validation=_has_validation(recipe))
    device = select_device(recipe.train.device)
    check_engine(recipe.train.engine)
    examples = task.dataset.examples("train")
    check_place(folder, task.dataset.base_path, [example.path for example in examples], home())
    if not study.is_file() and free_folder(folder) != folder:
        raise UsageError(f"{folder} is a run: name another folder, -o run=runs/NAME")
    observer = observer or Observer()
    paddle.disable_signal_handler()  # it would print a C++ traceback at SIGTERM
    with open_run(folder) as run, stop_on_signals(observer.notice) as signals:
        search = _Search(program, recipe, task, space, folds, run, device, observer)
        search.stop = _TimeLimit(signals, seconds)
        search.go(trials, seconds)
        return search.found(None if signals.signal is None else signals.exit_code)


def _load_optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise MachineError(f'The search needs optuna ({error}): pip install "hubtune[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _task(recipe: Recipe) -> ImageClassifierTask:
    """The recipe's module and training list; neither of the other lists is opened."""
    data = recipe.data
    labels = dataset_of(recipe, complete=False).label_list_file
    lists = {
        "train": data.train or TRAIN_LIST,
        "validate_": None,
        "test": None,
        "labels": data.labels or (labels and labels.name),
    }
    # Strategies are held against module and data one by one.
    strategy = recipe.strategy if isinstance(recipe.strategy, ScratchStrategy) else DefaultFinetuneStrategy()
    plain = recipe.model_copy(update={"data": data.model_copy(update=lists), "strategy": strategy})
    return ImageClassifierTask.from_recipe(plain, complete=True)


def _has_validation(recipe: Recipe) -> bool:
    return dataset_of(recipe, complete=False).list_files["validate"] is not None


@dataclass(frozen=True)
class _Space:
    """What may be tried.

    Attributes:
        first: the choices that are tried first.
        strategies: those that are proposed. ``frozen`` has nothing to vary, and is not among them.
        rates: least and largest learning rate; ``None`` where the recipe's ``auto`` finds it.
        augments: names of augmentations.
    """

    first: list[Choice]
    strategies: list[str]
    rates: tuple[float, float] | None
    augments: list[str]

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        task: ImageClassifierTask,
        wanted: Sequence[str] | None,
        *,
        has_validation: bool,
    ) -> "_Space":
        """Find what suits a recipe.

        Raises:
            UsageError: if a strategy that is wanted does not.
        """
        own = recipe.strategy.name
        misfits = {
            name: reason
            for name, kind in _STRATEGIES.items()
            if name != own and (reason := _misfit(kind, recipe, task, has_validation))
        }
        known = [*_STRATEGIES, *([own] if own not in _STRATEGIES else [])]
        for name in wanted or ():
            if name not in known:
                raise UsageError(
                    f"--strategies: {name!r} is none of {', '.join(known)}.{suggest(name, known)}"
                )
            if name in misfits:
                raise UsageError(f"--strategies: {name} does not go with this recipe, as {misfits[name]}")
        fitting = [name for name in known if name not in misfits and name in (wanted or known)]
        first = [_own_choice(recipe)]
        if "frozen" not in misfits and Choice("frozen") not in first:
            first.append(Choice("frozen"))
        rates = None
        if recipe.train.learning_rate != "auto":
            adam = recipe.train.optimizer.name in ("auto", "adam", "adamw", "lamb")
            rates = _RATES if adam else _RATES_WITHOUT_ADAM
            given = first[0].learning_rate
            if isinstance(given, float):
                rates = min(rates[0], given), max(rates[1], given)
        # With `auto`, one test of rates replaces the search for one.
        augments = [*_AUGMENTS]
        if (augment := first[0].augment) is not None and augment not in augments:
            augments.append(augment)
        return cls(first, [name for name in fitting if name != "frozen"], rates, augments)

    def draw(self, trial: "optuna.Trial") -> Choice:
        """Let optuna choose."""
        strategy = trial.suggest_categorical("strategy", self.strategies)
        rate: float | Literal["auto"] = "auto"
        if self.rates is not None:
            rate = trial.suggest_float("learning_rate", *self.rates, log=True)
        augment = None
        if _augments(strategy):
            augment = trial.suggest_categorical("augment", self.augments)
        return Choice(strategy, rate, augment)

    def parameters(self, choice: Choice) -> dict[str, Any]:
        """A choice as optuna would have drawn it; empty for one that it could not have drawn."""
        if choice.strategy not in self.strategies:
            return {}
        return {name: value for name, value in asdict(choice).items() if value not in (None, "auto")}


def _misfit(
    kind: type[Any], recipe: Recipe, task: ImageClassifierTask, has_validation: bool
) -> str | None:
    """Why a strategy does not go with a recipe; ``None`` if it does."""
    name = kind.model_fields["name"].default
    if task.module.weights is None and name not in _FROM_RANDOM:
        return "it starts from random values"
    if task.module.weights is not None and kind is ScratchStrategy:
        return "it has pretrained weights"
    if issubclass(kind, HeadSettings) and recipe.train.hidden_units:
        return "a linear head is solved, without hidden_units"
    if kind in (LastStageStrategy, FromFrozenStrategy) and not has_validation:
        return "it is held against frozen on a validation list, and there is none"
    if kind is LastStageStrategy and len(task.module.stages) < 3:
        return f"{task.module.name} has a single stage"
    return None


def _augments(strategy: str) -> bool:
    return strategy not in ("frozen", "last_stage")  # which see pictures as they are


def _own_choice(recipe: Recipe) -> Choice:
    """The recipe as it is."""
    strategy, settings = recipe.strategy.name, recipe.train.augment
    if strategy == "frozen":
        return Choice(strategy)
    names = [name for name, keys in PRESETS.items() if AugmentSettings(**keys) == settings]
    augment = (names or [_RECIPES_OWN])[0] if _augments(strategy) else None
    return Choice(
        strategy, "auto" if recipe.train.learning_rate == "auto" else recipe.config().rate, augment
    )


def _recipe_of(recipe: Recipe, choice: Choice, *, random_weights: bool) -> Recipe:
    """The recipe with a choice put in."""
    strategy: Strategy = recipe.strategy
    if choice.strategy != strategy.name:
        strategy = _STRATEGIES[choice.strategy]()
    train: dict[str, Any] = {}
    if isinstance(choice.learning_rate, float):
        train["learning_rate"] = choice.learning_rate
        strategy = strategy.model_copy(update={"learning_rate": None})  # it is said once
    if choice.augment is not None and choice.augment != _RECIPES_OWN:
        train["augment"] = AugmentSettings(**PRESETS[choice.augment])
    changed: dict[str, Any] = {"strategy": strategy, "train": recipe.train.model_copy(update=train)}
    if random_weights:  # under `scratch`, a recipe need not say it
        changed["module"] = recipe.module.model_copy(update={"weights": "none"})
    return recipe.model_copy(update=changed)


class _TimeLimit(Stop):
    """Asks to stop when a signal does, or when the time is over."""

    def __init__(self, signals: Stop, seconds: float) -> None:
        super().__init__()
        self._signals, self._end = signals, time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end

    def check(self) -> None:
        self._signals.check()
        if self.is_over:
            raise StopRequested


class _Search:
    """A search at work, in a folder that is locked."""

    stop: _TimeLimit

    def __init__(
        self,
        program: ModuleType,
        recipe: Recipe,
        task: ImageClassifierTask,
        space: _Space,
        folds: int,
        run: RunFolder,
        device: str,
        observer: Observer,
    ) -> None:
        """Read the study, or begin it.

        Raises:
            ModelError: if it is damaged.
            UsageError: if it was begun with other settings.
        """
        self._optuna = program
        self._recipe, self._task, self._space = recipe, task, space
        self._count, self._run, self._device, self._observer = folds, run, device, observer
        self._file = run.path / STUDY
        self._random_weights = task.module.weights is None
        self._facts = self._collect_facts()
        self._trials = self._read() if self._file.is_file() else []
        self._save()
        self._folds: list[dict[str, list[Example]]] = []
        self._groups = read_groups(task.dataset.base_path)
