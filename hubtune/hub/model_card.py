"""The description of a model, ``model.json``, which is read without Paddle."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.label_names import check_class_names
from hubtune.errors import ModelError
from hubtune.hub.file_names import MODEL_FILE, WEIGHTS_FILE
from hubtune.models.taps import Tap
from hubtune.storage.checked_folder import open_checked
from hubtune.storage.regular_file import read_json

# The newest format of model.json. A model gets the oldest one that describes it: 2 if it has taps, 3 if it
# has one of the fields in _SINCE_3, 4 if it has an engine, 5 if classes were merged, 6 if it is multi-label.
_FORMAT = 6
_SINCE_3 = ("temperature", "similarity_threshold")


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
        temperature: fitted on the validation list after training, and folded into the head; ``None`` if it
            was not.
        similarity_threshold: images that are less similar to all training images are of another kind, see
            :mod:`hubtune.inference.reference`; ``None`` without features of training images.
        merged: for each class, the outputs of the network that it adds up; empty: each has one.
        multi_label: whether an image may have several labels, so that each has a probability of its own.
        thresholds: of a multi-label model, the probability from which an image has each label.
        engine: the only one that runs the model, by a program in its folder; ``None`` if any engine does.
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
    temperature: float | None = Field(default=None, gt=0)
    similarity_threshold: float | None = Field(default=None, ge=-1, le=1)
    engine: Literal["openvino-int8"] | None = None
    merged: list[list[Annotated[int, Field(ge=0, lt=100_000)]]] = Field(default=[], max_length=100_000)

    multi_label: bool = False
    thresholds: list[Annotated[float, Field(ge=0, le=1)]] = Field(default=[], max_length=100_000)

    @model_validator(mode="after")
    def _labels_have_thresholds(self) -> "ModelCard":
        if len(self.thresholds) != len(self.labels) * self.multi_label:
            raise ValueError("thresholds must have one for each label of a multi-label model, and no other")
        if self.multi_label and self.merged:
            raise ValueError("a multi-label model cannot have merged outputs")
        return self

    @model_validator(mode="after")
    def _views_are_normalised_alike(self) -> "ModelCard":
        # The engine normalises: its program has one mean and one std.
        if len({(view.mean, view.std, view.channels, view.bits) for view in self.views}) > 1:
            raise ValueError("further_views have another mean, std, channels or bits than preprocessing")
        return self

    @model_validator(mode="after")
    def _outputs_are_merged_once(self) -> "ModelCard":
        outputs = [output for group in self.merged for output in group]
        if self.merged and (
            len(self.merged) != len(self.labels) or sorted(outputs) != [*range(len(outputs))]
        ):
            raise ValueError("merged must name each output of the network once, and a list for each label")
        return self

    @property
    def outputs(self) -> list[list[int]]:
        """For each class, the outputs of the network that it adds up."""
        return self.merged or [[number] for number in range(len(self.labels))]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of ``model.json``, in the oldest format that describes the model."""
        absent = {name for name in _SINCE_3 if getattr(self, name) is None}
        absent |= set() if self.taps else {"taps"}
        version = 3 if len(absent & {*_SINCE_3}) < len(_SINCE_3) else 2 if self.taps else 1
        if self.engine is None:
            absent.add("engine")
        else:
            version = 4
        if not self.merged:
            absent.add("merged")
        else:
            version = 5
        if not self.multi_label:
            absent |= {"multi_label", "thresholds"}
        else:
            version = 6
        return {**self.model_dump(exclude=absent), "schema_version": version}

    @property
    def views(self) -> list[Preprocessing]:
        return [self.preprocessing, *self.further_views]


def read_card(folder: Path) -> ModelCard:
    """Read ``model.json``, after checking that the folder is complete and not damaged.

    Raises:
        ModelError: the folder is not a model, is damaged, or was written by a newer hubtune.
    """
    return card_in(open_checked(folder, WEIGHTS_FILE, MODEL_FILE))


def card_in(folder: Path) -> ModelCard:
    """Read ``model.json`` of a folder that was checked; errors are those of :func:`read_card`."""
    file = folder / MODEL_FILE
    try:
        content = read_json(file)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > _FORMAT:
            raise ModelError(
                f"{file} has format {version}, and this hubtune reads formats up to {_FORMAT}: install a "
                "newer hubtune"
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
