"""Hooks: functions of a script that a task calls at the events of PaddleHub."""

import inspect
from collections.abc import Callable
from typing import Any

from hubtune.errors import UsageError, suggest
from hubtune.paddlehub.absent import PaddleHubObject

EVENTS = {
    "build_env_start_event": 1,
    "build_env_end_event": 1,
    "finetune_start_event": 1,
    "finetune_end_event": 2,
    "predict_start_event": 1,
    "predict_end_event": 2,
    "eval_start_event": 1,
    "eval_end_event": 2,
    "log_interval_event": 2,
    "save_ckpt_interval_event": 1,
    "eval_interval_event": 1,
    "run_step_event": 2,
}
"""Event → number of parameters of its functions, the task among them."""

DEFAULT = "default"
"""Name of the task's own function of each event."""


class TaskHooks(PaddleHubObject):
    """The functions of each event, by name, in the order of calls."""

    def __init__(self) -> None:
        self._registered_hooks: dict[str, dict[str, Callable[..., Any]]] = {event: {} for event in EVENTS}

    def add(self, hook_type: str, name: str | None = None, func: Callable[..., Any] | None = None) -> None:
        """Add a function to an event.

        Raises:
            UsageError: if there is no such event, the name is taken, or the function has other parameters.
        """
        self._check_event(hook_type)
        if func is None or not callable(func):
            raise UsageError(f"Give the hook's function, func=…, not {func!r}")
        name = name or f"hook_{id(func)}"
        if self.exist(hook_type, name):
            raise UsageError(f"There is a hook {name!r} of {hook_type} already: modify_hook changes it")
        count, wanted = len(inspect.getfullargspec(func).args), EVENTS[hook_type]
        if count != wanted:
            names = ("task", "run_states")[:wanted]
            raise UsageError(f"A hook of {hook_type} has the parameters ({', '.join(names)}), not {count}")
        self._registered_hooks[hook_type][name] = func

    def delete(self, hook_type: str, name: str) -> None:
        """Remove a function; raises UsageError if there is none."""
        self._check_exists(hook_type, name)
        del self._registered_hooks[hook_type][name]

    def modify(self, hook_type: str, name: str, func: Callable[..., Any]) -> None:
        """Replace a function; raises UsageError if there is none, or the new one cannot be called."""
        self._check_exists(hook_type, name)
        if not callable(func):
            raise UsageError(f"Give the hook's function, func=…, not {func!r}")
        self._registered_hooks[hook_type][name] = func

    def exist(self, hook_type: str, name: str) -> bool:
        """Return whether an event has a function of this name."""
        return name in self._registered_hooks.get(hook_type, {})

    def info(self, show_default: bool = False) -> str:
        """Return the names of the functions of each event."""
        lines = [
            f"hook_type: {event}, name: {name}"
            for event, functions in self._registered_hooks.items()
            for name in functions
            if show_default or name != DEFAULT
        ]
        return "\n".join(lines) or "No hooks were added; show_default=True shows those of the task"

    def __getitem__(self, hook_type: str) -> dict[str, Callable[..., Any]]:
        self._check_event(hook_type)
        return self._registered_hooks[hook_type]

    def __repr__(self) -> str:
        return self.info()

    def fire(self, hook_type: str, task: Any, *arguments: Any) -> None:
        """Call the functions of an event; methods without the task, as in PaddleHub."""
        for function in [*self._registered_hooks[hook_type].values()]:
            leading = () if inspect.ismethod(function) else (task,)
            function(*leading, *arguments)

    def _check_event(self, hook_type: str) -> None:
        if hook_type not in EVENTS:
            raise UsageError(
                f"There is no event {hook_type!r}: it may be {', '.join(EVENTS)}.{suggest(hook_type, EVENTS)}"
            )

    def _check_exists(self, hook_type: str, name: str) -> None:
        self._check_event(hook_type)
        if not self.exist(hook_type, name):
            raise UsageError(f"{hook_type} has no hook {name!r}: hooks_info() lists them")
