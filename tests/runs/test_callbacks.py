"""Callbacks are called for everything that a run does, in order, and their errors end the run."""

import json
import math

import pytest
from support.callbacks import METHODS, AtStep, Call, Recorder, raise_error, request_stop
from support.split_folder import draw_split
from support.tiny_task import smallnet, tiny_task

from hubtune.errors import StoppedError
from hubtune.runs.callbacks import CallbackList


@pytest.fixture
def task(tmp_path):
    """Six steps of four images; evaluations after steps 2, 3, 4 and 6."""
    data = draw_split(tmp_path, {"a": 10, "b": 10}, validate=2, test=2)
    options = {"batch_size": 4, "eval_interval": 2, "learning_rate": 1e-3, "strategy": "scratch"}
    return tiny_task(smallnet(), data, tmp_path / "run", **options)


def _order(recorder):
    """The steps, and the evaluations as list and step."""
    return [
        call.positional[0] if call.method == "stepped" else f"{call.positional[0]} {call.named['step']}"
        for call in recorder.calls
        if call.method in ("stepped", "evaluated")
    ]


def test_a_run_reports_each_step_each_evaluation_and_its_end(task):
    recorder, second = Recorder(), Recorder()
    run = task.finetune_and_eval(callback=CallbackList([recorder, second]))
    assert recorder.calls == second.calls
    assert {call.method for call in recorder.calls} == {*METHODS} - {"notice"}
    assert recorder.calls[0] == Call("opened", (run.path,))
    assert recorder.calls[-1] == Call("finished", (json.loads((run.path / "result.json").read_text()),))
    steps = [1, 2, "validate 2", 3, "validate 3", 4, "validate 4", 5, 6, "validate 6"]
    assert _order(recorder) == [*steps, f"test {run.best_step}"]
    measured = [(call.positional[0], call.named["step"]) for call in recorder.of("evaluated")]
    assert [(call.positional[0], call.named["step"]) for call in recorder.of("evaluating")] == measured
    assert [call.named["step"] for call in recorder.of("saved")] == [3, 6]
    assert recorder.of("saved")[-1].positional == (run.path / "checkpoints" / "step-6",)
    assert all(call.positional[1] == 6 for call in recorder.of("stepped"))
    figures = [call.named for call in recorder.of("stepped")]
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


@pytest.mark.slow
def test_a_callback_may_end_the_run_which_can_be_resumed(task, tmp_path):
    task.config = task.config.model_copy(update={"save_ckpt_interval": 1})
    first, last = Recorder(), Recorder()
    broken = AtStep(3, raise_error(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        task.finetune_and_eval(callback=CallbackList([first, broken, last]))
    assert (len(first.of("stepped")), len(last.of("stepped"))) == (3, 2)
    # The step whose callback failed had not been saved yet.
    with pytest.raises(StoppedError, match="Stopped after step 3 of 6; everything is saved") as stopped:
        task.finetune_and_eval(resume=True, callback=AtStep(3, request_stop))
    assert stopped.value.run == tmp_path / "run"
    assert not (tmp_path / "run" / "result.json").exists()
    recorder = Recorder()
    task.finetune_and_eval(resume=True, callback=recorder)
    # Step 3 ended an epoch: its evaluation is made up for first.
    assert _order(recorder)[:4] == ["validate 3", 4, "validate 4", 5]
