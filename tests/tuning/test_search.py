"""`hubtune tune`: trials that can be interrupted, a recipe at the end."""

import logging
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.searches import search_recipe

import hubtune.tuning.search
from hubtune.data.dataset import BaseCVDataset
from hubtune.data.list_files import list_text
from hubtune.errors import LockedError, MachineError, NumericError, UsageError
from hubtune.recipe.load import load_recipe
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import open_run
from hubtune.task import ImageClassifierTask
from hubtune.train.run import run as train_run
from hubtune.tuning.search import tune
from hubtune.tuning.search_result import BEST
from hubtune.tuning.search_space import Choice

pytest.importorskip("optuna")


@pytest.fixture
def search(data, tmp_path):
    def run(*overrides, folder="x-tune", folds=2, **options):
        return tune(search_recipe(data, *overrides), tmp_path / folder, folds=folds, **options)

    return run


def test_the_best_is_never_worse_than_the_recipe_and_is_written(search, scripted, told):
    found = search("run=runs/x", trials=12, strategies=["default_finetune"])
    assert [trial.number for trial in found.trials if trial.choice == Choice("frozen")] == [2]
    assert found.recipe == Choice("default_finetune", 1e-3, "none")
    assert next(trial for trial in found.trials if trial.number == 1).choice == found.recipe
    done = [trial for trial in found.trials if trial.state == "done"]
    best = found.trials[0]
    assert best.accuracy == max(trial.accuracy for trial in done) > 0.6
    written = load_recipe(found.folder / BEST)
    assert Choice(written.strategy.name, written.train.learning_rate, best.choice.augment) == best.choice
    assert (written.train.epochs, written.run) == (1, "runs/x")
    head = found.best_recipe.read_text(encoding="utf-8").splitlines()[:3]
    assert head[0] == f"# command: hubtune finetune {found.best_recipe}"
    assert f"% right in 2-fold cross-validation on {sum(best.counts)}" in head[1]
    assert head[2].endswith(f"as the best of {len(done)} scores.")
    # What the folds of a trial log is not shown.
    lines = [record.getMessage() for record in told.records if record.levelno > logging.DEBUG]
    assert lines[2].startswith("trial 1 of 12: default_finetune, rate 0.001, none: 26.7 ± 8.1 %, ")
    assert len(lines) == 2 + 12


def test_trials_that_fall_behind_are_given_up(search, scripted):
    found = search(trials=15, folds=3)
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned and all(1 <= len(trial.counts) < 3 and trial.number > 5 for trial in pruned)
    assert found.trials[-len(pruned) :] == pruned
    assert len(scripted.folds) == sum(len(trial.counts) for trial in found.trials)


def test_a_trial_that_diverges_is_last_and_a_search_in_which_all_diverge_fails(search, scripted):
    def fail(number):
        if number in failing:
            scripted.folds.append(None)
            raise NumericError("the loss is not finite")

    scripted.before, failing = fail, {1}
    assert [trial.state for trial in search(trials=3).trials] == ["done", "done", "failed"]
    failing = range(99)
    with pytest.raises(NumericError, match=r"^All 3 trials have diverged: look at the pictures"):
        search(trials=3, folder="other")


def test_errors_and_signals_stop_it_and_resume_goes_on_as_if_undisturbed(search, tmp_path, scripted):
    whole = search(folder="whole", trials=8)
    scripted.folds.clear()

    def fail(number):
        if number == 3:
            raise MachineError("the disk is full")

    scripted.before = fail
    with pytest.raises(MachineError, match="the disk is full"):
        search(trials=8, resume=True)  # there is none: it begins
    assert not (tmp_path / "x-tune" / "fold").exists()
    scripted.before = lambda number: number == 5 and signal.raise_signal(signal.SIGINT)
    found = search(trials=8, resume=True)
    assert found.stopped == 130 and found.best_recipe.is_file()
    states = [(trial.state, trial.counts) for trial in found.trials]
    assert states == [("done", [15, 15]), ("done", [15, 15]), ("running", [15])]
    scripted.before = lambda number: None
    # A killed process leaves a folder of a fold behind.
    (tmp_path / "x-tune" / "fold" / "checkpoints" / "step-3").mkdir(parents=True)
    assert len(search("train.device=cpu", trials=6, resume=True).trials) == 6
    found = search(trials=8, resume=True)  # more trials can be asked for later
    pairs = zip(found.trials, whole.trials, strict=True)
    assert all(replace(one, seconds=other.seconds) == other for one, other in pairs)
    found.best_recipe.unlink()  # as where a process died before it was written
    again = search(trials=8, resume=True)
    assert load_recipe(again.best_recipe).strategy.name == again.trials[0].choice.strategy
    assert len(scripted.folds) == sum(len(trial.counts) for trial in whole.trials)  # none was run twice


