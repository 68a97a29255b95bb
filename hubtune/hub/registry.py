"""Names → what they stand for: a backbone, its weights and the preprocessing it was trained with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from os.path import expanduser
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import HubtuneError, ModelError, suggest
from hubtune.hub import paddlehub_module
from hubtune.hub.identify import identify_backbone
from hubtune.hub.module_code import CODE_FILE, backbone_in, is_paddlehub
from hubtune.models.backbone import IMAGENET_CLASSES, Backbone
from hubtune.models.catalog import BY_NAME, Pretrained, find, known, nearest_name, with_own_weights
from hubtune.storage.atomic import sha256_of
from hubtune.storage.safe_load import read_weights
from hubtune.storage.yaml_reader import read_yaml

MODULE_FILE = "module.yaml"
MODEL_FILE = "model.json"
"""What a model's folder has, and a module's has not."""

SHIPPED = ("digitnet",)
"""Module folders that come with hubtune, in ``hubtune/hub/modules``."""


def _bare(name: str) -> str:
    if not name or Path(name).name != name or "\\" in name:
        raise ValueError("give the name of a file in the same folder, without a path")
    return name


class ModuleWeights(BaseModel):
    """The weights file of a module folder.

    Attributes:
        file: its name, inside the folder.
        sha256: of the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Annotated[str, AfterValidator(_bare)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def distinct(names: list[str]) -> list[str]:
    """Return class names as they are, for pydantic.

    Raises:
        ValueError: two are the same, or one is blank.
    """
    if len(set(names)) < len(names):
        raise ValueError("two classes have one name")
    if not all(name.strip() for name in names):
        raise ValueError("a class has no name")
    return names


class ModuleDescription(BaseModel):
    """What ``module.yaml`` says: a user's own module is a folder with this file.

    Attributes:
        name: the module's name.
        architecture: hub name of the backbone, such as ``smallnet``, or ``module.py``: the file of that name
            in the folder, which defines it.
        preprocessing: how pictures enter it; default: as the backbone's record says.
        weights: the weights file; without it the module can only be used with random weights.
        classes: names of the classes it was pretrained on, in order.
        licence: SPDX identifier.
        description: one sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    architecture: str
    preprocessing: Preprocessing | None = None
    weights: ModuleWeights | None = None
    classes: Annotated[list[str], AfterValidator(distinct)] = []
    licence: str
    description: str = ""


def _no_file() -> Path | None:
    return None


@dataclass(frozen=True)
class Resolved:
    """What a module's name stands for.

    Attributes:
        pretrained: the architecture, and its official weights if any.
        preprocessing: how pictures enter it.
        num_classes: number of classes of the pretraining head.
        labels: names of these classes, in order; empty where they are unknown.
        own_weights: finds and checks the weights file that the name itself brings along, raising a
            ``ModelError`` where it is not sound; ``None`` where there is none.
        code: the ``module.py`` that the architecture was made by; ``None`` for hubtune's own.
    """

    pretrained: Pretrained
    preprocessing: Preprocessing
    num_classes: int = IMAGENET_CLASSES
    labels: tuple[str, ...] = ()
    own_weights: Callable[[], Path | None] = _no_file
    code: bytes | None = None


def resolve_module(name: str, *, trust_code: bool = False) -> Resolved:
    """Find what a name stands for; nothing is downloaded.

    Args:
        name: a hub name or alias, ``paddle.vision:<name>``, a module that comes with hubtune, or the path of
            a module folder or of a weights file.
        trust_code: whether code in a module folder may run.

    Raises:
        ModelError: if the name is unknown, the module folder or weights file is damaged, or the folder has
            code and ``trust_code`` is false.
    """
    if name in SHIPPED:
        return _read_folder(Path(str(resources.files("hubtune.hub") / "modules" / name)), trust_code)
    if (found := known(name)) is not None:
        return Resolved(found, preprocessing_of(found.backbone), labels=imagenet_classes())
    path = Path(expanduser(name))  # noqa: PTH111  # raises for no unknown user
    if name and path.is_dir():
        return _read_folder(path, trust_code)
    if name and path.is_file():
        if path.name in (MODULE_FILE, CODE_FILE):
            raise ModelError(f"{path} is a part of a module: name its folder, {path.parent}")
        return _read_file(path)
    # Networks that PaddleHub had, and hubtune has from Paddle itself.
    paddles = f"paddle.vision:{name.removesuffix('_imagenet')}"
    is_paddles = paddles in BY_NAME
    nearest = f" Did you mean {paddles!r}?" if is_paddles else nearest_name(name, SHIPPED)
    raise ModelError(
        f"There is no module {name!r}.{nearest} Give a hub name (`hubtune hub list` shows all), "
        "paddle.vision:<name>, or the path of a module folder or a weights file"
    )


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1000 classes of ImageNet (ILSVRC 2012), in the usual order."""
    text = (resources.files("hubtune.hub") / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


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
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelError(f"The record of {backbone.name} contradicts itself: {said}") from error


def _read_file(file: Path) -> Resolved:
    found = identify_backbone(file, read_weights(file))
    return Resolved(
        with_own_weights(found.backbone),
        preprocessing_of(found.backbone),
        num_classes=found.num_classes or IMAGENET_CLASSES,
        labels=imagenet_classes() if found.num_classes == IMAGENET_CLASSES else (),
        own_weights=lambda: file,
    )


def _read_folder(folder: Path, trust_code: bool) -> Resolved:
    file = folder / MODULE_FILE
    if not file.is_file():
        if (folder / MODEL_FILE).is_file():
            raise ModelError(
                f"{folder} is a fine-tuned model, not a module: use it by `hubtune predict --model {folder}`"
            )
        if (folder / CODE_FILE).is_file() and is_paddlehub((folder / CODE_FILE).read_bytes()):
            return _read_paddlehub(folder, trust_code)
        raise ModelError(
            f"{folder} is no module folder: it has no {MODULE_FILE} (`hubtune hub new` makes one)"
        )
    try:
        description = ModuleDescription.model_validate(read_yaml(file).data)
    except ValidationError as error:
        raise ModelError(f"{file} is not a valid module description: {_problems(error)}") from error
    except HubtuneError as error:
        raise ModelError(str(error)) from error
    if description.architecture != CODE_FILE and known(description.architecture) is None:
        near = suggest(description.architecture, [CODE_FILE, *BY_NAME])
        raise ModelError(
            f"{file} names the architecture {description.architecture!r}, which hubtune does not have.{near} "
            f"`hubtune hub list` shows all; {CODE_FILE} means the file of that name beside it"
        )
    pretrained, code = _architecture(folder, description.architecture, trust_code)
    preprocessing = description.preprocessing or preprocessing_of(pretrained.backbone)
    _check_size(file, preprocessing.size, pretrained.backbone)
    if preprocessing.channels != 3:
        raise ModelError(
            f"{file} gives pictures of {preprocessing.channels} channels, and modules take 3: remove "
            "preprocessing.channels, and say data.channels in the recipe, which adapts the network"
        )
    return Resolved(
        pretrained,
        preprocessing,
        num_classes=len(description.classes) or IMAGENET_CLASSES,
        labels=tuple(description.classes),
        own_weights=partial(_checked_weights, folder, description.weights),
        code=code,
    )


def _check_size(file: Path, size: int, backbone: Backbone) -> None:
    multiple = backbone.size_multiple
    if size != backbone.input_size and (multiple is None or size % multiple):
        wanted = f"{backbone.input_size} only" if multiple is None else f"multiples of {multiple}"
        raise ModelError(
            f"{file} gives pictures of {size} × {size} pixels, and {backbone.name} takes {wanted}: correct "
            "preprocessing.size"
        )


def _problems(error: ValidationError) -> str:
    """Every mistake in a few words, with its place and, for a wrong key, the right one."""
    told = []
    for one in error.errors():
        place = ".".join(map(str, one["loc"]))
        said = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            said = f"no such key.{suggest(str(one['loc'][-1]), ModuleDescription.model_fields)}".rstrip(".")
        elif not place:
            place, said = "the file", "it must hold keys such as `name: mynet`"
        told.append(f"{place}: {said}")
    return "; ".join(told)


def _checked_weights(folder: Path, weights: ModuleWeights | None) -> Path | None:
    if weights is None:
        return None
    file = folder / weights.file
    if not file.is_file():
        raise ModelError(f"{folder / MODULE_FILE} names the weights {weights.file}, which are not there")
    if sha256_of(file) != weights.sha256:
        raise ModelError(
            f"{file} is not the file that {MODULE_FILE} describes (its SHA-256 differs): "
            "get a good copy, or correct the sum if you changed the file yourself"
        )
    return file


def _architecture(folder: Path, name: str, trust_code: bool) -> tuple[Pretrained, bytes | None]:
    if name != CODE_FILE:
        return find(name), None
    backbone, code = backbone_in(folder, trust_code=trust_code)
    return with_own_weights(backbone), code


def _read_paddlehub(folder: Path, trust_code: bool) -> Resolved:
    backbone, code = backbone_in(folder, trust_code=trust_code)
    labels = paddlehub_module.labels_of(folder)
    return Resolved(
        with_own_weights(backbone),
        paddlehub_module.preprocessing_of(backbone),
        num_classes=len(labels) or IMAGENET_CLASSES,
        labels=labels,
        own_weights=partial(paddlehub_module.weights_of, folder),
        code=code,
    )
