"""`hubtune tune`: folds of the training list alone, trials that can be interrupted, a recipe at the end."""

import logging
import signal
import sys
from types import SimpleNamespace

import pytest
from support.callbacks import Recorder
from support.searches import search_recipe

import hubtune.tuning.search
from hubtune.data.dataset import BaseCVDataset
from hubtune.data.list_files import list_text
from hubtune.errors import LockedError, MachineError, NumericError, UsageError
from hubtune.log import logger
from hubtune.recipe.load import load_recipe
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import open_run
from hubtune.task import ImageClassifierTask
from hubtune.train.run import run as train_run
from hubtune.tuning.search import BEST, STUDY, tune
from hubtune.tuning.search_space import Choice

pytest.importorskip("optuna")


def _outcome(found):
    return [(trial.number, trial.choice, trial.state, trial.right, trial.counts) for trial in found.trials]


def _paths(examples):
    return {str(example.path) for example in examples}


def test_the_best_is_never_worse_than_the_recipe_and_frozen_and_is_written_as_asearch_recipe(
    data, tmp_path, scripted
):
    recipe = search_recipe(data, "run=runs/x")
    found = tune(recipe, tmp_path / "x-tune", trials=12, folds=2, strategies=["default_finetune"])
    assert [trial.number for trial in found.trials if trial.choice == Choice("frozen")] == [2]
    assert found.recipe == Choice("default_finetune", 1e-3, "none")
    assert next(trial for trial in found.trials if trial.number == 1).choice == found.recipe
    done = [trial for trial in found.trials if trial.state == "done"]
    assert {1, 2} <= {trial.number for trial in done}
    best = found.trials[0]
    assert best.accuracy == max(trial.accuracy for trial in done) > 0.6
    assert found.best_recipe == tmp_path / "x-tune" / BEST
    written = load_recipe(found.best_recipe)
    assert written.strategy.name == best.choice.strategy
    assert written.train.learning_rate == best.choice.learning_rate
    assert (written.train.epochs, written.data, written.run) == (1, recipe.data, "runs/x")
    head = found.best_recipe.read_text(encoding="utf-8").splitlines()[:3]
    assert head[0] == f"# command: hubtune finetune {found.best_recipe}"
    assert f"% right in 2-fold cross-validation on {sum(best.counts)}" in head[1]
    assert head[2].endswith(f"as the best of {len(done)} scores.")
    assert {path.name for path in found.folder.iterdir()} == {
        *(".lock", STUDY, BEST, "skipped.csv", "train.log")
    }


def test_of_equals_the_earliest_is_the_best(data, tmp_path, scripted):
    recipe = search_recipe(data, "train.learning_rate=0.0008")  # half of the pictures, as `frozen`
    one, other = tune(recipe, tmp_path / "x-tune", trials=2, folds=2).trials
    assert (one.number, other.number) == (1, 2)
    assert one.accuracy == other.accuracy > 0


def test_trials_that_fall_behind_are_given_up(data, tmp_path, scripted):
    found = tune(search_recipe(data), tmp_path / "x-tune", trials=15, folds=3)
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    assert all(1 <= len(trial.counts) < 3 and trial.number > 5 for trial in pruned)
    assert [trial.state for trial in found.trials] == ["done"] * (15 - len(pruned)) + ["pruned"] * len(pruned)
    assert len(scripted.folds) == sum(len(trial.counts) for trial in found.trials)


def test_a_trial_that_diverges_is_told_and_the_search_goes_on(data, tmp_path, scripted):
    def fail(number):
        if number == 1:
            scripted.folds.append(None)
            raise NumericError("the loss is not finite")

    scripted.before = fail
    found = tune(search_recipe(data), tmp_path / "x-tune", trials=3, folds=2)
    assert sorted((trial.number, trial.state) for trial in found.trials) == [
        (1, "failed"),
        (2, "done"),
        (3, "done"),
    ]
    assert found.trials[-1].number == 1


