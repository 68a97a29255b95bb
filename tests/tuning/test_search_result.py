"""The result of a search: its trials as JSON, or the reason why there is none."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from hubtune.errors import NumericError, UsageError
from hubtune.tuning.search_result import search_result
from hubtune.tuning.search_space import Choice
from hubtune.tuning.study import Trial

OWN = Choice("frozen")


def result(*trials, stopped=None):
    running = bool(trials) and trials[-1].state == "running"
    study = SimpleNamespace(ranked=lambda: list(trials), is_interrupted=running)
    return search_result(Path("x-tune"), study, OWN, stopped)


def test_the_document_has_a_rank_for_finished_trials_alone():
    other = Choice("l2sp", 1e-3, "flip")
    found = result(Trial(2, other, "done", [3, 4], [5, 5], 1.5), Trial(1, OWN, "failed")).as_dict()
    first, second = found.pop("trials")
    assert found == {"study": "x-tune/study.json", "best_recipe": "x-tune/best.yaml", "stopped": False}
    numbers = {"right": 7, "count": 10, "folds": 2, "seconds": 1.5, "accuracy": 0.7, "rank": 1, "number": 2}
    assert first.pop("standard_error") == pytest.approx(0.1449, abs=1e-4)
    assert first == {**numbers, "state": "done", "recipe": False, **asdict(other)}
    assert (second["rank"], second["recipe"], second["accuracy"]) == (None, True, None)


def test_without_a_finished_trial_there_is_a_result_only_after_a_signal():
    with pytest.raises(UsageError, match="by --resume with a longer --timeout, or take fewer"):
        result()
    with pytest.raises(UsageError, match="The time was over before a trial was done"):
        result(Trial(1, OWN))
    with pytest.raises(NumericError, match="All 1 trials have diverged: look at the pictures and the recipe"):
        result(Trial(1, OWN, "failed"))
    found = result(Trial(1, OWN), stopped=130)
    assert (found.best_recipe, found.as_dict()["stopped"], len(found.trials)) == (None, True, 1)
