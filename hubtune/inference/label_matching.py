"""The classes of data in the order of a model's classes."""

from collections.abc import Sequence

from hubtune.data.label_sets import LabelSets
from hubtune.errors import ModelError
from hubtune.text import escaped


def match_labels(model: Sequence[str], data: Sequence[str], *, remap_by_name: bool) -> list[int]:
    """Return the number in the model of each class of the data, given the class names of both.

    With ``remap_by_name``, the data's may be in another order.

    Raises:
        ModelError: the classes differ, or are in another order without ``remap_by_name``.
    """
    if list(model) == list(data):
        return list(range(len(model)))
    added = [name for name in data if name not in set(model)]
    removed = [name for name in model if name not in set(data)]
    if added or removed:
        parts = [("only in the data", added), ("only in the model", removed)]
        differences = "; ".join(f"{what}: {', '.join(names[:10])}" for what, names in parts if names)
        raise ModelError(
            f"The model's {len(model)} classes are not the data's {len(data)} ({differences}): "
            "use data with the model's classes, or fine-tune a new model"
        )
    if not remap_by_name:
        moved = next(name for name, other in zip(data, model, strict=True) if name != other)
        raise ModelError(
            f"The data's classes are the model's in another order (first: '{escaped(moved)}'): "
            "add --remap-by-name to match them by name"
        )
    numbers = {name: number for number, name in enumerate(model)}
    return [numbers[name] for name in data]


def check_multi_label(multi_label: bool, sets: LabelSets | None) -> None:
    """Check that a model and data are both multi-label, or both of one class a picture.

    Raises:
        ModelError: they differ.
    """
    if multi_label and sets is None:
        raise ModelError(
            "The model is multi-label, and the data has one class a picture: use lists with labels such as "
            "0,1,0, or add --labels-are multi-label"
        )
    if not multi_label and sets is not None:
        raise ModelError(
            "The data is multi-label, and the model has one class a picture: use data with one class a "
            "picture, or fine-tune a new model"
        )
