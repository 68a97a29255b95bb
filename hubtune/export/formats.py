"""The formats of exports. A format is a row here, and a module of the same name in this package.

The module ``x`` has ``write_x(model, folder, name)``, which writes the network and the scripts that run it,
and ``x_facts(card, folder)``, what the README says of them. ``check_x(model)`` may refuse a model before any
work. Where the format's own code resizes images, there is ``arrange_as_x(path, view)``: the pixels that this
code makes of an image, or those of the whole image for a network that resizes.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubtune.inference.quantizer import Quantizer


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        title: its name in messages.
        summary: what it is for.
        packages: that writing it and running it need, by the names of their modules; pip has the same names.
        int8_packages: likewise, for an export in int8; empty for a format without one.
        int8_module: that has its ``QUANTIZER``, see :mod:`hubtune.inference.quantizer`.
        network_files: names of the files that hold the network.
        runner: the module that runs the export; without it, the export is not compared with hubtune.
        has_one_view: whether it looks at an image in one way, cropped or stretched, whatever the model does.
        needs_name: whether a name is part of the format.
        resizing_file: a second network, which resizes images by itself, where ONNX can say how.
    """

    title: str
    summary: str
    packages: tuple[str, ...] = ()
    int8_packages: tuple[str, ...] = ()
    int8_module: str = ""
    network_files: tuple[str, ...] = ()
    runner: str | None = None
    has_one_view: bool = False
    needs_name: bool = False
    resizing_file: str | None = None


FORMATS = {
    "onnx": Format(
        "ONNX",
        "for ONNX Runtime in Python, C++, C#, Java or a browser",
        packages=("onnx", "onnxruntime"),
        int8_packages=("onnx", "onnxruntime"),
        int8_module="hubtune.export.onnx_int8",
        network_files=("model.onnx",),
        resizing_file="model_with_resize.onnx",
    ),
    "openvino": Format(
        "OpenVINO",
        "for processors of Intel, AMD and ARM",
        packages=("openvino",),
        int8_packages=("openvino", "nncf"),
        int8_module="hubtune.inference.openvino_quantizer",
        network_files=("model.xml", "model.bin"),
    ),
    "paddle": Format(
        "Paddle",
        "for Paddle Inference, and for PaddleX 3 as it is",
        network_files=("inference.json", "inference.pdiparams"),
        has_one_view=True,
    ),
    "paddlehub": Format(
        "PaddleHub", "a module folder for PaddleHub 2.x", runner="paddlehub", needs_name=True
    ),
}
"""Name → format."""


def quantizer_for(form: str) -> "Quantizer":
    """Return the quantiser of a format that has one."""
    found: Quantizer = import_module(FORMATS[form].int8_module).QUANTIZER
    return found
