"""Quantises the backbone of a network to int8; the quantiser of a format works on files of parts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import HubtuneError, ModelError
from hubtune.hub.user_code import describe_exception
from hubtune.inference.engine_interface import Engine
from hubtune.inference.network_parts import BackboneParts, NetworkPart
from hubtune.models.classifier import Classifier


@dataclass(frozen=True)
class CalibrationImages:
    """Images by whose activations the steps of int8 are chosen; can be iterated again.

    Attributes:
        pixels: arranged, uint8 ``[height, width, channels]`` each.
        view: normalises them.
        check: called for each image; may raise to stop.
    """

    pixels: Sequence[np.ndarray]
    view: Preprocessing
    check: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self.pixels)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the images, float32 ``[1, channels, height, width]``."""
        for pixels in self.pixels:
            self.check()
            yield self.view.normalise(pixels)[None]


class Quantizer(Protocol):
    """Writes, quantises and joins parts of networks. The suffix is that of its files.

    The errors of its methods are of any kind: foreign code can fail in any way.
    """

    name: str
    suffix: str

    def write(self, part: NetworkPart, file: Path) -> None:
        """Write a part in float32."""
        ...

    def quantize(self, source: Path, target: Path, images: CalibrationImages) -> None:
        """Quantise a network with one input."""
        ...

    def join(self, files: Sequence[Path], target: Path) -> None:
        """Write a network in which the outputs of each file are the inputs of the next."""
        ...

    def start(self, file: Path) -> Engine:
        """Run a network from pixels to one row an image."""
        ...

    def content(self, file: Path) -> bytes:
        """Return the bytes that the network of a file depends on."""
        ...


@dataclass(frozen=True)
class QuantizedFiles:
    """The files of a quantised network.

    Attributes:
        quantizer: that wrote them.
        backbone: from normalised images to maps, in int8.
        features: from pixels of one view to the head's input.
    """

    quantizer: Quantizer
    backbone: Path
    features: Path

    @property
    def name(self) -> str:
        """Name of the engine that runs them."""
        return self.quantizer.name

    @property
    def content(self) -> bytes:
        """The bytes that features depend on."""
        return self.quantizer.content(self.features)

    def start(self) -> Engine:
        """Return the engine that computes features."""
        return self.quantizer.start(self.features)


def quantize_network(
    classifier: Classifier,
    images: CalibrationImages,
    quantizer: Quantizer,
    folder: Path,
    *,
    name: str,
    otherwise: str,
) -> QuantizedFiles:
    """Write a network from pixels to the head's input, with its backbone in int8.

    Args:
        classifier: the network.
        images: choose the steps of int8; of the view that the network gets.
        quantizer: of a format.
        folder: for the files.
        name: of the network, for messages.
        otherwise: what a person can do if the network cannot be quantised.

    Raises:
        ModelError: the network cannot be quantised.
    """
    names = ("single_view", "float32", "features", "int8", "pixels_to_features")
    files = {name: folder / f"{name}{quantizer.suffix}" for name in names}
    try:
        parts = BackboneParts(classifier, images.view)
        quantizer.write(parts.single_view, files["single_view"])
        quantizer.write(parts.backbone, files["float32"])
        quantizer.write(parts.features_of(classifier), files["features"])
        quantizer.quantize(files["float32"], files["int8"], images)
        joined = [files["single_view"], files["int8"], files["features"]]
        quantizer.join(joined, files["pixels_to_features"])
    except (HubtuneError, OSError):
        raise
    except Exception as error:  # foreign code can fail in any way
        raise ModelError(
            f"The network {name} cannot be quantised ({describe_exception(error)}): {otherwise}"
        ) from error
    return QuantizedFiles(quantizer, files["int8"], files["pixels_to_features"])
