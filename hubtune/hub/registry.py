"""Resolves module names to a backbone, its weights and the preprocessing that it was trained with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from os.path import expanduser
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hubtune.data.images.preprocessing import WHOLE_STEP, Preprocessing
from hubtune.data.label_names import check_class_names
from hubtune.errors import HubtuneError, ModelError, UsageError, suggest
from hubtune.hub.file_names import CODE_FILE, MODULE_FILE
from hubtune.hub.identify import identify_backbone, num_classes_of
from hubtune.hub.module_archive import unpack_module
from hubtune.hub.module_code import is_paddlehub_code, load_backbone
from hubtune.hub.paddlehub_module import paddlehub_labels, paddlehub_weights
from hubtune.hub.starting_model import StartingModel, find_model, read_starting_model
from hubtune.hub.user_code import UserCode
from hubtune.models.backbone import IMAGENET_CLASSES, Backbone
from hubtune.models.catalog import BY_NAME, Pretrained, lookup, nearest_name, with_own_weights
from hubtune.recipe.schema import ImageSettings
from hubtune.storage.atomic import sha256_of
from hubtune.storage.fluid.weights import has_parameters, hub_module_name, is_fluid
from hubtune.storage.regular_file import read_regular
from hubtune.storage.safe_load import read_weights
from hubtune.storage.yaml_reader import read_yaml
from hubtune.text import escaped

SHIPPED = ("digitnet",)
"""Module folders that come with hubtune, in ``hubtune/hub/modules``."""


def _check_bare_name(name: str) -> str:
    if not name or Path(name).name != name or "\\" in name:
        raise ValueError("give the name of a file in the same folder, without a path")
    return name


class ModuleWeights(BaseModel):
    """The weights file of a module folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Annotated[str, AfterValidator(_check_bare_name)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ModuleDescription(BaseModel):
    """The content of ``module.yaml``; a user's own module is a folder with this file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    architecture: str  # hub name of the backbone, or module.py for the file of that name in the folder
    preprocessing: Preprocessing | None = None  # default: that of the backbone's record
    weights: ModuleWeights | None = None  # without them the module can only be used with random weights
    classes: Annotated[list[str], AfterValidator(check_class_names)] = []  # of the pretraining, in order
    licence: str  # SPDX identifier
    description: str = ""


@dataclass(frozen=True)
class ResolvedModule:
    """A module's parts, before its network is built."""

    pretrained: Pretrained  # the architecture, and its official weights if any
    preprocessing: Preprocessing
    num_classes: int = IMAGENET_CLASSES  # of the pretraining head
    labels: tuple[str, ...] = ()  # names of these classes, in order; empty if they are unknown
    # Returns the checked weights file that comes with the module, if any; a ModelError if it is damaged.
    own_weights: Callable[[], Path | None] = lambda: None
    code: UserCode | None = None  # module.py and the files that it imports, if it is not hubtune's own
    model: StartingModel | None = None  # the fine-tuned model that the module is

    def preprocessing_for(self, name: str, settings: ImageSettings) -> Preprocessing:
        return adapt_preprocessing(name, self.preprocessing, self.pretrained.backbone, settings)


def resolve_module(name: str, *, trust_code: bool = False) -> ResolvedModule:
    """Resolve a module's name; nothing is downloaded.

    The name is a hub name or alias, ``paddle.vision:<name>``, a module that comes with hubtune, or the path
    of a module folder or an archive of one, a model folder or a run, whose code runs only with
    ``trust_code``, of a module of PaddleHub 1, or of weights.

    Raises:
        ModelError: the name is unknown, the module folder or weights file is damaged, or the folder has
            code and ``trust_code`` is false.
    """
    if name in SHIPPED:
        return _read_folder(Path(str(resources.files("hubtune.hub") / "modules" / name)), trust_code)
    if (pretrained := lookup(name)) is not None:
        own = backbone_preprocessing(pretrained.backbone)
        return ResolvedModule(pretrained, own, labels=imagenet_classes())
    path = Path(expanduser(name))  # noqa: PTH111  # Path's raises for unknown users
    if name and path.is_dir():
        return _read_folder(path, trust_code)
    if name and path.is_file():
        if path.name in (MODULE_FILE, CODE_FILE):
            raise ModelError(f"{path} is a part of a module: name its folder, {path.parent}")
        if (folder := unpack_module(path)) is not None:
            return _read_folder(folder, trust_code)
        return _read_weights(path)
    # Some of PaddleHub's networks are available through Paddle itself.
    paddles = f"paddle.vision:{name.removesuffix('_imagenet')}"
    nearest = f" Did you mean {paddles!r}?" if paddles in BY_NAME else nearest_name(name, SHIPPED)
    raise ModelError(
        f"There is no module '{escaped(name)}'.{nearest} Give a hub name (`hubtune hub list` shows all), "
        "paddle.vision:<name>, or the path of a module folder or a weights file"
    )


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1000 classes of ImageNet (ILSVRC 2012), in the usual order."""
    text = (resources.files("hubtune.hub") / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def backbone_preprocessing(backbone: Backbone, **others: Any) -> Preprocessing:
    """Return the preprocessing that a backbone's record describes, with ``others`` of its fields.

    Raises:
        ModelError: the record contradicts itself.
    """
    fields = {name: getattr(backbone, name) for name in ("resize", "interpolation", "mean", "std")}
    try:
        return Preprocessing.model_validate({"size": backbone.input_size, **fields, **others})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelError(f"The record of {backbone.name} contradicts itself: {reason}") from error


def takes_size(backbone: Backbone, size: int) -> bool:
    """Return whether a network takes images of this size, pixels; they may still be too small for it."""
    multiple = backbone.size_multiple
    return size == backbone.input_size or (multiple is not None and size % multiple == 0)


def adapt_preprocessing(
    name: str, own: Preprocessing, backbone: Backbone, settings: ImageSettings
) -> Preprocessing:
    """Return a module's ``own`` preprocessing with a recipe's ``fit``, ``size``, ``channels`` and ``bits``.

    What ``bits: auto`` means depends on the data; here it changes nothing.

    Raises:
        UsageError: the network cannot take such images; the message has the module's name.
    """
    multiple = backbone.size_multiple
    if settings.fit == "whole" and (multiple is None or WHOLE_STEP % multiple):
        size = backbone.input_size
        raise UsageError(
            f"{name} takes pictures of {size}×{size} only, and fit: whole gives other sizes: "
            "take crop, pad or stretch"
        )
    size = own.size if settings.size is None else settings.size
    if size != own.size and not takes_size(backbone, size):
        if multiple is None:
            side = backbone.input_size
            raise UsageError(
                f"size: {size} does not go with {name}, which takes pictures of {side}×{side} only: remove "
                "size"
            )
        below = size // multiple * multiple
        choices = " or ".join(str(side) for side in (below, below + multiple) if side)
        raise UsageError(
            f"size: {size} does not go with {name}, which takes sizes that are multiples of {multiple}: "
            f"take {choices}"
        )
    bits = own.bits if settings.bits == "auto" else settings.bits
    return own.override(name, fit=settings.fit, size=settings.size, channels=settings.channels, bits=bits)


def _read_weights(file: Path) -> ResolvedModule:
    """Find the architecture of a weights file, or of Paddle 1's parameters: by its module's name, if any."""
    tensors = read_weights(file)
    name = hub_module_name(file) if is_fluid(file) else None
    if name is None:
        backbone, num_classes = identify_backbone(file, tensors)
    elif (pretrained := lookup(name)) is not None:
        backbone = pretrained.backbone
        num_classes = num_classes_of(backbone, tensors) or 0
    else:
        raise ModelError(
            f"{file} has the weights of PaddleHub's module '{escaped(name)}', whose network hubtune does not "
            f"have.{nearest_name(name)} `hubtune hub list` shows all"
        )
    return ResolvedModule(
        with_own_weights(backbone),
        backbone_preprocessing(backbone),
        num_classes=num_classes or IMAGENET_CLASSES,
        labels=imagenet_classes() if num_classes == IMAGENET_CLASSES else (),
        own_weights=lambda: file,
    )


def _read_folder(folder: Path, trust_code: bool) -> ResolvedModule:
    file = folder / MODULE_FILE
    if not file.is_file():
        if (model := find_model(folder)) is not None:
            return _read_model(model, trust_code)
        if (folder / CODE_FILE).is_file() and is_paddlehub_code(read_regular(folder / CODE_FILE)):
            return _read_paddlehub(folder, trust_code)
        if has_parameters(folder):
            return _read_weights(folder)
        raise ModelError(
            f"{folder} is no module folder: it has no {MODULE_FILE} (`hubtune hub new` makes one)"
        )
    try:
        description = ModuleDescription.model_validate(read_yaml(file).data)
    except ValidationError as error:
        raise ModelError(f"{file} is not a valid module description: {_describe_errors(error)}") from error
    except HubtuneError as error:
        raise ModelError(str(error)) from error
    code = None
    pretrained = lookup(description.architecture)
    if description.architecture == CODE_FILE:
        backbone, code = load_backbone(folder, trust_code=trust_code)
        pretrained = with_own_weights(backbone)
    if pretrained is None:
        near = suggest(description.architecture, [CODE_FILE, *BY_NAME])
        raise ModelError(
            f"{file} names the architecture '{escaped(description.architecture)}', which hubtune does not "
            f"have.{near} `hubtune hub list` shows all; {CODE_FILE} means the file of that name beside it"
        )
    backbone = pretrained.backbone
    preprocessing = description.preprocessing or backbone_preprocessing(backbone)
    size, multiple = preprocessing.size, backbone.size_multiple
    if not takes_size(backbone, size):
        wanted = f"{backbone.input_size} only" if multiple is None else f"multiples of {multiple}"
        raise ModelError(
            f"{file} gives pictures of {size} × {size} pixels, and {backbone.name} takes {wanted}: correct "
            "preprocessing.size"
        )
    if preprocessing.channels != 3:
        raise ModelError(
            f"{file} gives pictures of {preprocessing.channels} channels, and modules take 3: remove "
            "preprocessing.channels, and say data.channels in the recipe, which adapts the network"
        )
    return ResolvedModule(
        pretrained,
        preprocessing,
        num_classes=len(description.classes) or IMAGENET_CLASSES,
        labels=tuple(description.classes),
        own_weights=partial(_checked_weights, folder, description.weights),
        code=code,
    )


def _read_model(folder: Path, trust_code: bool) -> ResolvedModule:
    model = read_starting_model(folder, trust_code=trust_code)
    return ResolvedModule(
        with_own_weights(model.backbone),
        model.preprocessing,
        own_weights=lambda: model.weights_file,
        code=model.code,
        model=model,
    )


def _describe_errors(error: ValidationError) -> str:
    messages = []
    for one in error.errors():
        place = ".".join(map(str, one["loc"]))
        reason = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            reason = f"no such key.{suggest(str(one['loc'][-1]), ModuleDescription.model_fields)}".rstrip(".")
        elif not place:
            place, reason = "the file", "it must hold keys such as `name: mynet`"
        messages.append(f"{place}: {reason}")
    return "; ".join(messages)


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


def _read_paddlehub(folder: Path, trust_code: bool) -> ResolvedModule:
    backbone, code = load_backbone(folder, trust_code=trust_code)
    labels = paddlehub_labels(folder)
    # PaddleHub stretches an image to a square before it crops, and samples it as OpenCV does.
    antialias = backbone.interpolation != "bilinear"
    return ResolvedModule(
        with_own_weights(backbone),
        backbone_preprocessing(backbone, fit="stretch_crop", antialias=antialias),
        num_classes=len(labels) or IMAGENET_CLASSES,
        labels=labels,
        own_weights=partial(paddlehub_weights, folder),
        code=code,
    )
