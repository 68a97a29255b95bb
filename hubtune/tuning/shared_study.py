"""A study in a database, which several processes and machines search at once.

optuna's relational storage holds the trials. A worker records a heartbeat while it runs a trial; when the
heartbeat of a trial stops, another worker marks it as failed and queues it again, with the folds that were
finished. The proposals depend on which trials have ended, so the order of trials is not reproducible with two
workers.
"""

import hashlib
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from hubtune.errors import HubtuneError, UsageError
from hubtune.log import logger
from hubtune.rng import seed_for
from hubtune.runs.signals import StopRequested
from hubtune.storage.atomic import write_atomically
from hubtune.text import plural, safe_file_name
from hubtune.tuning.search_space import Choice, SearchSpace
from hubtune.tuning.shared_storage import SharedStorage, open_shared, storage_errors
from hubtune.tuning.study import (
    ATTEMPTS,
    Trial,
    draw_choice,
    load_optuna,
    parameters_of,
    rank_trials,
)

WORKERS = "workers"
"""Folder, in that of the search, with one for each worker: its log and its current fold."""

_RETRIES = 3  # of a trial whose workers die
_RESULTS = ("right", "counts", "seconds")
_STATES: dict[str, Literal["running", "done", "pruned", "failed"]] = {
    "RUNNING": "running",
    "COMPLETE": "done",
    "PRUNED": "pruned",
    "FAIL": "failed",
}
_SECONDS_TO_CHOOSE = 5  # that a worker may need between taking a trial and naming its choice


