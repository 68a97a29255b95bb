"""Model folders: a fine-tuned classifier with everything that prediction needs, and without code."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from safetensors.numpy import save

from hubtune.errors import ModelError
from hubtune.hub.file_names import CODE_FILE, MODEL_FILE, WEIGHTS_FILE
from hubtune.hub.model_card import ModelCard, card_in
from hubtune.hub.module_code import load_recorded_backbone
from hubtune.hub.weights import load_into
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.storage.checked_folder import open_checked, write_checked
from hubtune.storage.safe_load import read_weights


def write_model(
    folder: Path, classifier: Classifier, card: ModelCard, further: Mapping[str, bytes] | None = None
) -> None:
    """Write a model folder, or replace it; ``further`` files are its ``module.py`` and others by name.

    Raises:
        MachineError: the folder cannot be written.
    """
    tensors = {name: tensor.numpy() for name, tensor in classifier.state().items()}
    # json writes class names that are not valid UTF-8 as escapes; pydantic's own writer refuses them.
    text = json.dumps(card.as_dict(), indent=1) + "\n"
    write_checked(folder, {WEIGHTS_FILE: save(tensors), MODEL_FILE: text.encode(), **(further or {})})


def read_model(folder: Path, *, trust_code: bool = False) -> tuple[Classifier, ModelCard]:
    """Read a model folder; ``trust_code`` lets the code of a user's own architecture run.

    Raises:
        ModelError: the folder is not a model, is damaged, has weights that do not fit its description, or has
            code that may not run.
    """
    # Opened once, as opening computes the SHA-256 of all files.
    complete = open_checked(folder, WEIGHTS_FILE, MODEL_FILE)
    card = card_in(complete)
    return read_network(complete, card, trust_code=trust_code), card


def read_network(folder: Path, card: ModelCard, *, trust_code: bool = False) -> Classifier:
    """Read the network of a model folder that was checked; arguments and errors as in :func:`read_model`."""
    file = folder / WEIGHTS_FILE
    if card.architecture == CODE_FILE:
        backbone, _ = load_recorded_backbone(folder, trust_code=trust_code)
    else:
        backbone = find(card.architecture).backbone
    tensors = read_weights(file)
    # Checked before the network is built: a description may claim any size.
    width = backbone.width + sum(tap.width for tap in card.taps)
    count = sum(map(len, card.outputs))
    widths = [width, *card.hidden_units, count]
    for layer, shape in enumerate(pairwise(widths)):
        tensor = tensors.get(f"head.{2 * layer}.weight")
        if tensor is None or tensor.shape != shape:
            raise ModelError(
                f"{folder} does not hold together: {MODEL_FILE} describes another head than its weights"
            )
    classifier = Classifier(backbone, count, hidden_units=card.hidden_units)
    if card.taps:
        try:
            classifier.take_second_order(card.taps)
        except ValueError as error:
            raise ModelError(
                f"{folder / MODEL_FILE} names taps that {card.architecture} lacks: {error}"
            ) from error
    classifier.take_channels(card.preprocessing.channels, card.preprocessing.grey_in_colours)
    load_into(classifier, tensors, head=classifier.unused_keys, source=str(file))
    if card.merged:
        classifier.merge_outputs(card.merged)
    classifier.eval()
    return classifier
