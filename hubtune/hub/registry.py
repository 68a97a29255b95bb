"""Names → what they stand for: a backbone, its weights and the preprocessing it was trained with."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hubtune.data.image import Preprocessing
from hubtune.errors import HubtuneError, ModelError, suggest
from hubtune.files import sha256_of
from hubtune.models.backbone import Backbone, PublishedWeights
from hubtune.models.catalog import BY_NAME, find
from hubtune.recipe.strict_yaml import read_yaml

MODULE_FILE = "module.yaml"
SHIPPED = ("digitnet",)
"""Module folders that come with hubtune, in ``hubtune/hub/modules``."""


class ModuleWeights(BaseModel):
    """The weights file of a module folder.

    Attributes:
        file: its name, inside the folder.
        sha256: of the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^[^/\\\\]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ModuleDescription(BaseModel):
    """What ``module.yaml`` says: a user's own module is a folder with this file and a weights file.

    Attributes:
        name: the module's name.
        architecture: hub name of the backbone, such as ``smallnet``.
        preprocessing: how pictures enter it; default: as the backbone's record says.
        weights: the weights file.
        classes: names of the classes it was pretrained on, in order.
        licence: SPDX identifier.
        description: one sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    architecture: str
    preprocessing: Preprocessing | None = None
    weights: ModuleWeights
    classes: list[str] = Field(min_length=1)
    licence: str
    description: str = ""


@dataclass(frozen=True)
class Resolved:
    """What a module's name stands for.

    Attributes:
        backbone: the architecture.
        preprocessing: how pictures enter it.
        num_classes: number of classes of the pretraining head.
        published: the official weights on the network, if any.
        weights_file: the weights of a module folder, checked; ``None`` for others.
    """

    backbone: Backbone
    preprocessing: Preprocessing
    num_classes: int = 1000
    published: PublishedWeights | None = None
    weights_file: Path | None = None


def resolve(name: str) -> Resolved:
    """Find what a name stands for; nothing is downloaded.

    Args:
        name: a hub name or alias, ``paddle.vision:<name>``, a module that comes with hubtune, or the path of
            a module folder.

    Raises:
        ModelError: if the name is unknown, or the module folder is damaged.
    """
    if name in SHIPPED:
        return _read_folder(Path(str(resources.files("hubtune.hub") / "modules" / name)))
    if name in BY_NAME:
        found = find(name)
        return Resolved(found.backbone, preprocessing_of(found.backbone), published=found.weights)
    path = Path(name).expanduser()
    if path.is_dir():
        return _read_folder(path)
    nearest = suggest(name, [*BY_NAME, *SHIPPED])
    raise ModelError(
        f"There is no module {name!r}.{nearest} Give a hub name (resnet50_imagenet), paddle.vision:<name>, "
        "or the path of a module folder"
    )


def preprocessing_of(backbone: Backbone) -> Preprocessing:
    """The preprocessing that a backbone's record describes.

    Raises:
        ModelError: if the record contradicts itself.
    """
    try:
        return Preprocessing.model_validate(
            {
                "size": backbone.input_size,
                "resize": backbone.resize,
                "interpolation": backbone.interpolation,
                "mean": backbone.mean,
                "std": backbone.std,
            }
        )
    except ValidationError as error:
        raise ModelError(f"The record of {backbone.name} is wrong: {error}") from error


def _read_folder(folder: Path) -> Resolved:
    file = folder / MODULE_FILE
    if not file.is_file():
        raise ModelError(f"{folder} is no module folder: it has no {MODULE_FILE}")
    try:
        description = ModuleDescription.model_validate(read_yaml(file).data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ModelError(f"{file} is not a valid module description: {problems}") from error
    except HubtuneError as error:
        raise ModelError(str(error)) from error
    backbone = find(description.architecture).backbone
    weights = folder / description.weights.file
    if not weights.is_file():
        raise ModelError(f"{file} names the weights {weights.name}, which are not there")
    if sha256_of(weights) != description.weights.sha256:
        raise ModelError(
            f"{weights} is not the file that {MODULE_FILE} describes (its SHA-256 differs): "
            "get a good copy, or correct the sum if you changed the file yourself"
        )
    return Resolved(
        backbone,
        description.preprocessing or preprocessing_of(backbone),
        num_classes=len(description.classes),
        weights_file=weights,
    )
