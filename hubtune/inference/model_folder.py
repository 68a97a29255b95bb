"""Model folders: a fine-tuned classifier on disk, with everything that prediction needs and no code."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.numpy import save

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.hub.module_code import CODE_FILE, load_backbone
from hubtune.hub.registry import MODEL_FILE, check_class_names
from hubtune.hub.weights import load_into
from hubtune.models.backbone import Backbone
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.storage.checked_folder import open_checked, write_checked
from hubtune.storage.safe_load import read_weights

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = MODEL_FILE
_CARD_LIMIT = 16 * 2**20  # a hundred thousand class names fit; a file beyond it is not a model's


class ModelCard(BaseModel):
    """What ``model.json`` says of a model.

    Attributes:
        schema_version: of this file.
        architecture: hub name of the backbone, or ``module.py``: the file of that name in the folder, which
            defines it.
        hidden_units: widths of the head's hidden layers.
        labels: class names in the order of the outputs.
        preprocessing: how a picture becomes the input.
        further_views: other ways in which each picture is looked at, too; the logits are averaged over all.
        module: name of the module it was fine-tuned from.
        module_sha256: of that module's weights; ``None`` for random values.
        strategy: name of the strategy.
        step: training steps behind the model; 0 where there are none.
        metrics: list name → figures on it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    architecture: str
    hidden_units: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(default=[], max_length=16)
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
        # It is a part of what the engine runs.
        if len({(view.mean, view.std, view.channels) for view in self.views}) > 1:
            raise ValueError("further_views have another mean, std or channels than preprocessing")
        return self

    @property
    def views(self) -> list[Preprocessing]:
        """All ways in which a picture is looked at."""
        return [self.preprocessing, *self.further_views]


def write_model(folder: Path, classifier: Classifier, card: ModelCard, *, code: bytes | None = None) -> None:
    """Write a model folder, in place of an older one.

    Args:
        folder: the folder.
        classifier: the network.
        card: its description.
        code: the ``module.py`` that the architecture was made by, if it is not hubtune's own.

    Raises:
        MachineError: if it cannot be written.
    """
    tensors = {name: tensor.numpy() for name, tensor in classifier.state().items()}
    # Class names that are no valid UTF-8 go through json's escapes; pydantic's own writer refuses them.
    text = json.dumps(card.model_dump(), indent=1) + "\n"
    files = {WEIGHTS_FILE: save(tensors), CARD_FILE: text.encode()}
    write_checked(folder, files if code is None else {**files, CODE_FILE: code})


def read_card(folder: Path) -> ModelCard:
    """Read ``model.json`` after checking that the folder is whole.

    Raises:
        ModelError: if the folder is no model, is damaged, or was written by a newer hubtune.
    """
    return _card_in(open_checked(folder, WEIGHTS_FILE, CARD_FILE))


def read_model(folder: Path, *, trust_code: bool = False) -> tuple[Classifier, ModelCard]:
    """Read a model folder.

    Args:
        folder: the folder.
        trust_code: whether the code of an architecture that is not hubtune's own may run.

    Raises:
        ModelError: if the folder is no model, is damaged, does not hold together, or has code that may not
            run.
    """
    # Opened once: each time, the sums of all files are computed.
    found = open_checked(folder, WEIGHTS_FILE, CARD_FILE)
    card, file = _card_in(found), found / WEIGHTS_FILE
    backbone = _architecture(found, card.architecture, trust_code)
    tensors = read_weights(file)
    # Before anything of that size is built: a description may name any size, a file has its own.
    widths = [backbone.width, *card.hidden_units, len(card.labels)]
    for layer, shape in enumerate(pairwise(widths)):
        tensor = tensors.get(f"head.{2 * layer}.weight")
        if tensor is None or tensor.shape != shape:
            raise ModelError(
                f"{folder} does not hold together: {CARD_FILE} describes another head than its weights"
            )
    classifier = Classifier(backbone, len(card.labels), hidden_units=card.hidden_units)
    classifier.take_channels(card.preprocessing.channels, card.preprocessing.grey_in_colours)
    load_into(classifier, tensors, head=classifier.unused_keys, source=str(file))
    classifier.eval()
    return classifier, card


def _architecture(found: Path, name: str, trust_code: bool) -> Backbone:
    if name != CODE_FILE:
        return find(name).backbone
    open_checked(found, CODE_FILE)  # what is run must be what was written
    return load_backbone(found, trust_code=trust_code)[0]


def _card_in(found: Path) -> ModelCard:
    """Read the description in a folder that was checked."""
    file = found / CARD_FILE
    if file.stat().st_size > _CARD_LIMIT:
        raise ModelError(f"{file} is larger than any model description")
    try:
        return ModelCard.model_validate(json.loads(file.read_bytes()))
    except (ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise ModelError(f"{file} is not valid JSON: get a good copy of the model") from error
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(
            f"{file} is not a model description that this hubtune reads ({place}: {first['msg']}): "
            "was it written by a newer version?"
        ) from error
