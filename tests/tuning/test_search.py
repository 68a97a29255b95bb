"""`hubtune tune`: folds of the training list alone, trials that can be interrupted, a recipe at the end."""

import json
import logging
import shutil
import signal
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

import hubtune.tuning.search
from hubtune.data.dataset import BaseCVDataset
from hubtune.data.list_files import list_text
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import DataError, LockedError, MachineError, NumericError, UsageError
from hubtune.log import logger
from hubtune.recipe.load import load_recipe, make_recipe
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import open_run
from hubtune.task import ImageClassifierTask
from hubtune.train.run import run as train_run
from hubtune.tuning.search import BEST, STUDY, tune
from hubtune.tuning.search_space import Choice

pytest.importorskip("optuna")


@pytest.fixture
def data(tmp_path, draw_photos):
    return _split(draw_photos(tmp_path / "data" / "pics", {"a": 18, "b": 18, "c": 12}))


def _split(pics):
    split = make_split(scan_classes(pics), SplitRequest(validate=SplitSize(3), test=SplitSize(3)))
    write_split(split, pics.parent, {"seed": 0}, force=True)
    return pics.parent


def _recipe(data, *overrides, **sections):
    given = {
        "data": {"base": str(data)},
        "module": "digitnet",
        "train": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3},
        **sections,
    }
    return make_recipe(given, list(overrides))


@pytest.fixture
def scripted(monkeypatch):
    """Takes the place of training: the nearer a rate is to 3e-4, the more pictures are right."""

    class Scripted:
        folds = []  # noqa: RUF012  # of this test alone
        before = staticmethod(lambda number: None)

        def __init__(self, context):
            self.labels, self.config, self.run = context.data.labels, context.config, context.folder
            self.lists = context.data.examples

        @classmethod
        def train(cls, context):
            context.callback.start("training", 10)
            context.callback.advance(10, loss=1.0, accuracy=0.5)
            logger.warning("said inside")
            context.callback.notice("noticed inside")
            assert context.folder.path.is_dir()
            cls.before(len(cls.folds))
            context.stop.check()
            cls.folds.append(cls(context))
            frozen = context.config.strategy.name == "frozen"
            share = 0.5 if frozen else max(0.0, 1 - abs(context.config.rate - 3e-4) * 1000)
            count = len(context.data.examples["test"])
            return {"test": {"accuracy": round(share * count) / count, "count": count}}

    monkeypatch.setattr(hubtune.tuning.search, "run", Scripted.train)
    return Scripted


def _outcome(found):
    return [(trial.number, trial.choice, trial.state, trial.right, trial.counts) for trial in found.trials]


def _paths(examples):
    return {str(example.path) for example in examples}


def test_folds_divide_the_training_list_alone(data, tmp_path, scripted):
    # Were they opened, that would fail.
    for name in ("validate_list.txt", "test_list.txt"):
        (data / name).unlink()
        (data / name).mkdir()
    (data / "label_list.txt").unlink()  # so that classes are counted in lists
    tune(_recipe(data), tmp_path / "x-tune", trials=2, folds=3)
    train = {str(data / line.split()[0]) for line in (data / "train_list.txt").read_text().splitlines()}
    assert len(train) == 30
    first, second = scripted.folds[:3], scripted.folds[3:]
    assert [fold.lists for fold in first] == [fold.lists for fold in second]
    assert sum((Counter(_paths(fold.lists["test"])) for fold in first), Counter()) == Counter(train)
    for fold in first:
        parts = [_paths(fold.lists[name]) for name in ("train", "validate", "test")]
        assert set.union(*parts) == train
        assert sum(map(len, parts)) == len(train)
        assert 2 <= len(parts[1]) <= 3
        assert Counter(example.label for example in fold.lists["test"]) == {0: 4, 1: 4, 2: 2}
        assert fold.labels == ["0", "1", "2"]


