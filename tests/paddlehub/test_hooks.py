"""Hooks are added, changed and removed by name, and called with the task unless they are methods."""

import pytest

from hubtune.errors import UsageError
from hubtune.paddlehub.hooks import EVENTS, TaskHooks


def test_functions_are_called_in_order_and_can_be_changed():
    calls, hooks = [], TaskHooks()

    def first(task, run_states):
        calls.append(("first", task, run_states))

    class Own:
        def second(self, run_states):
            calls.append(("second", run_states))

    hooks.add("log_interval_event", "first", first)
    hooks.add("log_interval_event", func=Own().second)
    hooks.fire("log_interval_event", "task", [1])
    assert calls == [("first", "task", [1]), ("second", [1])]
    hooks.modify("log_interval_event", "first", lambda task, states: calls.append("changed"))
    [name] = [name for name in hooks["log_interval_event"] if name != "first"]
    hooks.delete("log_interval_event", name)
    calls.clear()
    hooks.fire("log_interval_event", "task", [])
    assert calls == ["changed"]
    assert hooks.info() == repr(hooks) == "hook_type: log_interval_event, name: first"
    hooks.delete("log_interval_event", "first")
    assert hooks.info().startswith("No hooks were added")
    assert set(EVENTS) >= {"finetune_start_event", "eval_end_event", "run_step_event"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda hooks: hooks.add("log_event", "x", print),
            "There is no event 'log_event': it may be build_env",
        ),
        (lambda hooks: hooks.add("eval_start_event", "x"), "Give the hook's function, func=…, not None"),
        (lambda hooks: hooks.add("eval_start_event", "x", lambda: 0), r"has the parameters \(task\), not 0"),
        (
            lambda hooks: hooks.add("eval_end_event", "own", lambda task, states: 0),
            "There is a hook 'own' of eval_end",
        ),
        (lambda hooks: hooks.delete("eval_end_event", "x"), "eval_end_event has no hook 'x': hooks_info"),
        (lambda hooks: hooks.modify("eval_end_event", "own", 5), "Give the hook's function, func=…, not 5"),
        (lambda hooks: hooks["nothing"], "There is no event 'nothing'"),
    ],
)
def test_wrong_hooks_are_refused(call, message):
    hooks = TaskHooks()
    hooks.add("eval_end_event", "own", lambda task, states: 0)
    with pytest.raises(UsageError, match=message):
        call(hooks)
