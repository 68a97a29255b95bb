"""Turns checkpoints of PaddleClas and PaddleHub into model folders with the same classes and scores.

Only the weights of a checkpoint are read, by hubtune's own reader, which runs nothing; the optimizer states
and pickled figures beside them are never opened.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from hubtune.compat.paddleclas_config import PaddleClasConfig, read_config
from hubtune.compat.paddleclas_labels import LabelAnswer
from hubtune.compat.paddlehub_checkpoint import read_checkpoint
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.label_names import distinct_names, parse_label_names
from hubtune.data.lists import read_label_lines
from hubtune.errors import ModelError
from hubtune.hub.identify import identify_backbone, num_classes_of
from hubtune.hub.model_card import ModelCard
from hubtune.hub.own_names import own_tensors
from hubtune.hub.registry import backbone_preprocessing
from hubtune.hub.weights import load_into
from hubtune.inference.model import Model
from hubtune.inference.model_folder import write_model
from hubtune.log import logger
from hubtune.models.backbone import Backbone, Stage, Tensors, head_keys
from hubtune.models.catalog import BY_NAME, find
from hubtune.models.classifier import Classifier
from hubtune.models.layers import pooled
from hubtune.rng import rng_for
from hubtune.storage.fluid.weights import has_parameters
from hubtune.storage.new_folder import check_no_model
from hubtune.storage.safe_load import read_weights

_WEIGHTS_FILES = ("best_model.pdparams", "best_model/model.pdparams", "model.pdparams")
_LABEL_FILES = "*label*.txt"
_STUDENT = "Student."
_USUAL = "resnet50_vd_imagenet_ssld"  # the one PaddleHub module that can still be trained and hubtune has

# A power of two, so that it divides out exactly; large, so that the bias costs the weights no digits.
_PROBE = 1024.0
_TOLERANCE = 1e-5

StrPath = str | os.PathLike[str]


def import_paddleclas(
    checkpoint: StrPath,
    folder: StrPath,
    *,
    architecture: str | None = None,
    labels: StrPath | None = None,
    config: StrPath | None = None,
    encoding: str | None = None,
) -> Model:
    """Turn a PaddleClas checkpoint into a model folder.

    Missing arguments are taken from the configuration, else from the surroundings of the checkpoint: the
    architecture from the folder's name (``output/<Arch>/``) or the tensors, the label list from the only file
    called ``*label*.txt`` beside the checkpoint. Without a configuration, the preprocessing is PaddleClas's
    default for the architecture, and a picture has one class. With one of several labels per picture, the
    model gets its thresholds; labels without names are called ``attribute 0``, ``attribute 1``, ….

    Args:
        checkpoint: ``best_model.pdparams``, or its folder; or parameters of Paddle 1, such as those in
            ``output/ResNet50/119``.
        folder: the model folder to write; it must be missing or empty.
        architecture: a hub name or PaddleClas's class name.
        labels: class names, ``0 daisy`` or one name per line.
        config: the configuration that the checkpoint was trained with (``.yaml``), or the description of the
            exported model (``inference.yml``).
        encoding: of the label list, if it is not UTF-8, such as ``gbk``.

    Raises:
        UsageError: the folder is not empty, or the configuration cannot be read.
        DataError: the label list cannot be read.
        ModelError: the checkpoint, its labels or its architecture are missing or do not fit together, or
            scores would not be preserved.
        MachineError: the folder cannot be written.

    Example:
        >>> model = import_paddleclas("output/PPLCNet_x1_0", "models/flowers", config="flowers.yaml")
    """
    settings = PaddleClasConfig() if config is None else read_config(Path(config))
    target = Path(folder)
    check_no_model(target)
    file = _find_weights(Path(checkpoint))
    tensors = read_weights(file)
    # A distillation holds both networks.
    student = {key.removeprefix(_STUDENT): tensors[key] for key in tensors if key.startswith(_STUDENT)}
    tensors = student or tensors
    backbone = _find_backbone(file, tensors, architecture or settings.architecture)
    names = _paddleclas_names(file, labels, settings, encoding, num_classes_of(backbone, tensors))
    if settings.threshold is not None:
        logger.warning(
            "PaddleClas answered %s only from a score of %g: a hubtune model answers the class of the higher "
            "score; compare it yourself",
            *(names[1], settings.threshold),
        )
    # PaddleClas resizes with OpenCV, except for the networks that were trained with Pillow's bicubic.
    usual = backbone_preprocessing(backbone)
    usual = usual.model_copy(update={"antialias": usual.interpolation != "bilinear"})
    card = _make_card(backbone, names, settings.preprocessing or usual, "paddleclas")
    if settings.label_answer is not None:
        card = _with_thresholds(card, settings.label_answer)
    classifier = _make_classifier(backbone, tensors, len(card.labels), file)
    write_model(target, classifier, card)
    return Model(classifier, card)


def import_paddlehub(
    checkpoint: StrPath,
    folder: StrPath,
    *,
    architecture: str | None = None,
    labels: StrPath | None = None,
    encoding: str | None = None,
) -> Model:
    """Turn a PaddleHub checkpoint into a model folder.

    The preprocessing is that of PaddleHub's image classifiers. In 2.x, images are resized to 256 × 256
    whatever their shape, and cropped to the centre of 224 × 224; in 1.x, resized to the module's size.

    Args:
        checkpoint: of 2.x, ``best_model/model.pdparams``, or its folder, or the trainer's ``checkpoint_dir``;
            of 1.x, ``best_model``, ``step_N``, or the ``checkpoint_dir``.
        folder: the model folder to write; it must be missing or empty.
        architecture: name of the PaddleHub module that was fine-tuned; default: identified by the variables'
            names or the tensors.
        labels, encoding: class names in the order of the module's ``label_list``, as for
            :func:`import_paddleclas`.

    Raises:
        HubtuneError: as :func:`import_paddleclas`.

    Example:
        >>> model = import_paddlehub("img_classification_ckpt", "models/flowers", labels="label_list.txt")
    """
    target = Path(folder)
    check_no_model(target)
    if has_parameters(Path(checkpoint)):
        return _import_paddlehub_1(Path(checkpoint), target, architecture, labels, encoding)
    file = _find_weights(Path(checkpoint))
    tensors = read_weights(file)
    # ResNet50_vc has tensors of the same names and shapes, but PaddleHub never had it.
    if architecture is None and num_classes_of(find(_USUAL).backbone, tensors) is not None:
        architecture = _USUAL
    backbone = _find_backbone(file, tensors, architecture)
    preprocessing = Preprocessing(size=224, resize=256, fit="stretch_crop", antialias=False)
    names = _read_names(_find_labels(file, labels, None), encoding)
    card = _make_card(backbone, names, preprocessing, "paddlehub")
    classifier = _make_classifier(backbone, tensors, len(card.labels), file)
    write_model(target, classifier, card)
    return Model(classifier, card)


def _import_paddlehub_1(
    folder: Path, target: Path, architecture: str | None, labels: StrPath | None, encoding: str | None
) -> Model:
    checkpoint = read_checkpoint(folder, architecture)
    preprocessing = backbone_preprocessing(checkpoint.backbone, fit="stretch", interpolation="lanczos")
    names = _read_names(_find_labels(folder, labels, None), encoding)
    card = _make_card(checkpoint.backbone, names, preprocessing, "paddlehub", checkpoint.hidden_units)
    if len(card.labels) != checkpoint.num_classes:
        raise _class_count_error(folder, checkpoint.num_classes, len(card.labels))
    classifier = checkpoint.make_classifier()
    write_model(target, classifier, card)
    return Model(classifier, card)


def _make_card(
    backbone: Backbone,
    labels: list[str],
    preprocessing: Preprocessing,
    program: str,
    hidden_units: Sequence[int] = (),
) -> ModelCard:
    return ModelCard(
        architecture=backbone.name,
        hidden_units=list(hidden_units),
        labels=labels,
        preprocessing=preprocessing,
        module=backbone.name,
        module_sha256=None,
        strategy=f"imported from {program}",
        step=0,
        metrics={},
    )


def _paddleclas_names(
    file: Path, labels: StrPath | None, settings: PaddleClasConfig, encoding: str | None, outputs: int | None
) -> list[str]:
    """Return the names of the classes or labels; numbered ones for several labels without any name."""
    if labels is None and settings.names is not None:
        return distinct_names(settings.names)
    is_named = labels is not None or settings.labels_file is not None
    if settings.label_answer is not None and outputs and not (is_named or _label_files_beside(file)):
        logger.warning(
            "The labels have no names, and are called attribute 0 to attribute %d: give them by --labels",
            outputs - 1,
        )
        return [f"attribute {number}" for number in range(outputs)]
    return _read_names(_find_labels(file, labels, settings.labels_file), encoding, settings.delimiter)


def _with_thresholds(card: ModelCard, answer: LabelAnswer) -> ModelCard:
    for remark in answer.remarks:
        logger.warning("%s", remark)
    return card.model_copy(update={"multi_label": True, "thresholds": answer.thresholds_of(len(card.labels))})


def _read_names(labels: Path, encoding: str | None, delimiter: str | None = None) -> list[str]:
    """Read a label file; ``delimiter`` is between number and name, if it is none of the usual ones."""
    lines = read_label_lines(labels, encoding)
    if delimiter and all(delimiter in line for line in lines):
        lines = [" ".join(line.split(delimiter, 1)) for line in lines]
    return distinct_names(parse_label_names(lines, labels).names)


def _find_weights(path: Path) -> Path:
    if path.is_file() or has_parameters(path):
        return path
    # PaddleClas itself names a checkpoint without its suffix.
    candidates = [path.parent / f"{path.name}.pdparams"]
    if path.is_dir():
        candidates = [path / name for name in _WEIGHTS_FILES]
    if found := next(filter(Path.is_file, candidates), None):
        return found
    inside = f" ({', '.join(_WEIGHTS_FILES)})" if path.is_dir() else ""
    raise ModelError(f"There is no checkpoint {path}{inside}: name a .pdparams file, or the folder with it")


def _find_backbone(file: Path, tensors: Tensors, name: str | None) -> Backbone:
    """Return the architecture by its name, else by the folder's as in PaddleClas, else by the tensors."""
    if name is None:
        name = next((folder.name for folder in _folders_of(file) if folder.name in BY_NAME), None)
    if name is not None:
        return find(name).backbone
    try:
        return identify_backbone(file, tensors)[0]
    except ModelError as error:
        raise ModelError(f"Give the architecture by --architecture NAME. {error}") from error


