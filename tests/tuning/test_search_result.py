"""The result of a search: its trials as JSON."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hubtune.tuning.search_result import search_result
from hubtune.tuning.search_space import Choice
from hubtune.tuning.study import Trial


def test_finished_trials_alone_have_a_rank_and_after_a_signal_there_may_be_none():
    own = Choice("frozen")
    trials = [Trial(2, Choice("l2sp", 1e-3, "flip"), "done", [3, 4], [5, 5], 1.5), Trial(1, own, "failed")]
    study = SimpleNamespace(ranked=lambda: trials, is_interrupted=False)
    found = search_result(Path("x-tune"), study, own, None).as_dict()
    first, second = found.pop("trials")
    assert found == {"study": "x-tune/study.json", "best_recipe": "x-tune/best.yaml", "stopped": False}
    assert first["standard_error"] == pytest.approx(0.1449, abs=1e-4)
    assert [first[key] for key in ("rank", "right", "count", "folds", "accuracy")] == [1, 7, 10, 2, 0.7]
    assert [second[key] for key in ("rank", "recipe", "accuracy")] == [None, True, None]
    trials[:] = [Trial(1, own)]
    found = search_result(Path("x-tune"), study, own, 130).as_dict()
    assert (found["best_recipe"], found["stopped"], len(found["trials"])) == (None, True, 1)
