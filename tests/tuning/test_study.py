"""A study proposes choices, keeps what was found, and can be continued after any interruption."""

import json
from dataclasses import replace

import pytest

from hubtune.errors import ModelError, UsageError
from hubtune.tuning.search_space import Choice, SearchSpace
from hubtune.tuning.study import Study, Trial

pytest.importorskip("optuna")

SPACE = SearchSpace(
    first=[Choice("default_finetune", 1e-4, "none"), Choice("frozen")],
    strategies=["default_finetune", "from_frozen", "last_stage"],
    rates=(1e-5, 1e-2),
    augments=["none", "flip"],
)


def open_study(file, given=SPACE, *, seed=0, resume=True, **facts):
    return Study(file, given, {"--folds": 2, **facts}, seed, resume=resume)


def score(choice):
    """Pictures right of 50 a fold: the best rate is 1e-3, and `flip` helps."""
    if choice.learning_rate is None:
        return 25
    distance = abs(choice.learning_rate / 1e-3 - 1) if choice.learning_rate != "auto" else 0
    return max(5, 40 - int(10 * min(distance, 3)) + 5 * (choice.augment == "flip"))


def end(study, trial, right=None):
    right = score(trial.choice) if right is None else right
    trial.right, trial.counts, trial.state = [right, right], [50, 50], "done"
    study.save()


def run(study, trials):
    while study.lacks(trials):
        trial = study.next_trial()
        if trial is None:
            break
        end(study, trial)
    return [trial.choice for trial in study.trials]


def test_the_first_choices_come_first_and_the_others_are_in_the_space(tmp_path):
    choices = run(open_study(tmp_path / "study.json"), 16)
    assert choices[:2] == SPACE.first
    assert len({choice.strategy for choice in choices[2:]}) == 3
    for choice in choices[2:]:
        assert choice.strategy in SPACE.strategies
        assert SPACE.rates[0] <= choice.learning_rate <= SPACE.rates[1]
        assert (choice.augment is None) == (choice.strategy == "last_stage")
    assert len(set(choices)) == 16


def test_proposals_depend_on_the_seed_and_on_what_was_found(tmp_path):
    one = run(open_study(tmp_path / "one"), 14)
    assert run(open_study(tmp_path / "seed", seed=1), 14)[2:] != one[2:]
    study = open_study(tmp_path / "found")
    while study.lacks(14):
        trial = study.next_trial()
        end(study, trial, right=50 - score(trial.choice))
    assert [trial.choice for trial in study.trials] != one


def test_a_study_that_is_opened_again_and_again_goes_on_as_an_undisturbed_one(tmp_path):
    whole = run(open_study(tmp_path / "whole"), 14)
    for trials in range(1, 15):
        study = open_study(tmp_path / "parts")
        interrupted = study.next_trial()
        interrupted.right, interrupted.counts, interrupted.seconds = [3], [5], 1.5
        study.save()  # its process dies here
        again = open_study(tmp_path / "parts")
        assert again.is_interrupted
        assert again.lacks(trials)
        assert again.next_trial() == interrupted == again.trials[-1]
        end(again, again.trials[-1])
        assert len(again.trials) == trials
        assert not again.lacks(trials)
    assert [trial.choice for trial in again.trials] == whole


def test_where_choices_are_few_each_is_tried_once(tmp_path):
    few = replace(SPACE, rates=None, first=[Choice("default_finetune", "auto", "none"), Choice("frozen")])
    choices = run(open_study(tmp_path / "study.json", few), 100)
    augmented = [
        Choice(name, "auto", kind) for name in ("default_finetune", "from_frozen") for kind in SPACE.augments
    ]
    expected = [Choice("frozen"), Choice("last_stage", "auto"), *augmented]
    assert sorted(choices, key=str) == sorted(expected, key=str)
    none = replace(SPACE, strategies=[])
    assert run(open_study(tmp_path / "none.json", none), 100) == SPACE.first


def test_what_was_found_guides_the_proposals(tmp_path):
    choices = run(open_study(tmp_path / "study.json"), 40)
    late = sorted(score(choice) for choice in choices[25:])
    early = sorted(score(choice) for choice in choices[2:12])
    assert late[len(late) // 2] > early[len(early) // 2]


def test_a_trial_below_the_median_falls_behind_but_none_of_the_first_five(tmp_path):
    study = open_study(tmp_path / "study.json")
    for number in range(7):
        trial = study.next_trial()
        trial.right, trial.counts = [10], [50]
        assert study.falls_behind(trial) == (number >= 5)
        end(study, trial, right=30)
    good = study.next_trial()
    good.right, good.counts = [31], [50]
    assert not study.falls_behind(good)


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


def test_accuracy_is_that_of_all_pictures_together():
    trial = Trial(1, Choice("frozen"), right=[9, 1], counts=[10, 30])
    assert trial.accuracy == 0.25
    assert trial.shares == [0.9, 0.25]
    assert trial.standard_error == pytest.approx((0.25 * 0.75 / 40) ** 0.5)
    assert trial.score == "25.0 ± 6.8 %"
    none = Trial(1, Choice("frozen"))
    assert (none.accuracy, none.standard_error, none.score) == (None, None, "–")
    assert Trial(1, Choice("frozen"), right=[0], counts=[0]).accuracy == 0


def test_a_study_is_only_continued_when_that_is_asked_and_with_the_same_settings(tmp_path):
    file = tmp_path / "r-tune" / "study.json"
    file.parent.mkdir()
    open_study(file, resume=False)
    run(open_study(file, resume=False), 2)  # the first had no trial
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["facts"] == {"--folds": 2}
    assert document["trials"][1]["choice"] == {"strategy": "frozen", "learning_rate": None, "augment": None}
    with pytest.raises(UsageError) as error:
        open_study(file, resume=False)
    assert str(error.value) == (
        f"{file.parent} has a search of 2 trials: continue it with --resume, or name another folder, "
        "-o run=runs/NAME"
    )
    with pytest.raises(UsageError) as error:
        open_study(file, **{"--folds": 5, "the classes": ["a"]})
    assert "was begun with other settings (--folds, the classes): take the same" in str(error.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"facts": 1, "trials": []}', '{"facts": {}, "trials": [{}]}']
)
def test_a_damaged_study_is_named(tmp_path, content):
    file = tmp_path / "study.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError) as error:
        open_study(file)
    assert str(error.value) == f"{file} is damaged: remove it, and start a new search"
