"""What a run tells whoever is watching; the command line draws its progress bar from it."""

from hubtune.evaluate import Metrics


class Observer:
    """Watches a run; every method may be overridden, none has to be."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A part of the run begins: ``total`` pictures are ahead, of which ``done`` are done."""

    def advance(self, pictures: int, *, loss: float | None = None, accuracy: float | None = None) -> None:
        """Pictures are done; while training, with the recent mean loss and accuracy."""

    def evaluated(self, name: str, metrics: Metrics, *, step: int, best: bool) -> None:
        """The model of a step was measured on a list; ``best`` if no earlier validation was as good."""

    def notice(self, text: str) -> None:
        """Something that a person should read."""
