"""Callbacks are called for everything that a run does, in order, and their errors end the run."""

import inspect
import json
import math
from pathlib import Path

import pytest
from support.callbacks import METHODS, AtStep, Call, Recorder, raise_error, request_stop
from support.split_folder import draw_split
from support.tiny_task import smallnet, tiny_task

from hubtune.errors import StoppedError
from hubtune.runs.callbacks import Callback, CallbackList


@pytest.fixture
def task(tmp_path):
    """Six steps of four images; evaluations after steps 2, 3, 4 and 6."""
    data = draw_split(tmp_path, {"a": 10, "b": 10}, validate=2, test=2)
    options = {"batch_size": 4, "eval_interval": 2, "learning_rate": 1e-3, "strategy": "scratch"}
    return tiny_task(smallnet(), data, tmp_path / "run", **options)


@pytest.mark.parametrize("method", METHODS)
def test_several_callbacks_are_called_in_order(method):
    parameters = list(inspect.signature(getattr(Callback, method)).parameters.values())[1:]
    named = {each.name: object() for each in parameters if each.kind is each.KEYWORD_ONLY}
    positional = tuple(each.name for each in parameters if each.name not in named)
    calls = []
    getattr(CallbackList([Recorder(calls, "first"), Recorder(calls, "second")]), method)(*positional, **named)
    assert calls == [Call(method, positional, named, recorder) for recorder in ("first", "second")]


def test_an_error_of_one_callback_comes_out_and_later_ones_are_not_called():
    calls, broken = [], AtStep(3, raise_error(ValueError("broken")))
    callbacks = CallbackList([Recorder(calls, "first"), broken, Recorder(calls, "last")])
    with pytest.raises(ValueError, match="broken"):
        callbacks.stepped(3, 8, loss=0.5, accuracy=0.5, rate=1e-3)
    assert [call.recorder for call in calls] == ["first"]


def test_a_run_reports_each_step_each_evaluation_and_its_end(task):
    recorder = Recorder()
    run = task.finetune_and_eval(callback=recorder)
    assert recorder.calls[0] == Call("opened", (run.path,))
    assert recorder.calls[-1] == Call("finished", (json.loads((run.path / "result.json").read_text()),))
    order = [
        call.positional[0] if call.method == "stepped" else f"{call.positional[0]} {call.named['step']}"
        for call in recorder.calls
        if call.method in ("stepped", "evaluated")
    ]
    assert order == [
        *(1, 2, "validate 2", 3, "validate 3", 4, "validate 4", 5, 6, "validate 6"),
        f"test {run.best_step}",
    ]
    steps = recorder.of("stepped")
    assert all(call.positional[1] == 6 for call in steps)
    figures = [call.named for call in steps]
    assert all(math.isfinite(step["loss"]) and 0 <= step["accuracy"] <= 1 for step in figures)
    # Of each step's own batch: a mean over more images would have other parts.
    assert {step["accuracy"] * 4 % 1 for step in figures} == {0}
    rates = [step["rate"] for step in figures]
    assert rates[0] == pytest.approx(1e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    recorder.calls.clear()
    task.finetune_and_eval(resume=True, callback=recorder)
    assert recorder.calls == []  # a finished run reports nothing more


def test_an_error_of_a_callback_ends_the_run_which_can_be_resumed(task):
    task.config = task.config.model_copy(update={"save_ckpt_interval": 1})
    with pytest.raises(ZeroDivisionError):
        task.finetune_and_eval(callback=AtStep(4, raise_error(ZeroDivisionError())))
    recorder = Recorder()
    task.finetune_and_eval(resume=True, callback=recorder)
    # The step whose callback failed had not been saved yet.
    assert [call.positional[0] for call in recorder.of("stepped")] == [4, 5, 6]


def test_a_callback_may_request_a_stop_and_nothing_is_lost(task, tmp_path):
    with pytest.raises(StoppedError, match="Stopped after step 3 of 6; everything is saved") as stopped:
        task.finetune_and_eval(callback=AtStep(3, request_stop))
    assert stopped.value.run == tmp_path / "run"
    assert not (tmp_path / "run" / "result.json").exists()
    recorder = Recorder()
    task.finetune_and_eval(resume=True, callback=recorder)
    assert [call.positional[0] for call in recorder.of("stepped")] == [4, 5, 6]
    # Step 3 ended an epoch: its evaluation is made up for first.
    first = next(call for call in recorder.calls if call.method in ("stepped", "evaluated"))
    assert (first.method, first.positional[0]) == ("evaluated", "validate")


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
