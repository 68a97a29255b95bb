"""A weights file → the architecture that it was made for."""

from dataclasses import dataclass
from pathlib import Path

from hubtune.errors import ModelError
from hubtune.models.backbone import Backbone, Tensors, head_keys
from hubtune.models.catalog import BACKBONES, BY_NAME

_STATISTICS = ("_mean", "_variance")  # BatchNorm's, which are not trained
_PROBE = 2  # a number of classes that is no other side of a head's tensors


@dataclass(frozen=True)
class IdentifiedBackbone:
    """What a weights file turned out to be.

    Attributes:
        backbone: the architecture.
        num_classes: number of classes of its head; 0 where the file has no head.
    """

    backbone: Backbone
    num_classes: int


def identify_backbone(file: Path, tensors: Tensors) -> IdentifiedBackbone:
    """Find the one architecture whose tensors are those of a file, by name and shape.

    Args:
        file: the file, for messages; its name decides between architectures with the same tensors.
        tensors: what it holds.

    Raises:
        ModelError: no architecture has these tensors, or several have.
    """
    fitting = [
        IdentifiedBackbone(backbone, num_classes)
        for backbone in BACKBONES.values()
        if (num_classes := classes_of(backbone, tensors)) is not None
    ]
    named = BY_NAME.get(file.stem.removesuffix("_pretrained"))
    if named is not None and any(found.backbone is named.backbone for found in fitting):
        fitting = [found for found in fitting if found.backbone is named.backbone]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(found.backbone.name for found in fitting)
        raise ModelError(
            f"The weights file {file} fits several architectures ({names}): name one of them as the module, "
            "and the file as its weights"
        )
    raise ModelError(
        f"The weights file {file} fits no architecture that hubtune knows: name the module that it was made "
        "for, and the file as its weights, to see what differs"
    )


def classes_of(backbone: Backbone, tensors: Tensors) -> int | None:
    """Return with how many classes a backbone has just these tensors.

    Returns:
        The number; 0 where all are there but the head's; ``None`` where they are of another network.
    """
    own = tensors if backbone.translate is None else backbone.translate(tensors)
    # Buffers of whole numbers, such as Swin's indices, are not trained either.
    trained = sum(
        array.size for key, array in own.items() if array.dtype.kind == "f" and not key.endswith(_STATISTICS)
    )
    # The record counts with 1000 classes, each of which has a weight for every feature, and a bias; some
    # networks have several such layers. Only where a number of classes can make up for the difference is the
    # network built: building all would take minutes.
    if (trained - backbone.parameters) % (backbone.width + 1):
        return None
    network = backbone.build(num_classes=_PROBE)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    head = head_keys(network, backbone.stages(network))
    if not head & own.keys():
        found = 0
        shapes = {key: shape for key, shape in shapes.items() if key not in head}
    else:
        found = own[min(head & own.keys())].shape[-1]
        for key in head:
            shapes[key] = tuple(found if side == _PROBE else side for side in shapes[key])
    return found if shapes == {key: array.shape for key, array in own.items()} else None
