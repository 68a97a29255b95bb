"""What a run recorded becomes sentences about why it is bad; each cure is a command."""

from dataclasses import replace
from pathlib import Path

import pytest

from hubtune.doctor.run_record import LoggedSteps, MeasuredStep, RunRecord
from hubtune.doctor.training import check_training
from hubtune.evaluation.metrics import Metrics, wilson_interval
from hubtune.recipe.schema import Recipe


def _recipe(strategy="default_finetune", weights="official", **train):
    module = {"name": "resnet50_imagenet", "weights": weights}
    return Recipe.model_validate(
        {"data": {"base": "pics"}, "module": module, "strategy": strategy, "train": {"epochs": 4, **train}}
    )


def _metrics(right, count, largest=1 / 3, loss=1.0):
    return Metrics(right / count, loss, count, wilson_interval(right, count), largest_class=largest)


def _logged(*points):
    return [LoggedSteps(10 * place, loss, accuracy) for place, (loss, accuracy) in enumerate(points, 1)]


def _record(recipe=None, *, logged=(), evaluations=(), test=None, **entries):
    measured = [MeasuredStep(10 * place, metrics) for place, metrics in enumerate(evaluations, 1)]
    best = max(measured, key=lambda entry: entry.metrics.accuracy).step if measured else 0
    result = {"best_step": best, "validate": None, "test": test and test.as_dict()}
    values = {
        "path": Path("runs/a"),
        "recipe": recipe or _recipe(),
        "manifest": {},
        "result": result,
        "evaluations": measured,
        "logged": _logged(*logged),
        "planned": 40,
        "waited": None,
        "diverged": None,
        "owner": "",
        "source": "",
    }
    return RunRecord(**{**values, **entries})


def _found(record, classes=3, images=300):
    return {check.name: check for check in check_training(record, classes, images)}


FALLS = [(1.1, 0.3), (0.9, 0.5), (0.6, 0.8), (0.5, 0.9)]
FLAT = [(1.1, 0.3), (1.1, 0.35), (1.09, 0.3), (1.09, 0.34)]
GUESSING, GOOD = _metrics(34, 100), _metrics(85, 100)


def test_a_run_that_learns_has_nothing_bad():
    found = _found(_record(logged=FALLS, evaluations=[_metrics(86, 100), GOOD], test=GOOD))
    assert {check.state for check in found.values()} == {"good"}
    assert found["learning"].finding == "It has learned: right for 85.0 % of 100 test pictures"


@pytest.mark.parametrize(
    ("recipe", "logged", "cause", "cure"),
    [
        (_recipe(learning_rate=1), [(2, 0.3), (9, 0.3)], "rate 1 is too high", "learning_rate=0.0001"),
        (_recipe(learning_rate=5e-5), [(1, 0.3), (2, 0.3)], "rate 5e-05 is too high", "learning_rate=5e-06"),
        (_recipe(learning_rate=1e-2), FLAT, "rate 0.01 may be too high", "learning_rate=0.0001"),
        (_recipe(learning_rate=1e-7), FLAT, "rate 1e-07 is too low", "train.learning_rate=0.0001"),
        (_recipe("scratch"), FLAT, "starts from random values, and 300 pictures", "strategy=frozen"),
        (_recipe(weights="none"), FLAT, "starts from random values", "module=mobilenet_v2_imagenet"),
        (_recipe(batch_norm="update"), FALLS, "BatchNorm's statistics", "train.batch_norm=keep"),
        (_recipe(), FALLS, "knows its training pictures (90.0 % right)", "hubtune audit runs/a"),
        (_recipe(dropout=0.5), FLAT, "Dropout or BatchNorm", "-o train.dropout=0 -o train.batch_norm=keep"),
        (_recipe(), FLAT, "hardly begun", "train.learning_rate=auto"),
        (_recipe("frozen"), [], "do not tell these classes apart", "hubtune audit runs/a"),
        (
            _recipe({"name": "l2sp", "learning_rate": 1.0}),
            [(2, 0.3), (9, 0.3)],
            "too high",
            "-o strategy.learning_rate=0.0001",
        ),
    ],
)
def test_a_run_at_chance_is_told_why(recipe, logged, cause, cure):
    check = _found(_record(recipe, logged=logged, evaluations=[GUESSING], test=GUESSING))["learning"]
    assert check.state == "bad" and check.finding.startswith(
        "It has not learned: right for 34.0 % of 100 test"
    )
    assert cause in check.finding
    assert cure in check.cure and check.cure.startswith("hubtune ")


def test_a_run_of_a_few_steps_is_made_longer():
    record = _record(logged=FLAT[:1], evaluations=[GUESSING], test=GUESSING, planned=8)
    check = _found(record)["learning"]
    assert "It had only 8 steps, and the loss on training pictures was 1.1" in check.finding
    assert check.cure.endswith("-o train.epochs=15")


def test_chance_is_not_claimed_of_a_list_that_is_too_short_to_tell():
    check = _found(_record(test=_metrics(4, 6)))["learning"]
    assert check.state == "note" and "6 are too few to tell" in check.finding
    split = "hubtune split pics --val 20% --test 20% --out runs/a-lists"
    assert _found(_record(test=_metrics(4, 6), source="pics"))["learning"].cure == split