def test_the_time_ends_a_search_in_the_middle_of_a_trial(search, scripted, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(hubtune.tuning.search, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    scripted.before = lambda number: clock.append(clock.pop() + 10)
    with pytest.raises(UsageError, match=r"^The time was over before a trial was done: continue by --resume"):
        search(seconds=15)
    found = search(seconds=35, resume=True)
    states = [(trial.state, len(trial.counts), trial.seconds) for trial in found.trials]
    assert (states, found.stopped) == ([("done", 2, 20), ("done", 2, 20), ("running", 0, 0)], None)


def test_a_second_search_in_the_same_folder_is_refused(search, data, tmp_path, scripted):
    with open_run(tmp_path / "x-tune"), pytest.raises(LockedError, match="is in use by process"):
        search(trials=1)
    search(trials=1)
    with pytest.raises(UsageError, match=r"begun with other settings \(train.epochs, --folds\)"):
        search("train.epochs=2", trials=1, folds=3, resume=True)
    with (data / "train_list.txt").open("a") as file:
        file.write("pics/a/000.png 0\n")
    with pytest.raises(UsageError, match=r"begun with other settings \(the training list\)"):
        search(trials=1, resume=True)


def test_what_cannot_run_is_refused_before_any_work(search, tmp_path, monkeypatch):
    (tmp_path / "mine" / "x").mkdir(parents=True)
    for folder, message in (
        ("mine", "is there already and is not a run"),
        ("data/pics/a/x", "inside the pic"),
    ):
        with pytest.raises(UsageError, match=message):
            search(folder=folder)
    with pytest.raises(UsageError, match="engine openvino-int8 runs one that stays frozen: search with"):
        search("strategy=frozen", "train.engine=openvino-int8")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MachineError, match=r'^A search needs optuna \(.*\): .*pip install "optuna>=4.9"$'):
        search()
    assert not (tmp_path / "x-tune").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "least"), [("frozen", 25), ("default_finetune", 10)])
def test_scores_are_those_that_training_on_each_fold_gives(data, tmp_path, monkeypatch, strategy, least):
    noted = []
    monkeypatch.setattr(
        hubtune.tuning.search, "run", lambda context: noted.append(context) or train_run(context)
    )
    recipe = search_recipe(data, f"strategy={strategy}")
    [trial] = tune(recipe, tmp_path / "x-tune", trials=1, folds=2).trials
    assert (trial.state, trial.counts) == ("done", [15, 15])
    for context, right in zip(noted, trial.right, strict=True):
        lists = {}
        for name, examples in context.data.examples.items():
            lists[f"{name}_list_file"] = file = tmp_path / f"{name}.txt"
            file.write_text(list_text((str(example.path), example.label) for example in examples))
        dataset = BaseCVDataset(data, label_list_file="label_list.txt", **lists)
        config = recipe.config().model_copy(update={"checkpoint_dir": str(tmp_path / "run")})
        alone = ImageClassifierTask(context.module, dataset, config).finetune_and_eval(callback=Callback())
        assert round(alone.test.accuracy * 15) == right
    assert sum(trial.right) > least  # the classes differ in colour


def test_processes_that_a_launcher_has_started_search_by_themselves(search, scripted, monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    assert len(search(trials=2).trials) == 2
