"""A task's phases and the names of its own hooks are PaddleHub's."""

import pytest

import hubtune.paddlehub as hub
from hubtune.errors import UsageError
from hubtune.paddlehub.base_task import BaseTask


def test_a_task_is_in_a_phase():
    task = BaseTask()
    assert (task.phase, task.is_train_phase, task.best_score, task.current_step) == ("train", True, -999, 0)
    with task.phase_guard("val"):
        assert (task.phase, task.is_test_phase) == ("dev", True)
        with pytest.raises(ZeroDivisionError), task.phase_guard("inference"):
            assert task.is_predict_phase
            1 / 0  # noqa: B018
        assert task.phase == "dev"
    task.enter_phase("test")
    task.exit_phase()
    assert task.phase == "train"
    with pytest.raises(UsageError, match="There is no phase 'no': it may be train, dev, val, test, predict"):
        task.enter_phase("no")


def test_a_tasks_own_hooks_write_its_lines_and_can_be_replaced(told):
    class Own(BaseTask):
        def _default_finetune_end_event(self, run_states):
            hub.logger.info("mine")

    task = Own()
    task.hooks.fire("finetune_start_event", task)
    task.hooks.fire("finetune_end_event", task, [])
    task.delete_hook("finetune_start_event", "default")
    task.modify_hook("finetune_end_event", "default", lambda task, states: hub.logger.info("other"))
    task.add_hook(hook_type="predict_end_event", name="seen", func=lambda task, states: None)
    task.hooks.fire("finetune_start_event", task)
    task.hooks.fire("finetune_end_event", task, [])
    assert told.messages == [
        *("PaddleHub finetune start", "mine", "Delete hook finetune_start_event:default successfully"),
        "Modify hook finetune_end_event:default successfully",
        *("Add hook predict_end_event:seen successfully", "other"),
    ]
    assert task.hooks_info() == "hook_type: predict_end_event, name: seen"
    assert "eval_end_event, name: default" in task.hooks_info(show_default=True)


def test_events_that_a_script_defines_anew_are_called(told):
    class Own(BaseTask):
        def _eval_end_event(self, run_states):
            hub.logger.info(f"before {run_states}")
            super()._eval_end_event(run_states)

        def _default_eval_end_event(self, run_states):
            hub.logger.info("default")

        def _finetune_start_event(self):
            hub.logger.info("mine only")

    task = Own()
    task.hooks.add("eval_end_event", "own", lambda task, states: hub.logger.info(f"hook {states}"))
    task.fire("eval_end_event", [1])
    task.fire("finetune_start_event")
    assert told.messages == ["before [1]", "default", "hook [1]", "mine only"]
