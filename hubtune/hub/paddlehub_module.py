"""A module folder of PaddleHub 2.x as one of hubtune's: its class builds the network, the rest is done here.

PaddleHub itself would fetch missing weights while it constructs a module, unpickle them, and report over the
network that the module is used. Here the class only builds an architecture with random weights.
"""

import contextlib
import importlib
import inspect
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.utils import unique_name

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.list_files import LABEL_LIST, distinct_names
from hubtune.errors import MachineError, ModelError
from hubtune.hub.user_code import in_short, run, told
from hubtune.models.backbone import Backbone, Stage

_INSTALL = 'pip install "hubtune[paddlehub]"'

_ADVICE = (
    "it must be one file that runs with today's Paddle. Where hubtune has the architecture itself "
    "(`hubtune hub list`), name that, with the module's weights file"
)

# PaddleHub resizes with OpenCV, whose names of the filters these are.
_INTERPOLATION = {"LINEAR": "bilinear", "CUBIC": "bicubic", "LANCZOS4": "lanczos"}


def backbone_of(file: Path, code: bytes) -> Backbone:
    """Run the ``module.py`` of a PaddleHub module and return its architecture.

    Call this only where the person has said that the code may run; it must be in this one file, of which a
    fine-tuned model keeps a copy. The first call in a process imports PaddleHub, which takes seconds and
    makes folders in the home directory.

    The stages are ``stem``, everything before the last linear layer, and ``head``, that layer; its input is
    the feature.

    Raises:
        ModelError: the code does not run with today's Paddle, or is no image classifier's.
        MachineError: PaddleHub is not installed, or cannot be imported.
    """
    with _hushed():
        _import_paddlehub()
        with told(file, _ADVICE):
            kind = _class_in(file, code)
            network = _build(kind, num_classes=1)
            inputs = _inputs_of(network, file)
    head = _last_linear(network)
    if head is None or head.weight.shape[1] != 1:
        raise ModelError(
            f"The network in {file} does not end in a linear layer, the head that fine-tuning replaces: "
            "use another module"
        )

    def build(num_classes: int) -> nn.Layer:
        with _hushed(), told(file, _ADVICE):
            return _build(kind, num_classes)

    width = int(head.weight.shape[0])
    trained = sum(int(tensor.size) for tensor in network.parameters() if not tensor.stop_gradient)
    return Backbone(
        name=str(kind.name),
        build=build,
        stages=_stages,
        width=width,
        parameters=trained + 999 * (width + (head.bias is not None)),
        size_multiple=None,
        **inputs,
    )


def preprocessing_of(backbone: Backbone) -> Preprocessing:
    """The preprocessing that PaddleHub's modules are used with, for a record from :func:`backbone_of`.

    PaddleHub stretches a picture to a square before it crops, and samples it as OpenCV does.
    """
    return Preprocessing.model_validate(
        {
            "size": backbone.input_size,
            "resize": backbone.resize,
            "fit": "stretch_crop",
            "interpolation": backbone.interpolation,
            "antialias": backbone.interpolation != "bilinear",
            "mean": backbone.mean,
            "std": backbone.std,
        }
    )


def weights_of(folder: Path) -> Path | None:
    """Return the weights file that lies in a PaddleHub module's folder; ``None`` where there is none.

    Raises:
        ModelError: there are several.
    """
    files = sorted(folder.glob("*.pdparams"))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ModelError(
            f"{folder} holds several weights files ({names}): name the one to use as the weights"
        )
    return files[0] if files else None


def labels_of(folder: Path) -> tuple[str, ...]:
    """Return the class names in a PaddleHub module's ``label_list.txt``; none where there is no such file.

    A name that was there before gets its number: ``crane``, ``crane (2)``.

    Raises:
        ModelError: the file cannot be read.
    """
    file = folder / LABEL_LIST
    if not file.is_file():
        return ()
    try:
        names = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} cannot be read as a list of class names: {error}") from error
    return tuple(distinct_names(names))


def _import_paddlehub() -> None:
    try:
        importlib.import_module("paddlehub")
    except Exception as error:  # among packages that do not suit it, it fails in any way
        if isinstance(error, ModuleNotFoundError) and error.name == "paddlehub":
            raise MachineError(
                f"This is a PaddleHub module, and PaddleHub is not installed: {_INSTALL}"
            ) from error
        raise MachineError(
            f"PaddleHub cannot be imported ({in_short(error)}): install the versions "
            f"that work together by {_INSTALL}"
        ) from error