def test_a_search_in_which_all_diverge_fails(data, tmp_path, scripted):
    def fail(number):
        raise NumericError("the loss is not finite")

    scripted.before = fail
    with pytest.raises(NumericError, match=r"^All 3 trials have diverged: look at the pictures"):
        tune(search_recipe(data), tmp_path / "x-tune", trials=3, folds=2)
    assert not (tmp_path / "x-tune" / BEST).exists()


def test_any_other_error_stops_and_the_search_goes_on_later(data, tmp_path, scripted):
    whole = tune(search_recipe(data), tmp_path / "whole", trials=8, folds=2)
    scripted.folds.clear()

    def fail(number):
        if number == 5:
            raise MachineError("the disk is full")

    scripted.before = fail
    with pytest.raises(MachineError, match="the disk is full"):
        tune(search_recipe(data), tmp_path / "x-tune", trials=8, folds=2)
    assert not (tmp_path / "x-tune" / "fold").exists()
    scripted.before = lambda number: None
    found = tune(search_recipe(data), tmp_path / "x-tune", trials=8, folds=2, resume=True)
    assert _outcome(found) == _outcome(whole)
    assert len(scripted.folds) == sum(len(trial.counts) for trial in whole.trials)  # none was run twice


def test_a_signal_stops_it_with_what_was_found_and_resume_goes_on(data, tmp_path, scripted):
    whole = tune(search_recipe(data), tmp_path / "whole", trials=8, folds=2)
    scripted.folds.clear()
    scripted.before = lambda number: number == 5 and signal.raise_signal(signal.SIGINT)
    recorder = Recorder()
    found = tune(search_recipe(data), tmp_path / "x-tune", trials=8, folds=2, callback=recorder)
    assert found.stopped == 130
    assert [trial.state for trial in found.trials].count("done") == 2
    assert found.trials[-1].state == "running"
    assert found.trials[-1].counts == [15]
    assert found.best_recipe.is_file()
    assert [text.split(" ")[0] for text in recorder.notices] == ["Stopping"]
    scripted.before = lambda number: None
    # A killed process leaves a folder of a fold behind.
    (tmp_path / "x-tune" / "fold" / "checkpoints" / "step-3").mkdir(parents=True)
    found = tune(search_recipe(data), tmp_path / "x-tune", trials=8, folds=2, resume=True)
    assert _outcome(found) == _outcome(whole)
    assert found.stopped is None


def test_more_trials_can_be_asked_for_later(data, tmp_path, scripted):
    whole = tune(search_recipe(data), tmp_path / "whole", trials=6, folds=2)
    tune(search_recipe(data), tmp_path / "x-tune", trials=4, folds=2, resume=True)  # there is none: it begins
    found = tune(search_recipe(data, "train.device=cpu"), tmp_path / "x-tune", trials=6, folds=2, resume=True)
    assert _outcome(found) == _outcome(whole)
    runs = len(scripted.folds)
    found.best_recipe.unlink()  # as where a process died before it was written
    again = tune(search_recipe(data), tmp_path / "x-tune", trials=6, folds=2, resume=True)
    assert (_outcome(again), len(scripted.folds)) == (_outcome(whole), runs)
    assert load_recipe(again.best_recipe).strategy.name == again.trials[0].choice.strategy


