"""The study of a search: its trials, and optuna's proposals for the next one.

optuna proposes with tree-structured Parzen estimators (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", 2011), and prunes trials below the median of the others (Golovin et al., "Google Vizier: A
Service for Black-Box Optimization", 2017). The trials are passed to optuna again for each proposal, whose
seed is drawn from its number: an interrupted search continues as if it had not been interrupted. optuna's own
storage cannot do that: its samplers start again in each process, and a half-written line spoils its journal.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.extras import install_extra
from hubtune.rng import seed_for
from hubtune.storage.atomic import write_atomically
from hubtune.storage.regular_file import read_json
from hubtune.train.strategies import TRAINERS
from hubtune.tuning.search_space import Choice, SearchSpace

ATTEMPTS = 100  # to draw a choice that has not been tried; after that, none is left


@dataclass
class Trial:
    """A choice and its results: the correctly classified and the readable test images of each finished fold.

    ``running`` is also the state after an interruption; ``pruned`` means below the median, ``failed``
    diverged. ``seconds`` is the duration of the finished folds.
    """

    number: int
    choice: Choice
    state: Literal["running", "done", "pruned", "failed"] = "running"
    right: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def accuracy(self) -> float | None:
        return self.shares[-1] if self.counts else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the accuracy, for independent images."""
        share = self.accuracy
        return None if share is None else math.sqrt(share * (1 - share) / max(1, sum(self.counts)))

    @property
    def score(self) -> str:
        """Accuracy and standard error in percent; a dash before the first fold."""
        if self.accuracy is None or self.standard_error is None:
            return "–"
        return f"{100 * self.accuracy:.1f} ± {100 * self.standard_error:.1f} %"

    @property
    def shares(self) -> list[float]:
        ends = range(1, len(self.counts) + 1)
        return [sum(self.right[:end]) / max(1, sum(self.counts[:end])) for end in ends]


