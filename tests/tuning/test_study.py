"""A study proposes choices and ranks what was found; its file is checked."""

import pytest

from hubtune.errors import ModelError
from hubtune.tuning.search_space import Choice, SearchSpace
from hubtune.tuning.study import Study

pytest.importorskip("optuna")

SPACE = SearchSpace(
    first=[Choice("default_finetune", 1e-4, "none"), Choice("frozen")],
    strategies=["default_finetune", "from_frozen", "last_stage"],
    rates=(1e-5, 1e-2),
    augments=["none", "flip"],
)


def open_study(file):
    return Study(file, SPACE, {"--folds": 2}, 0, resume=True)


def score(choice):
    """Pictures right of 50 a fold: the best rate is 1e-3, and `flip` helps."""
    distance = 2.0 if choice.learning_rate is None else abs(choice.learning_rate / 1e-3 - 1)
    return max(5, 40 - int(10 * min(distance, 3)) + 5 * (choice.augment == "flip"))


def run(study, trials):
    while study.lacks(trials) and (trial := study.next_trial()):
        right = score(trial.choice)
        trial.right, trial.counts, trial.state = [right, right], [50, 50], "done"
        study.save()
    return [trial.choice for trial in study.trials]


def test_the_first_choices_come_first_and_the_others_are_new_and_guided_by_what_was_found(tmp_path):
    choices = run(open_study(tmp_path / "study.json"), 40)
    assert choices[:2] == SPACE.first
    assert len({choice.strategy for choice in choices[2:]}) == 3
    for choice in choices[2:]:
        assert choice.strategy in SPACE.strategies
        assert SPACE.rates[0] <= choice.learning_rate <= SPACE.rates[1]
        assert (choice.augment is None) == (choice.strategy == "last_stage")
    assert len(set(choices)) == 40
    late = sorted(score(choice) for choice in choices[25:])
    early = sorted(score(choice) for choice in choices[2:12])
    assert late[len(late) // 2] > early[len(early) // 2]


def test_the_best_is_first_and_of_equals_the_earliest(tmp_path):
    study = open_study(tmp_path / "study.json")
    for state, right in (("done", 3), ("pruned", 5), ("done", 4), ("failed", 0), ("done", 4)):
        trial = study.next_trial()
        trial.state, trial.right, trial.counts = state, [right], [5]
    assert [trial.number for trial in study.ranked()] == [3, 5, 1, 2, 4]
    for _ in range(8):
        study.next_trial().state = "failed"
        study.save()
    assert open_study(tmp_path / "study.json").next_trial().number == 14  # proposed after many that diverged


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"facts": 1, "trials": []}', '{"facts": {}, "trials": [{}]}']
)
def test_a_damaged_study_is_named(tmp_path, content):
    file = tmp_path / "study.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError) as error:
        open_study(file)
    assert str(error.value) == f"{file} is damaged: remove it, and start a new search"
