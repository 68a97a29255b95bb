"""Hooks of a task are called while it is trained, with the states of PaddleHub; curves have its tags."""

import pytest
from support.paddlehub_task import make_config, make_task
from support.split_folder import draw_split

import hubtune.paddlehub as hub
from hubtune.paddlehub.run_events import curve_writers


def test_hooks_are_called_at_their_steps_in_their_phases(tmp_path):
    data = draw_split(tmp_path / "data", {"a": 16, "b": 16})
    config = make_config(num_epoch=2, batch_size=8, eval_interval=4, log_interval=2, save_ckpt_interval=3)
    task, calls = make_task(hub.Module("digitnet"), data, config=config), []

    def record(event, is_last=False):
        def call(task, states=None):
            figures = () if states is None else (len(states),)
            calls.append((event, task.current_step, task.phase, *figures))

        return (lambda task, states: call(task, states)) if is_last else (lambda task: call(task))

    for event in (
        "eval_start_event",
        "eval_interval_event",
        "save_ckpt_interval_event",
        "finetune_start_event",
    ):
        task.add_hook(event, "own", record(event))
    for event in ("log_interval_event", "eval_end_event", "finetune_end_event", "predict_end_event"):
        task.add_hook(event, "own", record(event, is_last=True))
    steps = []
    task.add_hook("run_step_event", "own", lambda task, state: steps.append(state.run_examples))
    task.finetune_and_eval()
    task.predict([data / "pics/a/000.png"])
    assert steps == [8, 8, 8, 8]
    assert calls == [
        ("finetune_start_event", 0, "train"),
        ("log_interval_event", 2, "train", 2),
        ("save_ckpt_interval_event", 3, "train"),
        ("log_interval_event", 4, "train", 2),
        ("eval_interval_event", 4, "train"),
        ("eval_start_event", 4, "dev"),
        ("eval_end_event", 4, "dev", 1),
        ("eval_start_event", 4, "test"),
        ("eval_end_event", 4, "test", 1),
        ("finetune_end_event", 4, "train", 2),
        ("predict_end_event", 4, "predict", 1),
    ]
    assert task.phase == "train"


def test_lists_that_a_data_set_has_not_are_no_events(tmp_path, told):
    data, calls = draw_split(tmp_path / "data", {"a": 8, "b": 8}), []
    (data / "empty.txt").touch()
    dataset = hub.BaseCVDataset(
        data, "train_list.txt", test_list_file="empty.txt", label_list_file="label_list.txt"
    )
    task = make_task(hub.Module("digitnet"), data, dataset=dataset, config=make_config(num_epoch=1))
    for event in ("eval_interval_event", "eval_start_event"):
        task.add_hook(event, "own", lambda task: calls.append(task.phase))
    task.finetune_and_eval()
    assert calls == []
    assert not [line for line in told.messages if line.startswith("Evaluation on ")]


def test_curves_have_paddlehubs_tags():
    pytest.importorskip("tensorboardX")
    [writer] = curve_writers()
    tags = {writer._tag_of(name, "loss") for name in ("train", "validate", "test")}
    assert tags == {"Loss_train", "Loss_dev", "Loss_test"}
    assert writer._tag_of("validate", "accuracy") == "acc_dev"