class Study:
    def __init__(
        self, file: Path, space: SearchSpace, facts: Mapping[str, Any], seed: int, *, resume: bool
    ) -> None:
        """Continue the study in the file, if ``resume`` says so, or begin it.

        ``facts`` are all else that scores and proposals depend on, for JSON. The seed decides the proposals,
        together with the scores.

        Raises:
            ModelError: if the file is damaged.
            UsageError: if it was begun with other facts, or has trials and is not resumed.
        """
        self._optuna = load_optuna()
        self._file, self._space, self._seed = file, space, seed
        self._facts = json.loads(json.dumps(dict(facts)))
        self.trials: list[Trial] = self._read(resume) if file.is_file() else []
        self.save()

    def save(self) -> None:
        document = {"facts": self._facts, "trials": [asdict(trial) for trial in self.trials]}
        write_atomically(self._file, json.dumps(document, indent=1) + "\n")

    @property
    def is_interrupted(self) -> bool:
        return bool(self.trials) and self.trials[-1].state == "running"

    def lacks(self, trials: int) -> bool:
        """Whether fewer than ``trials`` trials are finished, counting all that were begun."""
        return self.is_interrupted or len(self.trials) < trials

    def run_next(self, evaluate: Callable[[Trial], None]) -> bool:
        """Run the interrupted trial, or a new one; returns whether there was one.

        ``evaluate`` trains a trial, enters its results, and saves after each fold.
        """
        trial = self.next_trial()
        if trial is not None:
            evaluate(trial)
        return trial is not None

    def next_trial(self) -> Trial | None:
        """Return the interrupted trial, or a new one; ``None`` if nothing is left to try."""
        if self.is_interrupted:
            return self.trials[-1]
        choice = self._propose()
        if choice is None:
            return None
        self.trials.append(Trial(len(self.trials) + 1, choice))
        return self.trials[-1]

    def falls_behind(self, trial: Trial) -> bool:
        """Whether a trial is below the median of the others after as many folds; never so for the first."""
        asked = self._optuna_study().ask()
        for fold, share in enumerate(trial.shares):
            asked.report(share, fold)
        return bool(asked.should_prune())

    def ranked(self) -> list[Trial]:
        """Return the trials in the order of :func:`rank_trials`."""
        return rank_trials(self.trials)

    def _propose(self) -> Choice | None:
        number = len(self.trials)
        if number < len(self._space.first):
            return self._space.first[number]
        if not self._space.strategies:
            return None
        tried = {trial.choice for trial in self.trials}
        samplers = self._optuna.samplers
        for attempt in range(ATTEMPTS):
            # The same choice gives the same score, and with few choices optuna repeats the best one.
            kind = samplers.RandomSampler if attempt else samplers.TPESampler
            sampler = kind(seed=seed_for(self._seed, "tune", number, attempt))
            choice = draw_choice(self._optuna_study(sampler).ask(), self._space)
            if choice not in tried:
                return choice
        return None

    def _optuna_study(self, sampler: Any = None) -> Any:
        optuna, pruner = self._optuna, self._optuna.pruners.MedianPruner()
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        names = {"done": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
        for trial in self.trials:
            if trial.state == "running":
                continue
            params, distributions = parameters_of(trial.choice, self._space), distributions_of(self._space)
            frozen = optuna.trial.create_trial(
                state=optuna.trial.TrialState[names[trial.state]],
                value=None if trial.state == "failed" else trial.accuracy,
                params=params,
                distributions={name: distributions[name] for name in params},
                intermediate_values=dict(enumerate(trial.shares)),
            )
            study.add_trial(frozen)
        return study

    def _read(self, resume: bool) -> list[Trial]:
        try:
            document = read_json(self._file)
            facts = dict(document["facts"])
            trials = [
                Trial(**{**written, "choice": Choice(**written["choice"])}) for written in document["trials"]
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{self._file} is damaged: remove it, and start a new search") from error
        if not trials:  # it ended before the first trial
            return []
        if not resume:
            raise UsageError(
                f"{self._file.parent} has a search of {len(trials)} trials: continue it with --resume, or "
                "name another folder, -o run=runs/NAME"
            )
        changed = [key for key in {**facts, **self._facts} if facts.get(key) != self._facts.get(key)]
        if changed:
            raise UsageError(
                f"The search in {self._file.parent} was begun with other settings ({', '.join(changed)}): "
                "take the same, or name another folder, -o run=runs/NAME"
            )
        return trials


def rank_trials(trials: Sequence[Trial]) -> list[Trial]:
    """Return the finished trials, best first, of equals the earlier; then the others in order."""
    return sorted(trials, key=lambda trial: -(trial.accuracy or 0) if trial.state == "done" else math.inf)


def draw_choice(asked: Any, space: SearchSpace) -> Choice:
    """Return the choice that optuna suggests for a trial that was asked for."""
    strategy = asked.suggest_categorical("strategy", space.strategies)
    rate = None if space.rates is None else asked.suggest_float("learning_rate", *space.rates, log=True)
    augment = None
    if TRAINERS[strategy].sees_augmented:
        augment = asked.suggest_categorical("augment", space.augments)
    return Choice(strategy, rate or "auto", augment)


def parameters_of(choice: Choice, space: SearchSpace) -> dict[str, Any]:
    """Return a choice as optuna's parameters; none if optuna cannot draw it."""
    if choice.strategy not in space.strategies:
        return {}
    return {name: value for name, value in asdict(choice).items() if value not in (None, "auto")}


def distributions_of(space: SearchSpace) -> dict[str, Any]:
    """Return optuna's distribution of each parameter; ``None`` for one that is not varied."""
    kinds = load_optuna().distributions
    return {
        "strategy": kinds.CategoricalDistribution(space.strategies),
        "augment": kinds.CategoricalDistribution(space.augments),
        "learning_rate": space.rates and kinds.FloatDistribution(*space.rates, log=True),
    }


def load_optuna() -> ModuleType:
    """Import optuna, and keep it quiet; raises a ``MachineError`` if it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise MachineError(f"A search needs optuna ({error}): {install_extra('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
