"""PaddleHub's results of running batches: :class:`RunState` for one, :class:`RunStates` for all."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import hubtune
from hubtune.errors import UsageError
from hubtune.paddlehub.absent import PaddleHubObject

_LEAST_PROBABILITY = 1e-12  # whose logarithm is finite


class RunState(PaddleHubObject):
    """The results of one batch.

    Attributes:
        run_results: of a prediction, one array: probabilities ``[images, classes]``, float32, in the order of
            the data set's classes; a row of ``nan`` for a damaged image. Of training and evaluation: class
            numbers ``[images, 1]``, predicted ones ``[images, 1]``, accuracy ``[1]`` and loss ``[1]``; of
            training the first two are empty.
        run_step: number of batches.
        run_examples: number of images.
        run_time_begin: seconds since the epoch.
        run_time_used: the batch's share of the whole time, seconds.
        run_speed: batches per second.
    """

    def __init__(self, run_results: Iterable[np.ndarray], run_examples: int, run_time_used: float) -> None:
        self.run_results, self.run_examples = [*run_results], run_examples
        self.run_step, self.run_time_used = 1, run_time_used
        self.run_time_begin = time.time() - run_time_used
        self.run_speed = 1 / max(1e-9, run_time_used)


class RunStates(list[RunState]):
    """The states of all batches; has the attributes of the result, too.

    Attributes:
        result: :class:`hubtune.Run` of a training, :class:`hubtune.Evaluation` of an evaluation.
    """

    def __init__(self, states: Iterable[RunState], result: Any) -> None:
        super().__init__(states)
        self.result = result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "result":
            raise AttributeError(name)
        return getattr(self.result, name)


def prediction_states(scores: np.ndarray, batch_size: int, seconds: float) -> list[RunState]:
    """Return the states of scores ``[images, classes]`` that took this time."""
    batches = [scores[start : start + batch_size] for start in range(0, len(scores), batch_size)]
    return [RunState([batch], len(batch), seconds * len(batch) / len(scores)) for batch in batches]


def step_state(loss: float, accuracy: float, count: int, seconds: float) -> RunState:
    """Return the state of a training step."""
    none = np.empty((0, 1), np.int64)
    return RunState([none, none, np.array([accuracy]), np.array([loss])], count, seconds)


def evaluation_states(evaluation: hubtune.Evaluation, batch_size: int, seconds: float) -> list[RunState]:
    """Return the states of an evaluation's readable images."""
    answers = evaluation.answers
    readable = np.flatnonzero(answers.readable)
    states = []
    for start in range(0, len(readable), batch_size):
        part = readable[start : start + batch_size]
        truth, predicted = answers.truth[part, None], answers.predicted[part, None]
        losses = -np.log(np.maximum(answers.probability[part], _LEAST_PROBABILITY))
        figures = np.array([answers.correct[part].mean()]), np.array([losses.mean()])
        states.append(RunState([truth, predicted, *figures], len(part), seconds * len(part) / len(readable)))
    return states


def calculate_metrics(states: Sequence[RunState]) -> tuple[OrderedDict[str, float], float, float]:
    """Return ``{"acc": …}``, the loss, both means over images, and batches per second.

    Raises:
        UsageError: if there are no states.
    """
    count = sum(state.run_examples for state in states)
    if not count:
        raise UsageError("There are no states of batches: give those of task.eval() or finetune_and_eval()")
    accuracy, loss = (
        sum(float(np.mean(state.run_results[place])) * state.run_examples for state in states) / count
        for place in (2, -1)
    )
    seconds = sum(state.run_time_used for state in states)
    return OrderedDict(acc=accuracy), loss, sum(state.run_step for state in states) / max(1e-9, seconds)
