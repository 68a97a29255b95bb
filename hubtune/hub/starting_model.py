"""Fine-tuned models as modules: training goes on from their network and, where classes agree, their head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.hub.file_names import BEST_MODEL, CODE_FILE, MODEL_FILE, WEIGHTS_FILE
from hubtune.hub.model_card import ModelCard, card_in
from hubtune.hub.module_code import load_recorded_backbone
from hubtune.hub.user_code import UserCode
from hubtune.models.backbone import Backbone, Tensors
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.models.taps import Tap
from hubtune.storage.checked_folder import find_checked, open_checked

_BACKBONE, _HEAD = "backbone.", "head."


@dataclass(frozen=True)
class TrainedHead:
    """The head of a fine-tuned model.

    Attributes:
        labels: class names.
        outputs: for each class, the outputs that it adds up, of which training goes on from the first.
        hidden_units: widths of its hidden layers.
        taps: places of second-order features that it gets beside the pooled ones.
        tensors: its weights and biases, by their names in the model.
    """

    labels: tuple[str, ...]
    outputs: Sequence[Sequence[int]]
    hidden_units: tuple[int, ...]
    taps: tuple[Tap, ...]
    tensors: Tensors

    def copy_to(self, classifier: Classifier, labels: Sequence[str]) -> list[str]:
        """Give a classifier's head the values of this one, of the last layer those of classes of equal names.

        The classifier gets the second-order features that the head needs. Returns the names of these classes.
        """
        if self.taps:
            classifier.take_second_order(self.taps)
        number_of = {name: outputs[0] for name, outputs in zip(self.labels, self.outputs, strict=True)}
        common = [(place, number_of[name]) for place, name in enumerate(labels) if name in number_of]
        last = f"{_HEAD}{2 * len(self.hidden_units)}."
        for name, tensor in classifier.state().items():
            if not name.startswith(_HEAD):
                continue
            values = self.tensors[name]
            if name.startswith(last):
                own, places = tensor.numpy(), [place for place, _ in common]
                own[..., places] = values[..., [number for _, number in common]]
                values = own
            tensor.set_value(values.astype(np.float32))
        return [labels[place] for place, _ in common]


@dataclass(frozen=True)
class StartingModel:
    """A checked model folder, before its weights are read.

    Attributes:
        preprocessing: how an image becomes the network's input, before a strategy chose other views.
        code: the files that define the architecture, if it is not hubtune's own.
    """

    folder: Path
    card: ModelCard
    backbone: Backbone
    preprocessing: Preprocessing
    code: UserCode | None

    @property
    def weights_file(self) -> Path:
        return self.folder / WEIGHTS_FILE

    def head(self, tensors: Tensors) -> TrainedHead:
        """Return the head, from the tensors of :attr:`weights_file`."""
        card = self.card
        own = {name: values for name, values in tensors.items() if name.startswith(_HEAD)}
        return TrainedHead(tuple(card.labels), card.outputs, tuple(card.hidden_units), tuple(card.taps), own)


def backbone_tensors(tensors: Tensors) -> Tensors:
    """Return the tensors of a model's backbone under the names of the backbone alone."""
    return {
        name.removeprefix(_BACKBONE): values for name, values in tensors.items() if name.startswith(_BACKBONE)
    }


def find_model(folder: Path) -> Path | None:
    """Return the folder of a fine-tuned model: this one, or the best model of the run that it is."""
    for candidate in (folder, folder / BEST_MODEL):
        if (found := find_checked(candidate) / MODEL_FILE).is_file():
            return found.parent
    return None


def read_starting_model(folder: Path, *, trust_code: bool) -> StartingModel:
    """Read the description of a model folder, as of :func:`find_model`, to go on from it.

    Raises:
        ModelError: it is damaged, its code may not run, or it takes grey images or four channels.
    """
    complete = open_checked(folder, WEIGHTS_FILE, MODEL_FILE)
    card = card_in(complete)
    if card.preprocessing.channels != 3:
        raise ModelError(
            f"{folder} takes pictures of {card.preprocessing.channels} channels, and training goes on from "
            f"models of 3 only: start from its module, {card.module}, with data.channels"
        )
    code = None
    if card.architecture == CODE_FILE:
        backbone, code = load_recorded_backbone(folder, trust_code=trust_code)
    else:
        backbone = find(card.architecture).backbone
    return StartingModel(complete, card, backbone, _own_preprocessing(card, backbone), code)


def _own_preprocessing(card: ModelCard, backbone: Backbone) -> Preprocessing:
    """Return the preprocessing without the views that a strategy chose, from which it would choose again."""
    view = card.preprocessing
    if view.fit != "whole":
        return view.model_copy(update={"bits": Preprocessing(size=view.size).bits, "mirror": False})
    geometry = {"fit": "crop", "size": backbone.input_size, "resize": backbone.resize}
    colours = view.model_dump(include={"interpolation", "antialias", "mean", "std"})
    return Preprocessing.model_validate({**geometry, **colours})