def test_copies_and_groups_stay_on_one_side(data, tmp_path, scripted):
    lines = (data / "train_list.txt").read_text().splitlines()
    shutil.copy(data / lines[0].split()[0], data / "copy.png")
    (data / "train_list.txt").write_text("\n".join([*lines, "copy.png 0"]) + "\n")
    names = [line.split()[0] for line in lines]
    document = json.loads((data / "split.json").read_text())
    document["groups"] = [names[3:6], [names[20], names[1]]]
    (data / "split.json").write_text(json.dumps(document))
    tune(_recipe(data), tmp_path / "x-tune", trials=1, folds=3)
    for together in ([names[0], "copy.png"], names[3:6], [names[20], names[1]]):
        paths = {str(data / name) for name in together}
        for fold in scripted.folds:
            for examples in fold.lists.values():
                assert len(paths & _paths(examples)) in (0, len(paths))


def test_the_best_is_never_worse_than_the_recipe_and_frozen_and_is_written_as_a_recipe(
    data, tmp_path, scripted
):
    recipe = _recipe(data, "run=runs/x")
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
    recipe = _recipe(data, "train.learning_rate=0.0008")  # half of the pictures, as `frozen`
    one, other = tune(recipe, tmp_path / "x-tune", trials=2, folds=2).trials
    assert (one.number, other.number) == (1, 2)
    assert one.accuracy == other.accuracy > 0


def test_trials_that_fall_behind_are_given_up(data, tmp_path, scripted):
    found = tune(_recipe(data), tmp_path / "x-tune", trials=15, folds=3)
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

    scripted.before = staticmethod(fail)
    found = tune(_recipe(data), tmp_path / "x-tune", trials=3, folds=2)
    assert sorted((trial.number, trial.state) for trial in found.trials) == [
        (1, "failed"),
        (2, "done"),
        (3, "done"),
    ]
    assert found.trials[-1].number == 1


def test_a_search_in_which_all_diverge_fails(data, tmp_path, scripted):
    def fail(number):
        raise NumericError("the loss is not finite")

    scripted.before = staticmethod(fail)
    with pytest.raises(NumericError, match=r"^All 3 trials have diverged: look at the pictures"):
        tune(_recipe(data), tmp_path / "x-tune", trials=3, folds=2)
    assert not (tmp_path / "x-tune" / BEST).exists()


def test_any_other_error_stops_and_the_search_goes_on_later(data, tmp_path, scripted):
    whole = tune(_recipe(data), tmp_path / "whole", trials=8, folds=2)
    scripted.folds.clear()

    def fail(number):
        if number == 5:
            raise MachineError("the disk is full")

    scripted.before = staticmethod(fail)
    with pytest.raises(MachineError, match="the disk is full"):
        tune(_recipe(data), tmp_path / "x-tune", trials=8, folds=2)
    assert not (tmp_path / "x-tune" / "fold").exists()
    scripted.before = staticmethod(lambda number: None)
    found = tune(_recipe(data), tmp_path / "x-tune", trials=8, folds=2, resume=True)
    assert _outcome(found) == _outcome(whole)
    assert len(scripted.folds) == sum(len(trial.counts) for trial in whole.trials)  # none was run twice


def test_a_signal_stops_it_with_what_was_found_and_resume_goes_on(data, tmp_path, scripted):
    whole = tune(_recipe(data), tmp_path / "whole", trials=8, folds=2)
    scripted.folds.clear()
    scripted.before = staticmethod(lambda number: number == 5 and signal.raise_signal(signal.SIGINT))
    notices = []

    class Noting(Callback):
        def notice(self, text):
            notices.append(text)

    found = tune(_recipe(data), tmp_path / "x-tune", trials=8, folds=2, callback=Noting())
    assert found.stopped == 130
    assert [trial.state for trial in found.trials].count("done") == 2
    assert found.trials[-1].state == "running"
    assert found.trials[-1].counts == [15]
    assert found.best_recipe.is_file()
    assert [text.split(" ")[0] for text in notices] == ["Stopping"]
    scripted.before = staticmethod(lambda number: None)
    # A killed process leaves a folder of a fold behind.
    (tmp_path / "x-tune" / "fold" / "checkpoints" / "step-3").mkdir(parents=True)
    found = tune(_recipe(data), tmp_path / "x-tune", trials=8, folds=2, resume=True)
    assert _outcome(found) == _outcome(whole)
    assert found.stopped is None


