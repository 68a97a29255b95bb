"""Names that the variables of a network had in Paddle 1's static programs, whose files are called so.

The programs of PaddlePaddle's ``models`` repository (``PaddleCV/image_classification/models``), which the
modules of PaddleHub 1 have, too, name a layer, and its variables after it: ``res2a_branch2a_weights``, its
normalisation's ``bn2a_branch2a_scale``, ``_offset``, ``_mean`` and ``_variance``, and a bias ``_offset``.
PaddleClas's later networks give their parameters the same names.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_CONVOLUTIONS = ("conv", "_conv")
_NORMALISATIONS = ("bn", "_batch_norm")
_NORM_SUFFIXES = {"weight": "scale", "bias": "offset", "_mean": "mean", "_variance": "variance"}
_SUFFIXES = {"weight": "weights", "bias": "offset"}

AUTOMATIC_HEAD = "fc_0"
"""What Paddle calls the first linear layer of a program that gives it no name."""

_AUTOMATIC_SUFFIXES = {"weight": "w_0", "bias": "b_0"}


def norm_behind(layer: str) -> str:
    """Return the name of a convolution's normalisation: ``conv1_bn``."""
    return f"{layer}_bn"


@dataclass(frozen=True)
class StaticNames:
    """The rule that gives the variables of a network their names.

    Attributes:
        layer: path of a layer, as in the keys of the state dict, → its name in the program; convolutions with
            normalisation are one layer.
        norm: name of a convolution → that of its normalisation.
    """

    layer: Callable[[str], str]
    norm: Callable[[str], str] = norm_behind

    def variable(self, key: str) -> str:
        """Return the name of the variable that has a key in the state dict."""
        *path, leaf = key.split(".")
        inner = path[-1]
        if inner in _NORMALISATIONS:
            return f"{self.norm(self.layer('.'.join(path[:-1])))}_{_NORM_SUFFIXES[leaf]}"
        layer = self.layer(".".join(path[:-1] if inner in _CONVOLUTIONS else path))
        if layer == AUTOMATIC_HEAD:
            return f"{layer}.{_AUTOMATIC_SUFFIXES[leaf]}"
        return f"{layer}_{_SUFFIXES[leaf]}"


def rewriting(*rules: tuple[str, str]) -> Callable[[str], str]:
    """Return a function that replaces patterns in a layer's path, one rule after the other."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def rewrite(path: str) -> str:
        for pattern, replacement in compiled:
            path = pattern.sub(replacement, path)
        return path

    return rewrite
