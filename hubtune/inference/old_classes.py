"""What a model that goes on from another one has forgotten: both, on the lists of the earlier run."""

from dataclasses import asdict, dataclass
from typing import Any

from hubtune.data.dataset import BaseCVDataset
from hubtune.inference.model import Model


@dataclass(frozen=True)
class OldClasses:
    """Accuracy on a list of the earlier run.

    Attributes:
        list: the list's name, ``test`` or ``validate``.
        count: readable images in it.
        before, now: images that the earlier model and the new one classify correctly.
    """

    list: str
    count: int
    before: int
    now: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure_old_classes(
    dataset: BaseCVDataset, before: Model, now: Model, *, batch_size: int = 32
) -> OldClasses | None:
    """Measure both models on the test list of the earlier run, or on its validation list.

    An image counts as correct if the label is its class, whatever other classes a model has. Returns ``None``
    if there is no list whose images can be read.
    """
    for name in ("test", "validate"):
        examples = dataset.examples(name)
        paths = [entry.path for entry in examples]
        truth = [dataset.label_list[entry.label] for entry in examples]
        rows = [[*model.predict(paths, batch_size=batch_size)] for model in (before, now)]
        readable = [place for place, row in enumerate(rows[0]) if row.error is None]
        if readable:
            right = [sum(own[place].label == truth[place] for place in readable) for own in rows]
            return OldClasses(name, len(readable), *right)
    return None