def test_more_trials_can_be_asked_for_later(data, tmp_path, scripted):
    whole = tune(_recipe(data), tmp_path / "whole", trials=6, folds=2)
    tune(_recipe(data), tmp_path / "x-tune", trials=4, folds=2, resume=True)  # there is none: it begins
    found = tune(_recipe(data, "train.device=cpu"), tmp_path / "x-tune", trials=6, folds=2, resume=True)
    assert _outcome(found) == _outcome(whole)
    runs = len(scripted.folds)
    found.best_recipe.unlink()  # as where a process died before it was written
    again = tune(_recipe(data), tmp_path / "x-tune", trials=6, folds=2, resume=True)
    assert (_outcome(again), len(scripted.folds)) == (_outcome(whole), runs)
    assert load_recipe(again.best_recipe).strategy.name == again.trials[0].choice.strategy


def test_the_time_ends_a_search_in_the_middle_of_a_trial(data, tmp_path, scripted, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(hubtune.tuning.search, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def tick(number):
        clock[0] += 10

    scripted.before = staticmethod(tick)
    with pytest.raises(UsageError, match=r"^The time was over before a trial was done: continue by --resume"):
        tune(_recipe(data), tmp_path / "x-tune", seconds=15, folds=2)
    found = tune(_recipe(data), tmp_path / "x-tune", seconds=35, folds=2, resume=True)
    assert found.stopped is None
    assert [(trial.state, len(trial.counts)) for trial in found.trials] == [
        ("done", 2),
        ("done", 2),
        ("running", 0),
    ]
    assert found.trials[0].seconds == 20


def test_a_second_search_in_the_same_folder_is_refused(data, tmp_path, scripted):
    with open_run(tmp_path / "x-tune"), pytest.raises(LockedError, match="is in use by process"):
        tune(_recipe(data), tmp_path / "x-tune", trials=1, folds=2)
    tune(_recipe(data), tmp_path / "x-tune", trials=1, folds=2)
    with pytest.raises(UsageError, match="has a search of 1 trials: continue it by --resume"):
        tune(_recipe(data), tmp_path / "x-tune", trials=1, folds=2)
    with pytest.raises(UsageError, match=r"begun with other settings \(train.epochs, --folds\)"):
        tune(_recipe(data, "train.epochs=2"), tmp_path / "x-tune", trials=1, folds=3, resume=True)
    with (data / "train_list.txt").open("a") as file:
        file.write("pics/a/000.png 0\n")
    with pytest.raises(UsageError, match=r"begun with other settings \(the training list\)"):
        tune(_recipe(data), tmp_path / "x-tune", trials=1, folds=2, resume=True)


def test_too_few_pictures_for_the_folds_are_refused_and_leave_nothing_in_the_way(data, tmp_path, scripted):
    lines = (data / "train_list.txt").read_text().splitlines()
    few = [next(line for line in lines if line.endswith(str(label))) for label in (0, 0, 1, 2)]
    (data / "few.txt").write_text("\n".join([*few, lines[1]]) + "\n")
    with pytest.raises(DataError) as error:
        tune(_recipe(data, "data.train=few.txt"), tmp_path / "x-tune", folds=3)
    assert str(error.value) == (
        "The training list has 5 readable pictures of 3 classes, too few for 3 folds of cross-validation: "
        "add pictures, or take fewer --folds"
    )
    assert not scripted.folds
    tune(_recipe(data), tmp_path / "x-tune", trials=1, folds=3)


def test_bad_pictures_are_held_against_the_whole_list_and_left_out_of_all_folds(data, tmp_path, scripted):
    path = data / (data / "train_list.txt").read_text().split()[0]
    path.write_bytes(b"")
    with pytest.raises(DataError, match="1 of 30 pictures cannot be read"):
        tune(_recipe(data), tmp_path / "x-tune", trials=1, folds=3)
    tune(_recipe(data, "data.max_bad=4%"), tmp_path / "y-tune", trials=1, folds=3)
    assert all(
        str(path) not in _paths(examples) for fold in scripted.folds for examples in fold.lists.values()
    )
    assert str(path) in (tmp_path / "y-tune" / "skipped.csv").read_text()


def test_one_line_a_trial_and_nothing_of_what_is_said_inside(data, tmp_path, scripted, told):
    tune(_recipe(data), tmp_path / "x-tune", trials=2, folds=2)
    lines = [record.getMessage() for record in told.records if record.levelno > logging.DEBUG]
    assert lines[0].startswith("up to 2 trials in 30 minutes, each by 2-fold cross-validation")
    assert lines[1].startswith("a trial that trains all parameters takes about ")
    assert lines[2:] == [
        "trial 1 of 2: default_finetune, rate 0.001, none: 26.7 ± 8.1 %, 1 second",
        "trial 2 of 2: frozen: 53.3 ± 9.1 %, 1 second",
    ]
    logger.setLevel(logging.INFO)  # as it is without --verbose
    count = len(told.records)
    tune(_recipe(data), tmp_path / "y-tune", trials=2, folds=2)
    assert len(told.records) == count + 4


def test_a_missing_optuna_ends_it_before_any_work(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MachineError, match=r'pip install "hubtune\[tune\]"'):
        tune(_recipe(data), tmp_path / "x-tune")
    assert not (tmp_path / "x-tune").exists()


def test_a_recipe_that_cannot_run_is_refused_at_once(data, tmp_path):
    recipe = _recipe(data, "strategy=last_stage", "train.hidden_units=[4]")
    with pytest.raises(UsageError, match="it solves a linear head, and there are hidden_units"):
        tune(recipe, tmp_path / "x-tune", trials=1)
    assert not (tmp_path / "x-tune").exists()


def test_a_run_or_the_pictures_are_no_place_for_it(data, tmp_path, scripted):
    (tmp_path / "x-tune").mkdir()
    (tmp_path / "x-tune" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="is there already and is not a run"):
        tune(_recipe(data), tmp_path / "x-tune")
    with pytest.raises(UsageError, match="inside the pictures"):
        tune(_recipe(data), data / "pics" / "a" / "x-tune")


# The command.


@pytest.fixture
def recipe_file(data, tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(
        f"data: {{base: '{data}'}}\nmodule: digitnet\n"
        "train: {epochs: 1, batch_size: 16, learning_rate: 1.0e-3}\n"
    )
    return file


def test_the_command_prints_a_table_and_what_to_do_next(recipe_file, tmp_path, run_here, scripted):
    done = run_here("tune", recipe_file, "--trials", 4, "--folds", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "seconds", "strategy", "rate", "augment"]
    rows = [line.split() for line in lines[2:6]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    own = next(row for row in rows if row[-2:] == ["the", "recipe"])
    assert own[6:9] == ["default_finetune", "0.001", "none"]
    best = lines.index("Next: hubtune finetune runs/x-tune/best.yaml") - 3
    assert lines[best].startswith("Best: ")
    assert "points ahead of the recipe as it is, with a standard error of up to" in lines[best + 1]
    assert lines[best + 2].endswith("is flattered. A test list, which was not looked at, will tell:")
    refused = run_here("tune", recipe_file, cwd=tmp_path)
    assert refused.returncode == 2
    assert "continue it by --resume" in refused.stderr
    document = json.loads(
        run_here("tune", recipe_file, "--trials", 4, "--folds", 2, "--resume", "--json").stdout
    )
    assert document["best_recipe"] == "runs/x-tune/best.yaml"
    assert not document["stopped"]
    assert [trial["rank"] for trial in document["trials"]] == [1, 2, 3, 4]
    [own] = [trial for trial in document["trials"] if trial["recipe"]]
    assert own["number"] == 1
    assert (own["strategy"], own["learning_rate"], own["augment"]) == ("default_finetune", 0.001, "none")
    assert own["accuracy"] == own["right"] / own["count"]
    assert (own["count"], own["folds"]) == (30, 2)


def test_pictures_are_searched_on_lists_of_their_own(data, tmp_path, run_here, scripted):
    (data / "pics").rename(tmp_path / "photos")
    arguments = ("tune", "photos", "--folds", 2, "-o", "module=digitnet", "-o", "train.epochs=1")
    done = run_here(*arguments, "--trials", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[0].startswith("No lists for photos yet: ")
    assert "Data: runs/photos-tune/lists; module: digitnet; strategy: frozen" in said
    assert "Not used by" not in done.stderr  # other strategies may use it
    best = load_recipe(tmp_path / "runs" / "photos-tune" / BEST)
    assert (best.data.base, best.train.epochs) == ("runs/photos-tune/lists", 1)
    more = run_here(*arguments, "--trials", 3, "--resume", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "No lists" not in more.stderr


def test_a_run_is_no_source_of_pictures(tmp_path, run_here):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "recipe.yaml").write_text("module: digitnet\n")
    refused = run_here("tune", "r", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "Error: r is a run: name its recipe, r/recipe.yaml\n"


def test_a_recipe_that_is_the_best_itself_is_told_so(recipe_file, tmp_path, run_here, scripted):
    done = run_here("tune", recipe_file, "-o", "strategy=frozen", "--strategies", "frozen", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "      which is the recipe as it is: no other settings were better" in done.stdout.splitlines()
    assert "nothing is left to try" in done.stderr


def test_ctrl_c_shows_what_there_is_and_exits_130(recipe_file, tmp_path, run_here, scripted):
    scripted.before = staticmethod(lambda number: number == 3 and signal.raise_signal(signal.SIGINT))
    done = run_here("tune", recipe_file, "--folds", 2, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stdout.splitlines()[3].split()[-1] == "unfinished"
    assert done.stderr.splitlines()[-1] == "Stopped. Continue with the same command and --resume"


@pytest.mark.parametrize("text", ["30", "0s", "m", "1d", "-5m", "1e3s"])
def test_a_time_without_meaning_is_refused(recipe_file, run_here, text):
    done = run_here("tune", recipe_file, "--timeout", text)
    assert done.returncode == 2
    assert f"'{text}' is no time such as 90s, 30m or 2h" in done.stderr


# With real training.


@pytest.mark.slow
def test_every_strategy_is_tried_and_the_best_recipe_runs(recipe_file, tmp_path, run_here):
    done = run_here("tune", recipe_file, "--folds", 2, "--trials", 7, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trials = json.loads(done.stdout)["trials"]
    assert sorted(trial["strategy"] for trial in trials) == sorted(
        ["frozen", "from_frozen", "default_finetune", "last_stage", "l2sp", "ulmfit", "adam_weight_decay"]
    )
    assert {trial["state"] for trial in trials} <= {"done", "pruned"}
    assert not (tmp_path / "runs" / "latest").exists()  # folds are no runs of a person's
    best = run_here("finetune", "runs/x-tune/best.yaml", "--json")
    assert best.returncode == 0, best.stderr
    document = json.loads(best.stdout)
    assert document["run"] == "runs/x"
    assert document["test"]["accuracy"] > 0.8  # the classes differ in colour


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["frozen", "default_finetune"])
def test_scores_are_those_that_training_on_each_fold_gives(data, tmp_path, monkeypatch, strategy):
    noted = []

    def run(context):
        noted.append(context)
        return train_run(context)

    monkeypatch.setattr(hubtune.tuning.search, "run", run)
    recipe = _recipe(data, f"strategy={strategy}")
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