def test_a_finished_run_without_lists_to_measure_on_is_told_how_to_make_some():
    found = _found(_record(source="pics"))["learning"]
    assert found.finding.startswith("No accuracy was measured") and "hubtune split pics" in found.cure


def test_images_that_have_none_right_as_a_whole_do_not_make_a_multi_label_model_bad():
    multi_label = replace(GUESSING, mean_ap=0.8)
    assert _found(_record(test=multi_label))["learning"].state == "note"


def test_a_rate_is_bad_whatever_the_model_that_was_kept():
    rising = _found(_record(_recipe(learning_rate=0.5), logged=[(1, 0.5), (3, 0.3)], evaluations=[GOOD]))
    assert (
        rising["rate"].state == "bad"
        and "from 1 to 3: the learning rate 0.5 is too high" in rising["rate"].finding
    )
    low = _found(_record(_recipe(learning_rate=1e-6), logged=FLAT, evaluations=[GOOD]))
    assert "too low" in low["rate"].finding
    assert "rate" not in _found(_record(logged=FLAT, evaluations=[GOOD]))


def test_a_loss_that_is_not_finite_is_named_in_an_unfinished_run():
    found = _found(_record(_recipe(learning_rate=2), logged=FLAT, result=None, diverged={"step": 7}))
    assert found["divergence"].finding.startswith("The loss or a weight is not a finite number from step 7")
    assert (found["end"].state, found["end"].cure) == ("note", "")
    assert found["learning"].finding == "Nothing was measured yet"
    assert found["divergence"].cure == "hubtune finetune runs/a/recipe.yaml -o train.learning_rate=0.2"


def test_overfitting_is_bad_if_the_validation_loss_rises_and_otherwise_a_note():
    learned = [(1, 0.5), (0.01, 1.0)]
    falls = [_metrics(60, 100, loss=1.0), _metrics(61, 100, loss=1.1)]
    note = _found(_record(logged=learned, evaluations=falls))["overfitting"]
    assert (
        note.state == "note" and "right for 100.0 % of the training pictures, and for 61.0 %" in note.finding
    )
    rises = [_metrics(65, 100, loss=1.0), _metrics(61, 100, loss=1.5)]
    bad = _found(_record(logged=learned, evaluations=rises))["overfitting"]
    assert bad.state == "bad" and "loss rose from 1 to 1.5 (the model is that of step 10)" in bad.finding
    mixed = _recipe(augment={"mixup": 0.2})
    assert "overfitting" not in _found(_record(mixed, logged=learned, evaluations=rises))


def test_a_class_that_attracts_the_others_is_named():
    attractor = {"label": "cat", "count": 9, "errors": 10, "classes": 2}
    result = {"best_step": 10, "validate": None, "test": GOOD.as_dict(), "attractor": attractor}
    found = _found(_record(result=result))["attractor"]
    assert found.state == "bad" and found.finding.startswith("cat attracts the other classes: 9 of their 10")
    # Where nothing was learned, it is no cause.
    guessed = _found(_record(result={**result, "test": GUESSING.as_dict()}))["attractor"]
    assert (guessed.state, guessed.cure) == ("note", "")


def test_the_last_evaluation_is_the_best_one():
    found = _found(_record(logged=FALLS, evaluations=[_metrics(80, 100), GOOD]))["length"]
    assert found.cure == "hubtune finetune runs/a --resume -o train.epochs=8"
    assert "length" not in _found(_record(logged=FALLS, evaluations=[GOOD, _metrics(80, 100)]))


def test_a_validation_list_is_too_short_or_missing():
    short = _found(_record(logged=FALLS, evaluations=[_metrics(3, 5), _metrics(4, 5)]))["choice"]
    assert (
        short.state == "bad" and "5 validation pictures are too few to choose the best of 2" in short.finding
    )
    some = _found(_record(logged=FALLS, evaluations=[_metrics(10, 25), _metrics(12, 25)]))["choice"]
    assert some.state == "note"
    assert "no validation list" in _found(_record(logged=FALLS))["choice"].finding


def test_waiting_for_images_is_a_note():
    found = _found(_record(logged=FALLS, evaluations=[GOOD], waited=0.6))["waiting"]
    assert "60 % of the time" in found.finding and "-o data.workers=" in found.cure
    assert "waiting" not in _found(_record(logged=FALLS, evaluations=[GOOD], waited=0.1))


def test_a_run_that_goes_on_may_still_learn():
    check = _found(_record(logged=FLAT[:2], evaluations=[GUESSING], result=None))["learning"]
    assert check.state == "note" and check.finding.endswith("; it has not finished")
    assert check.cure == "hubtune finetune runs/a --resume"


def test_a_run_that_was_stopped_can_be_resumed():
    stopped = _found(_record(logged=FALLS, evaluations=[GOOD], result=None))["end"]
    assert stopped.finding == "Not finished: it was stopped after step 40 of 40"
    assert stopped.cure == "hubtune finetune runs/a --resume"
    used = _found(_record(result=None, owner="runs/a is in use by process 7."))["end"]
    assert used.finding == "Not finished: runs/a is in use by process 7" and used.cure == ""
