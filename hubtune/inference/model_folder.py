"""Model folders: a fine-tuned classifier with everything that prediction needs, and without code."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.numpy import save

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.hub.module_code import CODE_FILE, load_backbone
from hubtune.hub.registry import MODEL_FILE, check_class_names
from hubtune.hub.weights import load_into
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.models.second_order import Tap
from hubtune.storage.checked_folder import open_checked, write_checked
from hubtune.storage.regular_file import read_json
from hubtune.storage.safe_load import read_weights

# The newest format of model.json. A model gets the oldest one that describes it: 2 if it has taps.
_FORMAT = 2
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = MODEL_FILE


class ModelCard(BaseModel):
    """Description of a model, the content of ``model.json``.

    Attributes:
        architecture: hub name of the backbone, or ``module.py`` for the file in the folder that defines it.
        hidden_units: widths of the head's hidden layers.
        taps: places of the backbone whose second-order features the head gets beside the pooled ones.
        labels: class names, in the order of the outputs.
        further_views: further preprocessings; the logits are averaged over all views.
        module_sha256: SHA-256 of the weights that were fine-tuned; ``None`` for random values.
        step: number of training steps; 0 for a head that was solved.
        metrics: list name → metrics on it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = Field(default=1, ge=1, le=_FORMAT)
    architecture: str
    hidden_units: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(default=[], max_length=16)
    taps: list[Tap] = Field(default=[], max_length=8)
    labels: Annotated[list[str], AfterValidator(check_class_names)] = Field(min_length=1, max_length=100_000)
    preprocessing: Preprocessing
    further_views: list[Preprocessing] = Field(default=[], max_length=16)
    module: str
    module_sha256: str | None
    strategy: str
    step: int
    metrics: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _views_are_normalised_alike(self) -> "ModelCard":
        # The engine normalises: its program has one mean and one std.
        if len({(view.mean, view.std, view.channels, view.bits) for view in self.views}) > 1:
            raise ValueError("further_views have another mean, std, channels or bits than preprocessing")
        return self

    @property
    def views(self) -> list[Preprocessing]:
        return [self.preprocessing, *self.further_views]


def write_model(folder: Path, classifier: Classifier, card: ModelCard, *, code: bytes | None = None) -> None:
    """Write a model folder, or replace it; ``code`` is the ``module.py`` of a user's own architecture.

    Raises:
        MachineError: the folder cannot be written.
    """
    tensors = {name: tensor.numpy() for name, tensor in classifier.state().items()}
    known = card.model_dump(exclude=None if card.taps else {"taps"})  # of format 1
    # json writes class names that are not valid UTF-8 as escapes; pydantic's own writer refuses them.
    text = json.dumps(known, indent=1) + "\n"
    files = {WEIGHTS_FILE: save(tensors), CARD_FILE: text.encode()}
    write_checked(folder, files if code is None else {**files, CODE_FILE: code})


def read_card(folder: Path) -> ModelCard:
    """Read ``model.json``, after checking that the folder is complete and not damaged.

    Raises:
        ModelError: the folder is not a model, is damaged, or was written by a newer hubtune.
    """
    return _card_in(open_checked(folder, WEIGHTS_FILE, CARD_FILE))


def read_model(folder: Path, *, trust_code: bool = False) -> tuple[Classifier, ModelCard]:
    """Read a model folder; ``trust_code`` lets the code of a user's own architecture run.

    Raises:
        ModelError: the folder is not a model, is damaged, has weights that do not fit its description, or has
            code that may not run.
    """
    # Opened once, as opening computes the SHA-256 of all files.
    complete = open_checked(folder, WEIGHTS_FILE, CARD_FILE)
    card, file = _card_in(complete), complete / WEIGHTS_FILE
    if card.architecture == CODE_FILE:
        open_checked(complete, CODE_FILE)  # only the code that was written may run
        backbone, _ = load_backbone(complete, trust_code=trust_code)
    else:
        backbone = find(card.architecture).backbone
    tensors = read_weights(file)
    # Checked before the network is built: a description may claim any size.
    width = backbone.width + sum(tap.width for tap in card.taps)
    widths = [width, *card.hidden_units, len(card.labels)]
    for layer, shape in enumerate(pairwise(widths)):
        tensor = tensors.get(f"head.{2 * layer}.weight")
        if tensor is None or tensor.shape != shape:
            raise ModelError(
                f"{folder} does not hold together: {CARD_FILE} describes another head than its weights"
            )
    classifier = Classifier(backbone, len(card.labels), hidden_units=card.hidden_units)
    if card.taps:
        try:
            classifier.take_second_order(card.taps)
        except ValueError as error:
            raise ModelError(
                f"{folder / CARD_FILE} names taps that {card.architecture} lacks: {error}"
            ) from error
    classifier.take_channels(card.preprocessing.channels, card.preprocessing.grey_in_colours)
    load_into(classifier, tensors, head=classifier.unused_keys, source=str(file))
    classifier.eval()
    return classifier, card


def _card_in(folder: Path) -> ModelCard:
    file = folder / CARD_FILE
    try:
        content = read_json(file)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > _FORMAT:
            raise ModelError(
                f"{file} has format {version}, and this hubtune reads formats up to {_FORMAT}: update it by "
                "pip install --upgrade hubtune"
            )
        return ModelCard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(
            f"{file} is not a model description that this hubtune reads ({place}: {first['msg']}): "
            "was it written by a newer version?"
        ) from error
    except OSError as error:
        raise ModelError(f"{file} is no model description: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{file} is not valid JSON: get a good copy of the model") from error
