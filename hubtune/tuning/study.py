"""What a search for settings has tried, and what optuna proposes to try next.

optuna proposes by tree-structured Parzen estimators (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", 2011), and gives up what falls behind the median of the others (Golovin et al., "Google Vizier:
A Service for Black-Box Optimization", 2017). What was found is kept in one JSON file, and told to optuna anew
for each proposal, whose seed is drawn from its number: a search that was interrupted goes on as an
undisturbed one would have. optuna's own storage does not: samplers begin anew in each process, and a line of
its journal that was half written when a process died makes the whole unreadable.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.rng import seed_for
from hubtune.storage.atomic import write_atomically
from hubtune.train.strategies import TRAINERS
from hubtune.tuning.search_space import Choice, SearchSpace

_ATTEMPTS = 100  # at a choice that has not been tried; after so many in vain, there is none


@dataclass
class Trial:
    """A choice, and what has been found of it.

    Attributes:
        number: its place in the order of trials, from 1.
        choice: what is tried.
        state: ``running`` also after an interruption; ``pruned`` fell behind, ``failed`` has diverged.
        right: pictures that were named right, in each fold that is done.
        counts: readable pictures that were held out, in each of these.
        seconds: what these took.
    """

    number: int
    choice: Choice
    state: Literal["running", "done", "pruned", "failed"] = "running"
    right: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of the pictures of all folds together that was named right; ``None`` before the first."""
        return self.shares[-1] if self.counts else None

    @property
    def standard_error(self) -> float | None:
        """Of the accuracy, as of a share of so many independent pictures."""
        share = self.accuracy
        return None if share is None else math.sqrt(share * (1 - share) / max(1, sum(self.counts)))

    @property
    def shares(self) -> list[float]:
        """The accuracy as it was after each fold."""
        ends = range(1, len(self.counts) + 1)
        return [sum(self.right[:end]) / max(1, sum(self.counts[:end])) for end in ends]


class Study:
    """The trials of a search, in a file."""

    def __init__(
        self, file: Path, space: SearchSpace, facts: Mapping[str, Any], seed: int, *, resume: bool
    ) -> None:
        """Read the study, or begin it.

        Args:
            file: where it is kept.
            space: what may be tried.
            facts: all that scores and proposals depend on, as JSON can hold it.
            seed: decides the proposals, together with the scores.
            resume: whether to go on with what the file has.

        Raises:
            MachineError: if optuna is missing.
            ModelError: if the file is damaged.
            UsageError: if it was begun with other facts, or has trials and is not to be gone on with.
        """
        self._optuna = load_optuna()
        self._file, self._space, self._seed = file, space, seed
        self._facts = json.loads(json.dumps(dict(facts)))
        self.trials: list[Trial] = self._read(resume) if file.is_file() else []
        self.save()

    def save(self) -> None:
        """Write the file."""
        document = {"facts": self._facts, "trials": [asdict(trial) for trial in self.trials]}
        write_atomically(self._file, json.dumps(document, indent=1) + "\n")

    @property
    def is_interrupted(self) -> bool:
        """Whether the last trial is still to be ended."""
        return bool(self.trials) and self.trials[-1].state == "running"

    def lacks(self, trials: int) -> bool:
        """Whether there is something to do until there are so many trials, all of them ended."""
        return self.is_interrupted or len(self.trials) < trials

    def next_trial(self) -> Trial | None:
        """The trial that was interrupted, or else a new one; ``None`` where nothing is left to try."""
        if self.is_interrupted:
            return self.trials[-1]
        choice = self._propose()
        if choice is None:
            return None
        self.trials.append(Trial(len(self.trials) + 1, choice))
        return self.trials[-1]

    def falls_behind(self, trial: Trial) -> bool:
        """Whether a trial is below the median that others had after as many folds; never so for the first."""
        told = self._told().ask()
        for fold, share in enumerate(trial.shares):
            told.report(share, fold)
        return bool(told.should_prune())

    def ranked(self) -> list[Trial]:
        """The trials: those that are done, best first, of equals the first; then the others in order."""
        return sorted(
            self.trials,
            key=lambda trial: (trial.state != "done", -(trial.accuracy or 0) * (trial.state == "done")),
        )

    def _propose(self) -> Choice | None:
        number = len(self.trials)
        if number < len(self._space.first):
            return self._space.first[number]
        if not self._space.strategies:
            return None
        tried = {trial.choice for trial in self.trials}
        samplers = self._optuna.samplers
        for attempt in range(_ATTEMPTS):
            # The same choice would give the same score, and where there are few, optuna repeats the best.
            kind = samplers.RandomSampler if attempt else samplers.TPESampler
            sampler = kind(seed=seed_for(self._seed, "tune", number, attempt))
            choice = self._draw(self._told(sampler).ask())
            if choice not in tried:
                return choice
        return None

    def _draw(self, asked: Any) -> Choice:
        space = self._space
        strategy = asked.suggest_categorical("strategy", space.strategies)
        rate = None if space.rates is None else asked.suggest_float("learning_rate", *space.rates, log=True)
        if not TRAINERS[strategy].sees_augmented:
            return Choice(strategy, rate or "auto")
        return Choice(strategy, rate or "auto", asked.suggest_categorical("augment", space.augments))

    def _told(self, sampler: Any = None) -> Any:
        """A study of optuna's that knows all that has been found."""
        optuna = self._optuna
        told = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner()
        )
        states = {
            "done": optuna.trial.TrialState.COMPLETE,
            "pruned": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }
        for trial in self.trials:
            if trial.state != "running":
                drawn = self._drawn(trial.choice)
                known = optuna.trial.create_trial(
                    state=states[trial.state],
                    value=None if trial.state == "failed" else trial.accuracy,
                    params=drawn,
                    distributions={name: self._distributions()[name] for name in drawn},
                    intermediate_values=dict(enumerate(trial.shares)),
                )
                told.add_trial(known)
        return told

    def _drawn(self, choice: Choice) -> dict[str, Any]:
        """A choice as optuna draws it; empty for one that it cannot draw."""
        if choice.strategy not in self._space.strategies:
            return {}
        return {name: value for name, value in asdict(choice).items() if value not in (None, "auto")}

    def _distributions(self) -> dict[str, Any]:
        space, kinds = self._space, self._optuna.distributions
        rates = (
            {} if space.rates is None else {"learning_rate": kinds.FloatDistribution(*space.rates, log=True)}
        )
        return {
            **rates,
            "strategy": kinds.CategoricalDistribution(space.strategies),
            "augment": kinds.CategoricalDistribution(space.augments),
        }

    def _read(self, resume: bool) -> list[Trial]:
        try:
            document = json.loads(self._file.read_bytes())
            facts = dict(document["facts"])
            trials = [
                Trial(**{**written, "choice": Choice(**written["choice"])}) for written in document["trials"]
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{self._file} is damaged: remove it, and start the search anew") from error
        if not trials:  # it ended before it began
            return []
        if not resume:
            raise UsageError(
                f"{self._file.parent} has a search of {len(trials)} trials: go on with it by --resume, or "
                "name another folder, -o run=runs/NAME"
            )
        changed = [key for key in {**facts, **self._facts} if facts.get(key) != self._facts.get(key)]
        if changed:
            raise UsageError(
                f"The search in {self._file.parent} was begun with other settings ({', '.join(changed)}): "
                "take the same, or name another folder, -o run=runs/NAME"
            )
        return trials


def load_optuna() -> ModuleType:
    """Import optuna, and keep it quiet.

    Raises:
        MachineError: if it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MachineError(f'A search needs optuna ({error}): pip install "hubtune[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
