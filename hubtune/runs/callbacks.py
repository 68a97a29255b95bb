"""What a run tells whoever is watching: the callbacks of a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubtune.evaluation.metrics import Metrics


class Callback:
    """Watches a run; every method may be overridden, none has to be.

    A run calls the methods between its own work, so the time they take is added to its own. It goes by no
    answer of theirs: a watched run ends with the same weights as one that is not.

    What a method raises is never swallowed: it ends the run, and comes out of ``finetune_and_eval`` as it
    is. Checkpoints and the best model that were saved before stay, so that the run can be resumed.
    ``hubtune.runs.signals.StopRequested``, raised in :meth:`stepped`, is no error but a wish: the run
    saves a checkpoint and ends with ``StoppedError``, as after Ctrl-C.

    Example:
        >>> class Losses(Callback):
        ...     def stepped(self, step, total, *, loss, accuracy, rate):
        ...         print(f"{step} of {total}: {loss}")
        >>> task.finetune_and_eval(observer=Losses())
    """

    def opened(self, run: Path) -> None:
        """The run begins, or goes on: its folder is there, and is this process's alone.

        Called once, before all other methods but :meth:`notice`; not for a run that had finished already.
        """

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A part of the run begins: ``total`` pictures are ahead, of which ``done`` are done."""

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        """Pictures are done; while training, with the mean loss and accuracy since the latest log line."""

    def stepped(
        self, step: int, total: int, *, loss: float | None, accuracy: float | None, rate: float
    ) -> None:
        """A training step was made; no step is left out. Strategy ``frozen`` has none.

        A run that is resumed goes on after the step of its newest checkpoint. Steps that a killed process
        had made after that are made once more, and come out the same.

        Args:
            step: how many have been made, from 1; in a resumed run, those of earlier processes included.
            total: steps of the whole run.
            loss: what was minimised, as its mean over the step's own batch, before the step; always finite;
                ``None`` where none of the pictures can be read.
            accuracy: share of the batch that was right before the step; ``None`` likewise.
            rate: the learning rate of the step, before any factor of the strategy's rules.
        """

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        """The model of a step was measured on a list.

        Args:
            name: ``validate``, after the :meth:`stepped` of the same step; or ``test``, at the end, for the
                best model.
            metrics: the figures; at least one picture is counted.
            step: the model's; 0 for a head that was solved, under ``frozen`` and ``last_stage``.
            best: whether no earlier validation was as good; never so for ``test``.
        """

    def notice(self, text: str) -> None:
        """Something that a person should read; also called from the handler of a signal, at any moment."""

    def finished(self, result: Mapping[str, Any]) -> None:
        """The run is done, and all of its files are written; not called for one that was stopped.

        Args:
            result: what ``result.json`` has.
        """


class CallbackList(Callback):
    """Several observers as one: each is told everything, in order.

    What one of them raises ends the run; those behind it are not told of that event any more. One that may
    ask for a stop therefore belongs at the end.
    """

    def __init__(self, observers: Sequence[Callback]) -> None:
        """Join observers.

        Args:
            observers: who is told, in this order.
        """
        self._observers = tuple(observers)

    def opened(self, run: Path) -> None:
        for observer in self._observers:
            observer.opened(run)

    def start(self, what: str, total: int, done: int = 0) -> None:
        for observer in self._observers:
            observer.start(what, total, done)

    def advance(self, images: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        for observer in self._observers:
            observer.advance(images, loss=loss, accuracy=accuracy)

    def stepped(
        self, step: int, total: int, *, loss: float | None, accuracy: float | None, rate: float
    ) -> None:
        for observer in self._observers:
            observer.stepped(step, total, loss=loss, accuracy=accuracy, rate=rate)

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        for observer in self._observers:
            observer.evaluated(name, metrics, step=step, best=best)

    def notice(self, text: str) -> None:
        for observer in self._observers:
            observer.notice(text)

    def finished(self, result: Mapping[str, Any]) -> None:
        for observer in self._observers:
            observer.finished(result)
