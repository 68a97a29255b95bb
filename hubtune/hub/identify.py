"""Identifies the architecture that a weights file was made for."""

import re
from pathlib import Path

from hubtune.errors import ModelError
from hubtune.hub.own_names import own_tensors
from hubtune.models.backbone import Backbone, Tensors, head_keys
from hubtune.models.catalog import BACKBONES, BY_NAME

_STATISTICS = ("_mean", "_variance")  # BatchNorm's, which are not trained
_ENDINGS = re.compile(r"(_pretrained)?(\.(pdparams|safetensors|tar|gz|tgz))*$")
_PROBE = 2  # a number of classes that no other side of a head's tensors has


def identify_backbone(file: Path, tensors: Tensors) -> tuple[Backbone, int]:
    """Return the one architecture whose tensors have a file's names and shapes, and its head's classes.

    The file's name decides between architectures with the same tensors. A file without a head has 0 classes.

    Raises:
        ModelError: no architecture has these tensors, or several have.
    """
    fitting = [
        (backbone, num_classes)
        for backbone in BACKBONES.values()
        if (num_classes := num_classes_of(backbone, tensors)) is not None
    ]
    named = BY_NAME.get(_ENDINGS.sub("", file.name))
    if named is not None:
        fitting = [match for match in fitting if match[0] is named.backbone] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(backbone.name for backbone, _ in fitting)
        raise ModelError(
            f"The weights file {file} fits several architectures ({names}): name one of them as the module, "
            "and the file as its weights"
        )
    raise ModelError(
        f"The weights file {file} fits no architecture that hubtune knows: name the module that it was made "
        "for, and the file as its weights, to see what differs"
    )


def num_classes_of(backbone: Backbone, tensors: Tensors) -> int | None:
    """Return for how many classes a backbone has exactly these tensors.

    0 if only the head's tensors are missing; ``None`` if they belong to another network.
    """
    counted = tensors if backbone.translate is None else backbone.translate(tensors)
    # Integer buffers, such as Swin's indices, are not trained either.
    trained = sum(
        array.size
        for key, array in counted.items()
        if array.dtype.kind == "f" and not key.endswith(_STATISTICS)
    )
    # The record counts parameters with 1000 classes, each of which has a weight per feature and a bias; some
    # networks have several such layers. The network is only built if a number of classes can explain the
    # difference: building all of them would take minutes.
    if (trained - backbone.parameters) % (backbone.width + 1):
        return None
    network = backbone.build(num_classes=_PROBE)
    own = own_tensors(backbone, network, counted)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    head = head_keys(network, backbone.stages(network))
    num_classes = 0
    if head & own.keys():
        num_classes = own[min(head & own.keys())].shape[-1]
        for key in head:
            shapes[key] = tuple(num_classes if side == _PROBE else side for side in shapes[key])
    else:
        shapes = {key: shape for key, shape in shapes.items() if key not in head}
    return num_classes if shapes == {key: array.shape for key, array in own.items()} else None