def test_the_time_ends_a_search_in_the_middle_of_a_trial(data, tmp_path, scripted, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(hubtune.tuning.search, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def tick(number):
        clock[0] += 10

    scripted.before = tick
    with pytest.raises(UsageError, match=r"^The time was over before a trial was done: continue by --resume"):
        tune(search_recipe(data), tmp_path / "x-tune", seconds=15, folds=2)
    found = tune(search_recipe(data), tmp_path / "x-tune", seconds=35, folds=2, resume=True)
    assert found.stopped is None
    assert [(trial.state, len(trial.counts)) for trial in found.trials] == [
        ("done", 2),
        ("done", 2),
        ("running", 0),
    ]
    assert found.trials[0].seconds == 20


def test_a_second_search_in_the_same_folder_is_refused(data, tmp_path, scripted):
    with open_run(tmp_path / "x-tune"), pytest.raises(LockedError, match="is in use by process"):
        tune(search_recipe(data), tmp_path / "x-tune", trials=1, folds=2)
    tune(search_recipe(data), tmp_path / "x-tune", trials=1, folds=2)
    with pytest.raises(UsageError, match="has a search of 1 trials: continue it with --resume"):
        tune(search_recipe(data), tmp_path / "x-tune", trials=1, folds=2)
    with pytest.raises(UsageError, match=r"begun with other settings \(train.epochs, --folds\)"):
        tune(search_recipe(data, "train.epochs=2"), tmp_path / "x-tune", trials=1, folds=3, resume=True)
    with (data / "train_list.txt").open("a") as file:
        file.write("pics/a/000.png 0\n")
    with pytest.raises(UsageError, match=r"begun with other settings \(the training list\)"):
        tune(search_recipe(data), tmp_path / "x-tune", trials=1, folds=2, resume=True)


def test_a_trial_is_one_line_and_its_own_log_is_not_shown(data, tmp_path, scripted, told, monkeypatch):
    monkeypatch.setattr(hubtune.tuning.search, "time", SimpleNamespace(monotonic=lambda: 0.0))
    tune(search_recipe(data), tmp_path / "x-tune", trials=2, folds=2)
    lines = [record.getMessage() for record in told.records if record.levelno > logging.DEBUG]
    assert lines[0].startswith("up to 2 trials in 30 minutes, each by 2-fold cross-validation")
    assert lines[1].startswith("a trial that trains all parameters takes about ")
    assert lines[2:] == [
        "trial 1 of 2: default_finetune, rate 0.001, none: 26.7 ± 8.1 %, 1 second",
        "trial 2 of 2: frozen: 53.3 ± 9.1 %, 1 second",
    ]
    logger.setLevel(logging.INFO)  # as it is without --verbose
    count = len(told.records)
    tune(search_recipe(data), tmp_path / "y-tune", trials=2, folds=2)
    assert len(told.records) == count + 4


def test_a_missing_optuna_ends_it_before_any_work(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MachineError, match=r'pip install "hubtune\[tune\]"'):
        tune(search_recipe(data), tmp_path / "x-tune")
    assert not (tmp_path / "x-tune").exists()


def test_a_recipe_that_cannot_run_is_refused_at_once(data, tmp_path):
    recipe = search_recipe(data, "strategy=last_stage", "train.hidden_units=[4]")
    with pytest.raises(UsageError, match="it solves a linear head, and there are hidden_units"):
        tune(recipe, tmp_path / "x-tune", trials=1)
    assert not (tmp_path / "x-tune").exists()


def test_a_run_or_the_pictures_are_no_place_for_it(data, tmp_path, scripted):
    (tmp_path / "x-tune").mkdir()
    (tmp_path / "x-tune" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="is there already and is not a run"):
        tune(search_recipe(data), tmp_path / "x-tune")
    with pytest.raises(UsageError, match="inside the pictures"):
        tune(search_recipe(data), data / "pics" / "a" / "x-tune")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["frozen", "default_finetune"])
def test_scores_are_those_that_training_on_each_fold_gives(data, tmp_path, monkeypatch, strategy):
    noted = []

    def run(context):
        noted.append(context)
        return train_run(context)

    monkeypatch.setattr(hubtune.tuning.search, "run", run)
    recipe = search_recipe(data, f"strategy={strategy}")
    [trial] = tune(recipe, tmp_path / "x-tune", trials=1, folds=2).trials
    assert (trial.state, trial.counts) == ("done", [15, 15])
    for context, right in zip(noted, trial.right, strict=True):
        lists = {}
        for name, examples in context.data.examples.items():
            lists[f"{name}_list_file"] = tmp_path / f"{name}.txt"
            lists[f"{name}_list_file"].write_text(
                list_text((str(example.path), example.label) for example in examples)
            )
        task = ImageClassifierTask(
            context.module,
            BaseCVDataset(data, label_list_file="label_list.txt", **lists),
            recipe.config().model_copy(update={"checkpoint_dir": str(tmp_path / "run")}),
        )
        assert round(task.finetune_and_eval(callback=Callback()).test.accuracy * 15) == right
    assert sum(trial.right) > (25 if strategy == "frozen" else 10)  # the classes differ in colour