class SharedStudy:
    """The study of a name in a database; :class:`~hubtune.tuning.study.Study` is one in a file.

    Attributes:
        trials: those that were begun, without those that were repeated, as of the last look.
    """

    def __init__(
        self,
        file: Path,
        space: SearchSpace,
        facts: Mapping[str, Any],
        seed: int,
        storage: SharedStorage,
        check: Callable[[], None],
    ) -> None:
        """Join the study that is named as the file's folder, or begin it.

        Args:
            file: gets a copy of the trials.
            space: what may be tried.
            facts: all else that scores depend on, for JSON.
            seed: of the proposals.
            storage: the database.
            check: raises if the search is to stop.

        Raises:
            UsageError: the study was begun with other facts.
            MachineError: the database does not work.
        """
        self._optuna = load_optuna()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        self._file, self._space, self._seed = file, space, seed
        self._storage, self._check = storage, check
        self._facts = {key: _digest(value) for key, value in facts.items()}
        self._document_facts = json.loads(json.dumps(dict(facts)))
        self._asked: Any = None
        self._limit = 0
        self.trials: list[Trial] = []
        with storage_errors(storage.address):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                self._retry = self._optuna.storages.RetryHeartbeatStaleTrialCallback(
                    max_retry=_RETRIES, inherit_intermediate_values=True
                )
                self._study = open_shared(storage, file.parent.name, self._retry)
            self._check_facts()
            self._look()

    @property
    def is_interrupted(self) -> bool:
        return any(trial.state == "running" for trial in self.trials)

    def lacks(self, trials: int) -> bool:
        """Whether fewer than ``trials`` trials have ended, those of all workers counted."""
        self._limit = trials
        with storage_errors(self._storage.address):
            for choice in self._space.first[:trials]:
                if not any(_choice_of(each) == choice for each in self._study.get_trials(deepcopy=False)):
                    # The choice is an attribute, as optuna cannot draw all of them.
                    attributes = {"choice": asdict(choice)}
                    self._study.enqueue_trial(parameters_of(choice, self._space), user_attrs=attributes)
            entries = self._entries()[:trials]
        return len(entries) < trials or any(not entry.state.is_finished() for entry in entries)

    def run_next(self, evaluate: Callable[[Trial], None]) -> bool:
        """Run a trial, or wait until those of other workers have ended.

        Returns whether there may be more to try. ``evaluate`` is that of ``Study``.
        """
        with storage_errors(self._storage.address):
            if not self._wait_for_turn():
                return True  # all have ended
            for attempt in range(ATTEMPTS):
                if not self._space.strategies and not self._waiting():
                    return False
                if self._run_one(evaluate, attempt):
                    return True
        return False

    def falls_behind(self, trial: Trial) -> bool:
        """Whether the trial that runs is below the median of the others after as many folds."""
        with storage_errors(self._storage.address):
            return bool(self._asked.should_prune())

    def save(self) -> None:
        """Store the results of the trial that runs, and copy the study into its file."""
        with storage_errors(self._storage.address):
            if self._asked is not None:
                trial, asked = self._trial, self._asked
                for name in ("right", "counts", "seconds"):
                    asked.set_user_attr(name, getattr(trial, name))
                known = self._study.get_trials(deepcopy=False)[asked.number].intermediate_values
                for fold, share in enumerate(trial.shares):
                    if fold not in known:
                        asked.report(share, fold)
            self._look()

    def ranked(self) -> list[Trial]:
        """Return the trials in the order of :func:`~hubtune.tuning.study.rank_trials`."""
        return rank_trials(self.trials)

    def _check_facts(self) -> None:
        known = self._study.user_attrs.get("facts")
        if known is None:
            self._study.set_user_attr("facts", self._facts)
            known = self._study.user_attrs["facts"]  # another worker may have been first
        changed = [key for key in {**known, **self._facts} if known.get(key) != self._facts.get(key)]
        if changed:
            raise UsageError(
                f"The search {self._study.study_name} in --storage was begun with other settings "
                f"({', '.join(changed)}): take the same, or another name, -o run=runs/NAME"
            )
        if count := len(self._entries()):
            logger.info("joining the search %s with %s", self._study.study_name, plural(count, "trial"))

    def _entries(self) -> list[Any]:
        """Return optuna's trials in order: one that was repeated stands once, in its first place."""
        trials = self._study.get_trials(deepcopy=False)
        repeated = {number for each in trials for number in each.system_attrs.get("retry_history", [])}
        own = [each for each in trials if each.number not in repeated and "surplus" not in each.user_attrs]
        return sorted(own, key=_place)

    def _waiting(self) -> bool:
        waiting = self._optuna.trial.TrialState.WAITING
        return any(entry.state == waiting for entry in self._entries()[: self._limit])

    def _look(self) -> None:
        """Read all trials that were begun, and copy them into the file."""
        entries = [entry for entry in self._entries() if entry.state.name != "WAITING"]
        self.trials = [_trial(number, entry) for number, entry in enumerate(entries, 1)]
        document = {"facts": self._document_facts, "trials": [asdict(trial) for trial in self.trials]}
        write_atomically(self._file, json.dumps(document, indent=1) + "\n")

    def _wait_for_turn(self) -> bool:
        """Wait while other workers have all trials; returns whether one is left to run."""
        is_waiting = False
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                self._optuna.storages.fail_stale_trials(self._study)
            entries = self._entries()
            if len(entries) < self._limit or self._waiting():
                return True
            running = sum(not entry.state.is_finished() for entry in entries[: self._limit])
            if not running:
                self._look()
                return False
            if not is_waiting:
                logger.info("waiting for %s of other workers", plural(running, "trial"))
                is_waiting = True
            self._check()
            time.sleep(1)

    def _run_one(self, evaluate: Callable[[Trial], None], attempt: int) -> bool:
        """Run the next trial; returns whether it was one: optuna may propose what has been tried."""
        samplers, seed = self._optuna.samplers, seed_for(self._seed, "tune", len(self.trials), attempt)
        # Trials that run count as bad ones, so that workers try different things.
        tpe = samplers.TPESampler(seed=seed, constant_liar=True)
        self._study.sampler = samplers.RandomSampler(seed=seed) if attempt else tpe
        try:
            self._study.optimize(lambda asked: self._run(asked, evaluate), n_trials=1, catch=(_NoResult,))
        except _Released as released:
            self._retry(self._study, self._study.trials[self._asked.number])
            assert released.__cause__ is not None
            raise released.__cause__ from None
        except (ValueError, self._optuna.exceptions.UpdateFinishedTrialError):
            if not self._study.trials[self._asked.number].state.is_finished():
                raise
            logger.warning(
                "trial %d was given to another worker, as this one was silent", self._asked.number + 1
            )
        is_new = "surplus" not in self._asked.user_attrs
        self._asked = None
        self._look()
        return is_new

    def _run(self, asked: Any, evaluate: Callable[[Trial], None]) -> float:
        """Run a trial for optuna, and return its accuracy; it was proposed, or is one that waited."""
        self._asked = asked
        attributes = asked.user_attrs
        if "choice" in attributes:
            choice = Choice(**attributes["choice"])
            if parameters_of(choice, self._space):
                draw_choice(asked, self._space)  # optuna learns what it was, which is this choice
            is_proposed = False
        else:
            choice, is_proposed = draw_choice(asked, self._space), True
            asked.set_user_attr("choice", asdict(choice))
        if self._is_surplus(asked.number, choice, is_proposed=is_proposed):
            asked.set_user_attr("surplus", True)
            raise _NoResult
        self._look()
        entries = self._entries()
        number = 1 + [entry.number for entry in entries].index(asked.number)
        results = {name: attributes[name] for name in _RESULTS if name in attributes}
        self._trial = trial = Trial(number, choice, **results)
        if "retry_history" in entries[number - 1].system_attrs:
            logger.info(
                "trial %d is continued, which another worker left after fold %d", number, len(trial.counts)
            )
        try:
            evaluate(trial)
        except (StopRequested, HubtuneError) as error:
            raise _Released from error  # others may have it
        if trial.state == "failed":
            asked.set_user_attr("diverged", True)
            raise _NoResult
        if trial.state == "pruned":
            raise self._optuna.TrialPruned
        return trial.accuracy or 0.0

    def _is_surplus(self, number: int, choice: Choice, *, is_proposed: bool) -> bool:
        """Whether another trial has this choice, or all places are taken by earlier ones."""
        for _ in range(_SECONDS_TO_CHOOSE * 10):
            entries = self._entries()
            own = next(entry for entry in entries if entry.number == number)
            earlier = [entry for entry in entries if _place(entry) < _place(own)]
            if all(entry.state.is_finished() or _choice_of(entry) for entry in earlier):
                break
            time.sleep(0.1)  # another worker is choosing
        return any(_choice_of(each) == choice for each in earlier) or (
            is_proposed and len(earlier) >= self._limit
        )


def worker_name() -> str:
    """Return a name for this process, among those of all machines."""
    return safe_file_name(f"{socket.gethostname()}-{os.getpid()}")


class _NoResult(Exception):
    """A trial has no accuracy; optuna counts it as failed."""


class _Released(Exception):
    """A trial was stopped before its end, by the exception that is the cause."""


def _place(entry: Any) -> int:
    """Return the number of a trial; that of the first attempt, if it was repeated."""
    return int(entry.system_attrs.get("failed_trial", entry.number))


def _choice_of(entry: Any) -> Choice | None:
    choice = entry.user_attrs.get("choice")
    return None if choice is None or "surplus" in entry.user_attrs else Choice(**choice)


def _trial(number: int, entry: Any) -> Trial:
    """Return optuna's trial as one of a search."""
    state = _STATES[entry.state.name]
    results = {name: entry.user_attrs[name] for name in _RESULTS if name in entry.user_attrs}
    return Trial(number, _choice_of(entry) or Choice("?"), state, **results)


def _digest(value: Any) -> str:
    """Return a short checksum: the values may be long lists."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
