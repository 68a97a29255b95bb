"""Observers are told what a run does, in order, and what they raise is heard."""

import inspect
import json
import math
from pathlib import Path

import pytest

from hubtune import ImageClassifierTask, ListDataset, Module, RunConfig
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import StoppedError
from hubtune.runs.callbacks import Callback, CallbackList
from hubtune.runs.signals import StopRequested

_METHODS = [name for name, _ in inspect.getmembers(Callback, inspect.isfunction) if name[0] != "_"]


class Recorder(Callback):
    """Notes each call: who, what, with what."""

    def __init__(self, calls=None, name=""):
        self.calls, self.name = [] if calls is None else calls, name

    def __getattribute__(self, method):
        if method not in _METHODS:
            return super().__getattribute__(method)
        return lambda *given, **named: self.calls.append((self.name, method, given, named))


class Raising(Callback):
    def __init__(self, step, error):
        self.step, self.error = step, error

    def stepped(self, step, total, *, loss, accuracy, rate):
        if step == self.step:
            raise self.error


@pytest.fixture
def task(tmp_path, draw_photos):
    """Six steps of four pictures; evaluations after steps 2, 3, 4 and 6."""
    scan = scan_classes(draw_photos(tmp_path / "pics", {"a": 10, "b": 10}))
    write_split(
        make_split(scan, SplitRequest(validate=SplitSize(2), test=SplitSize(2))), tmp_path, {"seed": 0}
    )
    config = RunConfig(
        num_epoch=2,
        batch_size=4,
        eval_interval=2,
        learning_rate=1e-3,
        checkpoint_dir=str(tmp_path / "run"),
        strategy="scratch",
    )
    return ImageClassifierTask(Module("smallnet", weights=None), ListDataset(tmp_path), config)


@pytest.mark.parametrize("method", _METHODS)
def test_several_are_told_everything_in_order(method):
    given = [
        name
        for name, parameter in inspect.signature(getattr(Callback, method)).parameters.items()
        if name != "self" and parameter.kind is not parameter.KEYWORD_ONLY
    ]
    named = {
        name: object()
        for name, parameter in inspect.signature(getattr(Callback, method)).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    calls = []
    getattr(CallbackList([Recorder(calls, "first"), Recorder(calls, "second")]), method)(*given, **named)
    assert calls == [("first", method, tuple(given), named), ("second", method, tuple(given), named)]


def test_what_one_raises_comes_out_and_those_behind_are_not_told():
    calls = []
    observers = CallbackList(
        [Recorder(calls, "first"), Raising(3, ValueError("broken")), Recorder(calls, "last")]
    )
    with pytest.raises(ValueError, match="broken"):
        observers.stepped(3, 8, loss=0.5, accuracy=0.5, rate=1e-3)
    assert [name for name, *_ in calls] == ["first"]


def test_a_run_tells_each_step_each_evaluation_and_its_end(task, tmp_path):
    recorder = Recorder()
    run = task.finetune_and_eval(observer=recorder)
    told = [(method, given, named) for _, method, given, named in recorder.calls]
    assert told[0] == ("opened", (run.path,), {})
    assert told[-1] == ("finished", (json.loads((run.path / "result.json").read_text()),), {})

    order = [
        given[0] if method == "stepped" else f"{given[0]} {named['step']}"
        for method, given, named in told
        if method in ("stepped", "evaluated")
    ]
    evaluations = ["validate 2", "validate 3", "validate 4", "validate 6"]
    assert [entry for entry in order if entry in evaluations] == evaluations
    assert order == [
        *(1, 2, "validate 2", 3, "validate 3", 4, "validate 4", 5, 6, "validate 6"),
        f"test {run.best_step}",
    ]

    steps = [(given, named) for method, given, named in told if method == "stepped"]
    assert all(given[1] == 6 for given, _ in steps)
    assert all(math.isfinite(named["loss"]) and 0 <= named["accuracy"] <= 1 for _, named in steps)
    rates = [named["rate"] for _, named in steps]
    assert rates[0] == pytest.approx(1e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


def test_losses_are_those_of_each_steps_own_batch(task):
    recorder = Recorder()
    task.finetune_and_eval(observer=recorder)
    shares = [named["accuracy"] for _, method, _, named in recorder.calls if method == "stepped"]
    assert {share * 4 % 1 for share in shares} == {0}  # a mean over more pictures would have other parts


def test_an_error_of_an_observer_ends_the_run_which_can_be_resumed(task):
    task.config = task.config.model_copy(update={"save_ckpt_interval": 1})
    with pytest.raises(ZeroDivisionError):
        task.finetune_and_eval(observer=Raising(4, ZeroDivisionError()))
    recorder = Recorder()
    task.finetune_and_eval(resume=True, observer=recorder)
    # The step whose observer failed had not been saved yet.
    assert [given[0] for _, method, given, _ in recorder.calls if method == "stepped"] == [4, 5, 6]


def test_an_observer_may_ask_for_a_stop_and_nothing_is_lost(task, tmp_path):
    with pytest.raises(StoppedError, match="Stopped after step 3 of 6; everything is saved") as stopped:
        task.finetune_and_eval(observer=Raising(3, StopRequested()))
    assert stopped.value.run == tmp_path / "run"
    assert not (tmp_path / "run" / "result.json").exists()
    recorder = Recorder()
    task.finetune_and_eval(resume=True, observer=recorder)
    told = [(method, given[0]) for _, method, given, _ in recorder.calls]
    assert [step for method, step in told if method == "stepped"] == [4, 5, 6]
    # Step 3 ended an epoch: its evaluation is made up for first.
    assert next(entry for entry in told if entry[0] in ("stepped", "evaluated")) == ("evaluated", "validate")


def test_a_finished_run_tells_nothing_more(task):
    task.finetune_and_eval()
    recorder = Recorder()
    task.finetune_and_eval(resume=True, observer=recorder)
    assert recorder.calls == []


def test_the_example_in_the_docs_stops_a_run_and_leaves_its_table(task, tmp_path, capsys):
    docs = Path(__file__).parents[2] / "docs" / "callbacks.md"
    example = docs.read_text(encoding="utf-8").split("```python")[2].partition("```")[0]
    for there, here in {
        'Module("resnet50_imagenet")': 'Module("smallnet", weights=None)',
        '"datasets/trashnet"': repr(str(tmp_path)),
        "hours=7.5": "hours=0",
    }.items():
        assert example.count(there) == 1
        example = example.replace(there, here)
    exec(example, {})  # noqa: S102  # what the docs tell people to run
    assert capsys.readouterr().out.startswith("Stopped after step 1 of 20; everything is saved")
    assert len(Path("runs/long/losses.csv").read_text().splitlines()) == 1
