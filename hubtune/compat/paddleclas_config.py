"""Reads a classifier's architecture, label file and preprocessing from a PaddleClas configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hubtune.compat.paddleclas_file import (
    operations_of,
    read_paddleclas,
    refusing_odd_values,
    section,
    student,
)
from hubtune.compat.paddleclas_labels import (
    ONE_CLASS,
    TWO_CLASSES,
    LabelAnswer,
    answer_name,
    has_several_labels,
    read_label_answer,
    unknown_answer,
)
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.models.backbone import IMAGENET_MEAN, IMAGENET_STD
from hubtune.text import describe_value

# In the order in which they are applied to an image.
_OPERATIONS = ("DecodeImage", "ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage")

# Keys of `Arch` that do not change the trained network; others may change what the same tensors compute.
HARMLESS = frozenset(
    "name class_num pretrained use_ssld use_sync_bn infer_mode infer_add_softmax lr_mult_list drop_path_rate "
    "drop_rate dropout_prob return_patterns return_stages stop_grad_layers".split()
)

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
    """What is used of a configuration; ``None`` for what it lacks. The label file may be missing.

    Attributes:
        names: of the classes, if the configuration has them itself.
        threshold: score from which the second of two classes is the answer, if it is not 0.5.
        delimiter: between the number and the name in a line of the label file, if it says so.
        label_answer: how a model with several labels per picture answers; ``None`` for one class a picture.
    """

    architecture: str | None = None
    labels_file: Path | None = None
    names: tuple[str, ...] | None = None
    threshold: float | None = None
    delimiter: str | None = None
    label_answer: LabelAnswer | None = None
    preprocessing: Preprocessing | None = None


def read_config(file: Path) -> PaddleClasConfig:
    """Read a PaddleClas configuration (``.yaml``).

    Raises:
        UsageError: it cannot be read, or is not strict YAML.
        ModelError: it describes what hubtune cannot reproduce, so that scores would not be preserved.
    """
    data = read_paddleclas(file)
    with refusing_odd_values(file):
        return _read(data, file)


def _read(data: dict[str, Any], file: Path) -> PaddleClasConfig:
    architecture = student(data)
    if unknown := sorted(architecture.keys() - HARMLESS):
        raise ModelError(
            f"{file}: Arch.{unknown[0]} changes the network in a way that hubtune does not know: "
            "import it without this file, and compare some scores"
        )
    answer = section(data, "Infer", "PostProcess")
    label_answer = read_label_answer(answer, file) if has_several_labels(data) else None
    if label_answer is None and answer_name(answer) not in ONE_CLASS:
        raise unknown_answer(answer_name(answer), file, several=False)
    evaluation = section(data, "DataLoader", "Eval", "dataset")
    operations = section(data, "Infer").get("transforms") or evaluation.get("transform_ops")
    name, labels = architecture.get("name"), answer.get("class_id_map_file")
    threshold = answer.get("threshold") if answer.get("name") == TWO_CLASSES else None
    # Against the working folder, as PaddleClas does, else against the file's folder.
    labels_file = None if labels in (None, "None") else Path(str(labels))
    if labels_file is not None and not labels_file.exists():
        labels_file = file.parent / labels_file
    return PaddleClasConfig(
        architecture=None if name is None else str(name),
        labels_file=labels_file,
        names=_names(answer) if label_answer is None else label_answer.names,
        threshold=None if threshold in (None, 0.5) else float(threshold),
        delimiter=None if answer.get("delimiter") is None else str(answer["delimiter"]),
        label_answer=label_answer,
        preprocessing=None if operations is None else _preprocessing(operations, file),
    )


def _names(answer: dict[str, Any]) -> tuple[str, ...] | None:
    if isinstance(listed := answer.get("label_list"), list):
        return tuple(map(str, listed))
    names = [answer.get(key) for key in ("label_0", "label_1")]
    return None if None in names or answer.get("name") != TWO_CLASSES else (str(names[0]), str(names[1]))


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
    interpolation = resize.get("interpolation")
    sampling = _RESAMPLING.get(
        (str(resize.get("backend", "cv2")).lower(), interpolation and str(interpolation).lower())
    )
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
    for name, arguments in operations_of(operations):
        if name not in _OPERATIONS:
            raise ModelError(f"{file}: hubtune does not have the transform {describe_value(name)}")
        if steps and _OPERATIONS.index(name) <= max(map(_OPERATIONS.index, steps)):
            raise ModelError(f"{file}: {name} comes too late among the transforms, or twice")
        steps[name] = arguments
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