def _find_labels(file: Path, given: StrPath | None, configured: Path | None) -> Path:
    if given is not None:
        return Path(given)
    if configured is not None and configured.is_file():
        return configured
    beside = _label_files_beside(file)
    if len(beside) > 1:
        listed = ", ".join(other.name for other in beside)
        raise ModelError(f"{beside[0].parent} has several label files ({listed}): say which by --labels FILE")
    if beside:
        return beside[0]
    missing = f", and {configured} of its configuration is not there" if configured else ""
    raise ModelError(
        f"There is no label file ({_LABEL_FILES}) beside {file}{missing}: give the class names, in the order "
        "of training, by --labels FILE"
    )


def _label_files_beside(file: Path) -> list[Path]:
    found = (sorted(folder.glob(_LABEL_FILES)) for folder in _folders_of(file))
    return next(filter(None, found), [])


def _folders_of(file: Path) -> list[Path]:
    folder = file.absolute().parent
    return [folder, folder.parent] if folder.name == "best_model" else [folder]


@paddle.no_grad()
def _make_classifier(backbone: Backbone, tensors: Tensors, num_classes: int, file: Path) -> Classifier:
    network = backbone.build(num_classes=num_classes)
    network.eval()
    tensors = own_tensors(backbone, network, tensors)
    stages = backbone.stages(network)
    outputs = _count_outputs(network, tensors, head_keys(network, stages), num_classes)
    if outputs != num_classes:
        raise _class_count_error(file, outputs, num_classes)
    load_into(network, tensors, head=frozenset(), source=str(file))
    classifier = Classifier(backbone, num_classes)
    classifier.eval()
    classifier.load_backbone(network)
    example = paddle.zeros([1, 3, backbone.input_size, backbone.input_size])
    for stage in stages[:-1]:
        example = stage.forward(example)
    if not _copy_head(stages[-1], classifier.head[0], example.shape[1:]):
        raise ModelError(
            f"The head of {backbone.name} is more than a linear layer on the pooled features, so its scores "
            "cannot be preserved: fine-tune it again"
        )
    return classifier


