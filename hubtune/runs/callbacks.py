"""Callbacks: methods that a run calls to report its progress."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hubtune.evaluation.metrics import Metrics


class Callback:
    """Receives the events of a run; every method may be overridden, none has to be.

    A run calls the methods between its own work, so their time adds to its own. It ignores what they return:
    a run ends with the same weights with and without a callback.

    What a method raises is not caught: it ends the run, and comes out of ``finetune_and_eval`` as it is.
    Checkpoints and the best model that were saved before stay, so that the run can be resumed.
    ``hubtune.runs.signals.StopRequested``, raised in :meth:`stepped`, requests a stop: the run saves a
    checkpoint and ends with ``StoppedError``, as after Ctrl-C.

    Example:
        >>> class Losses(Callback):
        ...     def stepped(self, step, total, *, loss, accuracy, rate):
        ...         print(f"{step} of {total}: {loss}")
        >>> task.finetune_and_eval(callback=Losses())
    """

    def opened(self, run: Path) -> None:
        """The run begins or is resumed; its folder exists, and is locked by this process.

        Called once, before all other methods but :meth:`notice`; not for a run that had finished already.
        """

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A part of the run begins: ``total`` images, of which ``done`` are done."""

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        """Images are done; while training, with the mean loss and accuracy since the latest log line."""

    def stepped(
        self, step: int, total: int, *, loss: float | None, accuracy: float | None, rate: float
    ) -> None:
        """A training step was made; no step is left out. Strategy ``frozen`` has no steps.

        A resumed run continues after the step of its newest checkpoint. Steps that a killed process had made
        after that are repeated, with the same results.

        Args:
            step: number of the step, from 1; in a resumed run, steps of earlier processes count.
            total: steps of the whole run.
            loss: mean over the step's own batch, before the step; always finite. ``None`` if no image of the
                batch can be read.
            accuracy: share of the batch that was classified correctly before the step; ``None`` likewise.
            rate: learning rate of the step, before any factor of the strategy's rules.
        """

    def evaluating(self, name: str, *, step: int) -> None:
        """The model of a step is about to be measured on a list, ``validate`` or ``test``.

        :meth:`evaluated` follows, unless the list is empty or none of its images can be read.
        """

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        """The model was measured on a list.

        Args:
            name: ``validate``, after the :meth:`stepped` of the same step; or ``test``, at the end, for the
                best model.
            metrics: the figures; at least one image is counted.
            step: the model's step; 0 for a head that was solved in closed form.
            best: whether no earlier validation was as good; always ``False`` for ``test``.
        """

    def saved(self, checkpoint: Path, *, step: int) -> None:
        """A checkpoint was saved, from which the run can be resumed.

        Args:
            checkpoint: its folder; a later checkpoint may replace it.
            step: number of the step that it was saved after.
        """

    def notice(self, text: str) -> None:
        """A message for people; also called from a signal handler, at any moment."""

    def finished(self, result: Mapping[str, Any]) -> None:
        """The run is finished, and all of its files are written; not called for a stopped run.

        Args:
            result: the content of ``result.json``.
        """


class CallbackList(Callback):
    """Several callbacks as one; each receives every event, in order.

    An exception in one of them ends the run, and the ones after it do not receive that event any more. A
    callback that may request a stop therefore belongs at the end.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        """Join callbacks, in the order in which they are called."""
        for event in vars(Callback):
            if not event.startswith("_"):
                setattr(self, event, partial(_call_each, [getattr(each, event) for each in callbacks]))


def _call_each(methods: Sequence[Callable[..., None]], *arguments: Any, **figures: Any) -> None:
    for method in methods:
        method(*arguments, **figures)
