"""Changes a model's classes without training: other names, several classes as one, fewer classes."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from hubtune.errors import ModelError, UsageError, suggest
from hubtune.hub.file_names import MODEL_FILE, WEIGHTS_FILE
from hubtune.hub.model_card import ModelCard, card_in
from hubtune.hub.starting_model import find_model
from hubtune.inference.reference import REFERENCE_FILE, Reference, read_reference
from hubtune.models.backbone import Tensors
from hubtune.runs.bucket_model import local_model
from hubtune.storage.checked_folder import MANIFEST, open_checked, write_checked
from hubtune.storage.new_folder import check_no_model
from hubtune.storage.regular_file import read_json
from hubtune.storage.safe_load import read_weights
from hubtune.text import escaped

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ClassEdit:
    """What becomes of classes.

    Attributes:
        rename: class → its new name.
        merge: class → the name of the class that it becomes a part of.
        drop: classes that the model loses.
    """

    rename: Mapping[str, str]
    merge: Mapping[str, str]
    drop: Sequence[str]

    def new_name(self, name: str) -> str | None:
        """Return what a class is called afterwards; ``None`` if it is dropped."""
        return None if name in self.drop else self.merge.get(name, self.rename.get(name, name))

    def outputs(self, card: ModelCard) -> dict[str, list[int]]:
        """Return class → the outputs of the network that it adds up, after the change.

        Raises:
            UsageError: as :func:`edit_model`.
        """
        self._check(card.labels)
        result: dict[str, list[int]] = {}
        for name, group in zip(card.labels, card.outputs, strict=True):
            new = self.new_name(name)
            if new in result and new not in self.merge.values():
                raise UsageError(
                    f"Two classes would be called '{escaped(new)}': to make them one, merge them"
                )
            if new is not None:
                result.setdefault(new, []).extend(group)
        if len(result) < 2:
            raise UsageError("Fewer than two classes would be left: a classifier needs two")
        return result

    def _check(self, labels: Sequence[str]) -> None:
        if isinstance(self.drop, str):
            raise UsageError(f"Give drop a list of classes, even for one: [{self.drop!r}]")
        given = [*self.rename, *self.merge, *self.drop]
        for name in given:
            if name not in labels:
                raise UsageError(
                    f"The model has no class '{escaped(str(name))}'.{suggest(str(name), labels)}"
                )
        for name in (*self.rename.values(), *self.merge.values()):
            # Label files have one name a line.
            if not isinstance(name, str) or not name.strip() or len(name.splitlines()) > 1:
                raise UsageError(f"{name!r} cannot be the name of a class: give one line of text")
        for name in labels:
            if given.count(name) > 1:
                raise UsageError(f"Class '{escaped(name)}' is named twice: rename, merge or drop it")


def edit_model(
    model: StrPath,
    folder: StrPath,
    *,
    rename: Mapping[str, str] | None = None,
    merge: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
) -> ModelCard:
    """Write a model with other classes; nothing is trained.

    The score of a merged class is the sum of those of its parts, in each view. Without some classes, the
    scores of the others grow in proportion, until they add up to 1. Labels of a multi-label model can be
    renamed and dropped; the scores of the others do not change.

    Args:
        model: a run, or a model folder, or the address of one in a bucket; it is not changed.
        folder: the model folder to write; it must be missing or empty.
        rename: class → its new name.
        merge: class → name of the class that it becomes a part of, which may be new or that of a part.
        drop: classes to remove.

    Returns:
        The description of the new model.

    Raises:
        UsageError: there is no such class, a class is in two places, two classes would have one name, fewer
            than two would be left, or the folder is not empty.
        ModelError: there is no model, it is damaged, or its classes cannot be merged.
        MachineError: the folder cannot be written.

    Example:
        >>> edit_model("runs/pets", "models/pets", merge={"cat": "pet", "dog": "pet"})  # doctest: +SKIP
    """
    found = find_model(local_model(os.fspath(model)))
    if found is None:
        raise ModelError(f"There is no model in {model}: name a run that has one, or a model folder")
    target = Path(folder)
    check_no_model(target)
    source = open_checked(found, WEIGHTS_FILE, MODEL_FILE)
    card = card_in(source)
    edit = ClassEdit(rename or {}, merge or {}, drop)
    outputs = edit.outputs(card)
    labels, groups = [*outputs], [*outputs.values()]
    selected = sorted(output for group in groups for output in group)
    renumbered = {output: number for number, output in enumerate(selected)}
    groups = [[renumbered[output] for output in group] for group in groups]
    merged = [] if groups == [[number] for number in range(len(selected))] else groups
    if merged and card.multi_label:
        raise ModelError(
            f"{model} is multi-label, and the probabilities of its labels do not add up: rename or drop them"
        )
    if merged and card.engine is not None:
        raise ModelError(f"{model} predicts in int8, where classes cannot be merged: fine-tune it again")
    changed = len(labels) != len(card.labels)
    thresholds = [card.thresholds[group[0]] for group in outputs.values()] if card.multi_label else []
    metrics = {} if changed else card.metrics
    new = card.model_copy(
        update={"labels": labels, "merged": merged, "metrics": metrics, "thresholds": thresholds}
    )
    new = ModelCard.model_validate(new.model_dump())
    files = {
        name: (source / name).read_bytes()
        for name in read_json(source / MANIFEST)
        # Its README describes the earlier classes.
        if name not in (MODEL_FILE, WEIGHTS_FILE, REFERENCE_FILE) and not name.endswith(".md")
    }
    files[WEIGHTS_FILE] = save(_select_outputs(read_weights(source / WEIGHTS_FILE), card, selected))
    files[MODEL_FILE] = (json.dumps(new.as_dict(), indent=1) + "\n").encode()
    if card.similarity_threshold is not None:
        reference = source / REFERENCE_FILE
        # That of a multi-label model names no labels.
        files[REFERENCE_FILE] = (
            reference.read_bytes() if card.multi_label else _edit_reference(reference, card, edit, labels)
        )
    write_checked(target, files)
    return new


def _select_outputs(tensors: Tensors, card: ModelCard, selected: Sequence[int]) -> dict[str, np.ndarray]:
    """Return a model's tensors with some outputs of its last layer only."""
    last = f"head.{2 * len(card.hidden_units)}."
    return {
        name: np.ascontiguousarray(values[..., [*selected]]) if name.startswith(last) else values
        for name, values in tensors.items()
    }


def _edit_reference(file: Path, card: ModelCard, edit: ClassEdit, labels: Sequence[str]) -> bytes:
    """Return the features of training images of the classes that are left, with their new numbers."""
    old = read_reference(file, len(card.labels))
    numbers = {name: number for number, name in enumerate(labels)}
    number_of = [numbers.get(edit.new_name(name) or "", -1) for name in card.labels]
    new = np.array(number_of)[old.labels]
    left = np.flatnonzero(new >= 0)
    if not len(left):  # there are too few images for one of each class
        left, new = np.arange(len(new)), np.maximum(new, 0)
    return Reference(old.features[left], new[left], [old.names[place] for place in left]).encode()
