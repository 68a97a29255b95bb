"""Results of batches have PaddleHub's form, and their figures are means over images."""

from types import SimpleNamespace

import numpy as np
import pytest

from hubtune.errors import UsageError
from hubtune.evaluation.answers import collect
from hubtune.evaluation.evaluation import evaluate_answers
from hubtune.paddlehub.run_states import (
    RunStates,
    calculate_metrics,
    evaluation_states,
    prediction_states,
    step_state,
)


def test_predictions_are_cut_into_batches():
    scores = np.arange(10, dtype=np.float32).reshape(5, 2)
    states = prediction_states(scores, 2, 10.0)
    assert [state.run_examples for state in states] == [2, 2, 1]
    assert [state.run_time_used for state in states] == [4, 4, 2]
    assert np.array_equal(np.concatenate([state.run_results[0] for state in states]), scores)
    assert prediction_states(scores[:0], 2, 1.0) == []


def test_figures_of_an_evaluation_are_those_of_its_states():
    rows = [[0.7, 0.3], [0.4, 0.6], None, [0.9, 0.1]]
    results = [
        SimpleNamespace(
            path="x", values=row and np.array(row), error=None if row else SimpleNamespace(reason="r")
        )
        for row in rows
    ]
    evaluation = evaluate_answers(collect(results, [0, 0, 1, 1]), ["a", "b"])
    states = evaluation_states(evaluation, 2, 3.0)
    assert [state.run_examples for state in states] == [2, 1]  # without the unreadable one
    assert states[0].run_results[0].tolist() == [[0], [0]]
    assert states[0].run_results[1].tolist() == [[0], [1]]
    scores, loss, speed = calculate_metrics(states)
    assert scores == {"acc": pytest.approx(evaluation.accuracy)}
    assert loss == pytest.approx(evaluation.loss)
    assert speed == pytest.approx(2 / 3)


def test_states_have_the_attributes_of_the_result():
    states = RunStates([step_state(0.5, 1.0, 8, 0.1)], SimpleNamespace(path="run"))
    assert (len(states), states.path, states[0].run_results[-1]) == (1, "run", [0.5])
    assert calculate_metrics(states)[:2] == ({"acc": 1.0}, 0.5)
    assert not hasattr(states, "nothing")
    with pytest.raises(UsageError, match="There are no states of batches"):
        calculate_metrics([])
