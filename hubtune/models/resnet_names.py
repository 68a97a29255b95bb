"""Names that the layers of residual networks had in earlier files, of Paddle 1 and of PaddleClas 2.0.

Blocks have two kinds of names: those of the paper's authors, ``res3a``, and in the third stage of 101 and
more layers ``res4a``, ``res4b1``, ``res4b2``, …; and ``conv3_1``, by stage and number.
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from string import ascii_lowercase

from hubtune.models.backbone import Tensors
from hubtune.models.layers import OLDER_NAMES, renamed
from hubtune.models.static_names import AUTOMATIC_HEAD, StaticNames

# Depth of the third stage from which its blocks are numbered.
_LONG_STAGE = 23
_BRANCHES = {"conv0": "branch2a", "conv1": "branch2b", "conv2": "branch2c", "short": "branch1"}
_STEPS = {"conv0": "x1", "conv1": "x2", "conv2": "x3", "short": "prj"}
_GATES = {"scale.squeeze": "sqz", "scale.excitation": "exc"}


def from_older_names(depths: Sequence[int], tensors: Tensors) -> Tensors:
    """Give the tensors of an older file the names of :class:`ResNet`; others stay as they are.

    PaddleHub 2's modules and PaddleClas 2.0 name the ``vd`` variants' layers as :func:`zoo_resnet` does, for
    example ``bb_1_0.conv0._conv.weight``. PaddleClas 2.0 names the plain ones' blocks ``res3a``.
    """
    layers = {"conv": "stem.0", "out": "fc"}
    layers |= {f"conv1_{number}": f"stem.{number - 1}" for number in (1, 2, 3)}
    for stage, (before, depth) in enumerate(zip(accumulate(depths, initial=0), depths, strict=False)):
        for number in range(depth):
            block = f"blocks.{before + number}"
            layers |= {f"bb_{stage}_{number}": block, f"res{stage + 2}b{number}": block}
            if number < len(ascii_lowercase):
                layers[f"res{stage + 2}{ascii_lowercase[number]}"] = block
    return renamed(tensors, layers, OLDER_NAMES)


def lettered(depths: Sequence[int], *, stem: str = "conv1", head: str = AUTOMATIC_HEAD) -> StaticNames:
    """Return the static names with blocks such as ``res3a``, by the number of blocks in each stage.

    ``stem`` is the name of a stem that is one convolution, or that of each of several, with ``{}`` for its
    number; ``head``, that of the linear layer.
    """

    def layer(path: str) -> str:
        block = _block_in(path, depths)
        if block is None:
            return _outer_layer(path, stem, head)
        stage, number, inner = block
        numbered = stage == 2 and depths[stage] >= _LONG_STAGE and number > 0
        name = f"res{stage + 2}" + (f"b{number}" if numbered else ascii_lowercase[number])
        return f"fc_{name}_{_GATES[inner]}" if inner in _GATES else f"{name}_{_BRANCHES[inner]}"

    return StaticNames(layer, _lettered_norm)


def numbered(depths: Sequence[int], *, first: int = 2) -> StaticNames:
    """Return the static names with blocks such as ``conv3_1``; ``first`` is the number of the first stage."""

    def layer(path: str) -> str:
        block = _block_in(path, depths)
        if block is None:
            return _outer_layer(path, "conv1", "fc6")
        stage, number, inner = block
        name = f"{first + stage}_{number + 1}"
        return f"fc{name}_{_GATES[inner]}" if inner in _GATES else f"conv{name}_{_STEPS[inner]}"

    return StaticNames(layer)


def _lettered_norm(layer: str) -> str:
    return f"bn_{layer}" if layer == "conv1" else f"bn{layer[3:]}"


def _block_in(path: str, depths: Sequence[int]) -> tuple[int, int, str] | None:
    """Return stage, number in it and the path inside of a block; ``None`` outside of blocks."""
    if match := re.fullmatch(r"bb_(\d+)_(\d+)\.(.+)", path):
        return int(match[1]), int(match[2]), match[3]
    if match := re.fullmatch(r"blocks\.(\d+)\.(.+)", path):
        number = int(match[1])
        stage = sum(number >= end for end in accumulate(depths))
        return stage, number - sum(depths[:stage]), match[2]
    return None


def _outer_layer(path: str, stem: str, head: str) -> str:
    if path in ("out", "fc"):
        return head
    if match := re.fullmatch(r"stem\.(\d)", path):
        return stem.format(int(match[1]) + 1)
    return stem if path == "conv" else path
