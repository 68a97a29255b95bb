"""Gives the tensors of a file the names that they have in hubtune's network."""

from paddle import nn

from hubtune.errors import ModelError
from hubtune.models.backbone import Backbone, Tensors
from hubtune.storage.fluid.program import PROGRAM_FILE
from hubtune.storage.fluid.weights import unnamed_parameter


def own_tensors(backbone: Backbone, network: nn.Layer, tensors: Tensors) -> Tensors:
    """Rename and transpose the tensors of a file to those of a backbone's network; others stay unchanged.

    The file may be another publisher's, an earlier program's or Paddle 1's, even one without names.

    Raises:
        ModelError: a file without names has more or fewer tensors than the network.
    """
    if backbone.translate is not None:
        tensors = backbone.translate(tensors)
    if backbone.static_names is None:
        return tensors
    keys = {backbone.static_names.variable(key): key for key in network.state_dict()}
    if unnamed_parameter(0) in tensors:
        if len(tensors) != len(keys):
            raise ModelError(
                f"The file has {len(tensors):,} parameters without names, and {backbone.name} has "
                f"{len(keys):,}: put the file {PROGRAM_FILE} beside it, or name the architecture it is for"
            )
        # They are in the order of their names.
        values = (tensors[unnamed_parameter(number)] for number in range(len(tensors)))
        tensors = dict(zip(sorted(keys), values, strict=True))
    return {keys.get(name, name): tensor for name, tensor in tensors.items()}