def _class_in(file: Path, code: bytes) -> Any:
    """Run ``module.py`` and return the class in it that ``@moduleinfo`` marks."""
    # PaddleHub's own loader imports by the folder's name: two folders of one name get mixed up, and a name
    # with a dot fails.
    module = run(file, code)
    marked: list[Any] = [
        kind for kind in vars(module).values() if inspect.isclass(kind) and hasattr(kind, "_hook_by_hub")
    ]
    image_classifier = importlib.import_module("paddlehub.module.cv_module").ImageClassifierModule
    for kind in marked:
        if issubclass(kind, image_classifier) and issubclass(kind, nn.Layer):
            kind.directory = str(file.parent.resolve())
            return kind
    found = (
        f"{marked[0].__name__} in it is another kind of module" if marked else "it has no @moduleinfo class"
    )
    raise ModelError(
        f"{file} is no image classifier that can be fine-tuned ({found}): name the folder of one whose class "
        "derives nn.Layer and ImageClassifierModule"
    )


def _build(kind: Any, num_classes: int) -> nn.Layer:
    """Make the network with random weights; its state dict has the keys of the module's weights file."""
    # By PaddleHub's contract a module without a checkpoint fetches and unpickles one, so it is given one that
    # holds nothing. Some modules take the first item of what they load, others all of it.
    with tempfile.TemporaryDirectory() as scratch:
        nothing = Path(scratch) / "nothing.pdparams"
        paddle.save({0: {}}, str(nothing))
        # Parameters have fixed names in PaddleHub's modules, which Paddle allows once in a process.
        with unique_name.guard():
            network = kind(**_of_size(kind, num_classes), load_checkpoint=str(nothing))
    for parameter in network.parameters():
        parameter.name = unique_name.generate(parameter.name)  # optimizers tell parameters by their names
    network.register_forward_post_hook(_only_logits)
    return network


def _of_size(kind: Any, num_classes: int) -> dict[str, Any]:
    """The argument that tells a module's class the number of classes."""
    if "class_dim" in inspect.signature(kind).parameters:
        return {"class_dim": num_classes}
    return {"label_list": [str(number) for number in range(num_classes)]}


def _only_logits(network: nn.Layer, inputs: Any, outputs: Any) -> paddle.Tensor:
    return outputs[0] if isinstance(outputs, tuple | list) else outputs


def _inputs_of(network: nn.Layer, file: Path) -> dict[str, Any]:
    """The fields of a record that describe the input, as the module's own ``transforms`` have them."""
    if not hasattr(network, "transforms"):
        return {}
    operations, to_rgb = _transforms_of(network)
    found: dict[str, Any] = {}
    for operation in operations:
        match type(operation).__name__:
            case "Resize":
                target = operation.target_size
                sides = {target} if isinstance(target, int) else set(target)
                found["resize"] = sides.pop() if len(sides) == 1 else None
                found["interpolation"] = _INTERPOLATION.get(operation.interpolation)
            case "CenterCrop":
                found["input_size"] = operation.crop_size
            case "Normalize":
                found["mean"], found["std"] = tuple(operation.mean), tuple(operation.std)
            case "Permute":
                pass
            case other:
                raise ModelError(f"The transforms in {file} use {other}, which hubtune does not have")
    if not to_rgb or not found.keys() >= {"resize", "mean"} or None in found.values():
        raise ModelError(
            f"The transforms in {file} are not a resize to a square, a centre crop and a normalisation of "
            "RGB pictures: hubtune has no others"
        )
    return {"input_size": found["resize"], **found}


def _transforms_of(network: Any) -> tuple[list[Any], bool]:
    """What ``network.transforms`` does to a picture, which it makes anew in each call and does not show."""
    compose = importlib.import_module("paddlehub.vision.transforms").Compose
    run, seen = compose.__call__, []

    def watch(self: Any, image: Any) -> Any:
        seen.append((list(self.transforms), bool(self.to_rgb)))
        return run(self, image)

    compose.__call__ = watch
    try:
        network.transforms(np.zeros((512, 512, 3), np.uint8))
    finally:
        compose.__call__ = run
    return seen[0] if seen else ([], False)


def _last_linear(network: nn.Layer) -> nn.Linear | None:
    return next((layer for layer in reversed(network.sublayers()) if isinstance(layer, nn.Linear)), None)


def _stages(network: nn.Layer) -> list[Stage]:
    head = _last_linear(network)
    assert head is not None  # backbone_of has seen to it

    def trunk(images: paddle.Tensor) -> paddle.Tensor:
        # PaddleHub's second output would be the feature of most modules, but not of all.
        seen = []
        hook = head.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
        try:
            network(images)
        finally:
            hook.remove()
        return seen[0]

    own = tuple(network.parameters(include_sublayers=False))
    return [Stage("stem", tuple(_all_but(network, head)), trunk, own), Stage("head", (head,), head)]


def _all_but(layer: nn.Layer, left_out: nn.Layer) -> Iterator[nn.Layer]:
    """The largest sublayers that ``left_out`` is not in."""
    for child in layer.children():
        if child is left_out:
            continue
        if any(inner is left_out for inner in child.sublayers()):
            yield from _all_but(child, left_out)
        else:
            yield child


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep what PaddleHub and its modules print and warn of to themselves, and leave no ``__pycache__``."""
    writes_no_bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.dont_write_bytecode = writes_no_bytecode
