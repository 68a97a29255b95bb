"""Reads a classifier's architecture, label file and preprocessing from a PaddleClas configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError, UsageError
from hubtune.models.backbone import IMAGENET_MEAN, IMAGENET_STD
from hubtune.storage.yaml_reader import read_yaml
from hubtune.text import describe_value

# In the order in which they are applied to an image.
_OPERATIONS = ("DecodeImage", "ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage")

# Keys of `Arch` that do not change the trained network; others may change what the same tensors compute.
_HARMLESS = frozenset("name class_num pretrained use_ssld use_sync_bn infer_mode lr_mult_list".split())

# (backend, interpolation) of ResizeImage → ours. OpenCV's other filters are not Pillow's of the same name.
_RESAMPLING: Mapping[tuple[str, str | None], dict[str, Any]] = {
    ("cv2", None): {"interpolation": "bilinear", "antialias": False},
    ("cv2", "bilinear"): {"interpolation": "bilinear", "antialias": False},
    ("pil", None): {"interpolation": "bicubic"},
    ("pil", "bilinear"): {"interpolation": "bilinear"},
    ("pil", "bicubic"): {"interpolation": "bicubic"},
    ("pil", "lanczos"): {"interpolation": "lanczos"},
}


@dataclass(frozen=True)
class PaddleClasConfig:
    """What is used of a configuration; ``None`` for what it lacks. The label file may be missing."""

    architecture: str | None = None
    labels_file: Path | None = None
    preprocessing: Preprocessing | None = None


def read_config(file: Path) -> PaddleClasConfig:
    """Read a PaddleClas configuration (``.yaml``).

    Raises:
        UsageError: it cannot be read, or is not strict YAML.
        ModelError: it describes what hubtune cannot reproduce, so that scores would not be preserved.
    """
    if not file.is_file():
        raise UsageError(f"There is no configuration file {file}: check the path")
    data = read_yaml(file).data
    if not isinstance(data, dict) or "Arch" not in data:
        raise ModelError(f"{file} is no PaddleClas configuration: it has no section Arch")
    try:
        return _read(data, file)
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
        # There is no schema: any value may have a type that PaddleClas itself would refuse.
        raise ModelError(f"{file} has values that PaddleClas would refuse, too ({error})") from error


def _read(data: dict[str, Any], file: Path) -> PaddleClasConfig:
    architecture = _student(_section(data, "Arch"))
    unknown = sorted(architecture.keys() - _HARMLESS)
    if unknown:
        raise ModelError(
            f"{file}: Arch.{unknown[0]} changes the network in a way that hubtune does not know: "
            "import it without this file, and compare some scores"
        )
    answer = _section(data, "Infer", "PostProcess")
    if answer.get("name", "Topk") != "Topk":
        raise ModelError(
            f"{file}: Infer.PostProcess is {answer['name']}, not Topk: a hubtune model names one class "
            "a picture"
        )
    evaluation = _section(data, "DataLoader", "Eval", "dataset")
    operations = _section(data, "Infer").get("transforms") or evaluation.get("transform_ops")
    name, labels = architecture.get("name"), answer.get("class_id_map_file")
    # Against the working folder, as PaddleClas does, else against the file's folder.
    labels_file = None if labels is None else Path(str(labels))
    if labels_file is not None and not labels_file.exists():
        labels_file = file.parent / labels_file
    return PaddleClasConfig(
        architecture=None if name is None else str(name),
        labels_file=labels_file,
        preprocessing=None if operations is None else _preprocessing(operations, file),
    )


def _section(data: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _student(architecture: dict[str, Any]) -> dict[str, Any]:
    """Return the architecture, which in a distillation is the student's."""
    if architecture.get("name") != "DistillationModel":
        return architecture
    models = architecture.get("models")
    students = [_section(model, "Student") for model in (models if isinstance(models, list) else [])]
    return next(filter(None, students), {})


def _preprocessing(operations: Any, file: Path) -> Preprocessing:
    steps = _steps(operations, file)
    resize, crop = steps.get("ResizeImage"), steps.get("CropImage")
    normalize = steps.get("NormalizeImage", {})
    if resize is None or "NormalizeImage" not in steps:
        raise ModelError(f"{file}: the transforms of Infer or Eval lack ResizeImage or NormalizeImage")
    if not steps.get("DecodeImage", {}).get("to_rgb", True) or normalize.get("channel_num", 3) != 3:
        raise ModelError(f"{file}: the network's input is not RGB, which is all that hubtune has")
    if not abs(_scale(normalize.get("scale"), file) - 1 / 255) <= 1e-7:
        raise ModelError(f"{file}: NormalizeImage.scale is {normalize['scale']}, and only 1.0/255.0 is known")
    sampling = _RESAMPLING.get((str(resize.get("backend", "cv2")).lower(), resize.get("interpolation")))
    if sampling is None:
        raise ModelError(
            f"{file}: hubtune cannot resize as {resize.get('backend', 'cv2')} does with "
            f"{resize.get('interpolation')}, so scores would differ"
        )
    short, sides = resize.get("resize_short"), _side(resize.get("size"), "ResizeImage.size", file)
    cut = None if crop is None else _side(crop.get("size"), "CropImage.size", file)
    if short and cut is None:
        raise ModelError(f"{file}: ResizeImage.resize_short is not followed by CropImage")
    if short:
        shape = {"fit": "crop", "resize": short, "size": cut}
    elif cut is None:
        shape = {"fit": "stretch", "size": sides}
    else:
        shape = {"fit": "stretch_crop", "resize": sides, "size": cut}
    colours = {"mean": normalize.get("mean") or IMAGENET_MEAN, "std": normalize.get("std") or IMAGENET_STD}
    try:
        return Preprocessing.model_validate({**shape, **sampling, **colours})
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(map(str, mistake["loc"])) or "transforms"
        raise ModelError(f"{file}: the preprocessing makes no sense ({place}: {mistake['msg']})") from error


def _steps(operations: Any, file: Path) -> dict[str, dict[str, Any]]:
    """Return the operations' arguments by name, after a check of their order."""
    steps: dict[str, dict[str, Any]] = {}
    for operation in operations if isinstance(operations, list) else [operations]:
        name, arguments = next(iter(operation.items())) if isinstance(operation, dict) else (operation, None)
        if name not in _OPERATIONS:
            raise ModelError(f"{file}: hubtune does not have the transform {describe_value(name)}")
        if steps and _OPERATIONS.index(name) <= max(map(_OPERATIONS.index, steps)):
            raise ModelError(f"{file}: {name} comes too late among the transforms, or twice")
        steps[name] = arguments or {}
    return steps


def _side(value: Any, place: str, file: Path) -> int | None:
    """Return the side of a square, which PaddleClas writes as ``224`` or ``[224, 224]``."""
    sides: list[int | None] = value if isinstance(value, list) else [value]
    if len(set(sides)) != 1:
        raise ModelError(f"{file}: {place} is {value}, and hubtune's input is square")
    return sides[0]


def _scale(value: Any, file: Path) -> float:
    """Return the value of a quotient such as ``1.0/255.0``, which PaddleClas evaluates as code."""
    numerator, _, denominator = str("1/255" if value is None else value).partition("/")
    try:
        return float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        raise ModelError(f"{file}: NormalizeImage.scale is {describe_value(value)}, and no number") from None