def _class_count_error(file: Path, outputs: int, num_classes: int) -> ModelError:
    return ModelError(
        f"{file} scores {outputs:,} classes, but the label list names {num_classes:,}: give the list "
        "that it was trained with by --labels FILE"
    )


def _count_outputs(network: nn.Layer, tensors: Tensors, head: frozenset[str], num_classes: int) -> int:
    """Return the side of a checkpoint's head where the network's is ``num_classes``; that if in doubt."""
    state = network.state_dict()
    numbers = {
        theirs
        for key in head & tensors.keys()
        for ours, theirs in zip(state[key].shape, tensors[key].shape, strict=False)
        if ours == num_classes
    }
    return numbers.pop() if len(numbers) == 1 else num_classes


def _copy_head(head: Stage, linear: nn.Linear, shape: list[int]) -> bool:
    """Set a layer on pooled features to the same function as a head; returns whether that is possible.

    The head is called, not inspected: its output for zeros is the bias, its output for each feature alone
    gives that feature's weights. So anything around its linear layer, such as a dropout that scales by a
    constant in prediction, becomes part of the weights. ``shape`` is that of the head's input for one image:
    ``[width]`` or ``[width, h, w]``.
    """
    width, *area = shape
    bias = head.forward(paddle.zeros([1, width, *(1 for _ in area)]))
    single = _PROBE * paddle.eye(width).reshape([width, width, *(1 for _ in area)])
    linear.weight.set_value((head.forward(single) - bias) / _PROBE)
    linear.bias.set_value(bias[0])
    features = paddle.to_tensor(rng_for("head of a checkpoint").standard_normal([8, *shape], np.float32))
    expected = head.forward(features)
    difference = (linear(pooled(features)) - expected).abs().max().item()
    return bool(difference <= _TOLERANCE * max(1.0, expected.abs().max().item()))
