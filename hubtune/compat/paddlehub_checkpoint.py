"""Reads what PaddleHub 1.x's ``ImageClassifierTask`` saved: a module's variables and a head's.

The module's have the prefix ``@HUB_<module>@``. The head's are ``cls_out_w`` and ``cls_out_b``, and those of
hidden layers, in turn, ``fc_0.w_0`` and ``fc_0.b_0``, ``fc_1.w_0``, ….
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtune.errors import ModelError
from hubtune.hub.identify import identify_backbone
from hubtune.hub.own_names import own_tensors
from hubtune.hub.weights import load_into
from hubtune.models.backbone import IMAGENET_CLASSES, Backbone, Tensors, head_keys
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier
from hubtune.storage.fluid.weights import hub_module_name, read_variables, split_module

_OUTPUT_WEIGHT, _OUTPUT_BIAS = "cls_out_w", "cls_out_b"
_HIDDEN_WEIGHT = re.compile(r"fc_(\d{1,9})\.w_0")


@dataclass(frozen=True)
class Checkpoint:
    """A fine-tuned network of PaddleHub 1.x.

    Attributes:
        folder: where it was read.
        backbone: the module's architecture.
        tensors: the module's variables.
        head: weight and bias of each linear layer of the head, ``[inputs, outputs]`` and ``[outputs]``.
    """

    folder: Path
    backbone: Backbone
    tensors: Tensors
    head: list[tuple[np.ndarray, np.ndarray]]

    @property
    def hidden_units(self) -> list[int]:
        """Widths of the head's hidden layers."""
        return [len(bias) for _, bias in self.head[:-1]]

    @property
    def num_classes(self) -> int:
        return len(self.head[-1][1])

    def make_classifier(self) -> Classifier:
        """Return the network with these values.

        Raises:
            ModelError: the tensors do not fit the architecture.
        """
        network = self.backbone.build(num_classes=IMAGENET_CLASSES)
        own = head_keys(network, self.backbone.stages(network))
        tensors = own_tensors(self.backbone, network, self.tensors)
        load_into(network, tensors, head=own, source=str(self.folder))
        classifier = Classifier(self.backbone, self.num_classes, hidden_units=self.hidden_units)
        classifier.load_backbone(network)
        values = [value for layer in self.head for value in layer]
        state = dict(zip(classifier.head.state_dict(), values, strict=True))
        load_into(classifier.head, state, head=frozenset(), source=f"{self.folder}'s head")
        classifier.eval()
        return classifier


def read_checkpoint(folder: Path, architecture: str | None = None) -> Checkpoint:
    """Read ``best_model``, ``step_N``, or the best or last of these in a ``checkpoint_dir``.

    The architecture is the one named, else the module's in the variables' names, else identified.

    Raises:
        ModelError: the folder cannot be read, has no such head, or hubtune does not have the architecture.
    """
    tensors, others = split_module(read_variables(folder))
    if not tensors or not others.keys() >= {_OUTPUT_WEIGHT, _OUTPUT_BIAS}:
        raise ModelError(
            f"{folder} is not what PaddleHub 1.x's ImageClassifierTask saved: it lacks {_OUTPUT_WEIGHT}, "
            f"{_OUTPUT_BIAS} or a module's variables; its weights can be those of a module, as "
            "`-o module.weights=FOLDER`"
        )
    name = architecture or hub_module_name(folder)
    backbone = find(name).backbone if name else identify_backbone(folder, tensors)[0]
    return Checkpoint(folder, backbone, tensors, _head_in(folder, others))


def _head_in(folder: Path, variables: Tensors) -> list[tuple[np.ndarray, np.ndarray]]:
    numbers = sorted(int(match[1]) for name in variables if (match := _HIDDEN_WEIGHT.fullmatch(name)))
    names = [(f"fc_{number}.w_0", f"fc_{number}.b_0") for number in numbers]
    names.append((_OUTPUT_WEIGHT, _OUTPUT_BIAS))
    if missing := [bias for _, bias in names if bias not in variables]:
        raise ModelError(f"{folder} is damaged: it has no {missing[0]}, which belongs to its head")
    head = [(variables[weight], variables[bias]) for weight, bias in names]
    if any(weight.shape[1:] != bias.shape or bias.ndim != 1 for weight, bias in head):
        raise ModelError(f"{folder} is damaged: the shapes of its head's variables do not fit together")
    return head
