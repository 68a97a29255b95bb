"""Uses a module folder of PaddleHub 2.x: its class builds the network, everything else is done here.

PaddleHub itself would fetch missing weights while it constructs a module, unpickle them, and report the use
of the module over the network. Here the class only builds an architecture with random weights.
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

from hubtune.data.label_names import distinct_names
from hubtune.data.list_files import LABEL_LIST
from hubtune.errors import MachineError, ModelError
from hubtune.extras import install_extra
from hubtune.hub.user_code import UserCode, describe_exception, explain_errors, run_code
from hubtune.models.backbone import Backbone, Stage
from hubtune.storage.regular_file import read_regular

_ADVICE = (
    "it must run with today's Paddle, and import no files but those of its folder. Where hubtune has the "
    "architecture itself (`hubtune hub list`), name that, with the module's weights file"
)

# PaddleHub resizes with OpenCV: its filter names → ours.
_INTERPOLATION = {"LINEAR": "bilinear", "CUBIC": "bicubic", "LANCZOS4": "lanczos"}


def paddlehub_backbone(code: UserCode) -> Backbone:
    """Run the ``module.py`` of a PaddleHub module and return its architecture.

    Call this only if the user has allowed the code to run; a fine-tuned model keeps a copy of it. The first
    call in a process imports PaddleHub, which takes seconds and makes folders in the home directory. The
    stages are ``stem``, everything before the last linear layer, and ``head``, that layer; its input is the
    feature vector.

    Raises:
        ModelError: the code does not run with today's Paddle, or is not an image classifier's.
        MachineError: PaddleHub is not installed, or cannot be imported.
    """
    file = code.start
    with _silenced():
        _import_paddlehub()
        with explain_errors(file, _ADVICE):
            kind = _class_in(code)
            network = _build(kind, num_classes=1)
            inputs = _inputs_of(network, file)
    head = _last_linear(network)
    if head is None or head.weight.shape[1] != 1:
        raise ModelError(
            f"The network in {file} does not end in a linear layer, the head that fine-tuning replaces: "
            "use another module"
        )

    def build(num_classes: int) -> nn.Layer:
        with _silenced(), explain_errors(file, _ADVICE):
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


def paddlehub_weights(folder: Path) -> Path | None:
    """Return the weights file in a PaddleHub module's folder; ``None`` if there is none.

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


def paddlehub_labels(folder: Path) -> tuple[str, ...]:
    """Return the class names in a PaddleHub module's ``label_list.txt``; none if there is no such file.

    Repeated names are numbered: ``crane``, ``crane (2)``.

    Raises:
        ModelError: the file cannot be read.
    """
    file = folder / LABEL_LIST
    if not file.is_file():
        return ()
    try:
        names = read_regular(file).decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} cannot be read as a list of class names: {error}") from error
    return tuple(distinct_names(names))


def _import_paddlehub() -> None:
    try:
        importlib.import_module("paddlehub")
    except Exception as error:  # with incompatible packages it fails in any way
        reason = (
            f"PaddleHub cannot be imported ({describe_exception(error)}): install the versions "
            "that work together by"
        )
        if isinstance(error, ModuleNotFoundError) and error.name == "paddlehub":
            reason = "This is a PaddleHub module, and PaddleHub is not installed:"
        raise MachineError(f"{reason} {install_extra('paddlehub')}") from error


def _class_in(code: UserCode) -> Any:
    # PaddleHub's own loader imports by the folder's name: it confuses two folders of one name, and fails
    # for a name with a dot.
    module = run_code(code)
    marked: list[Any] = [
        kind for kind in vars(module).values() if inspect.isclass(kind) and hasattr(kind, "_hook_by_hub")
    ]
    image_classifier = importlib.import_module("paddlehub.module.cv_module").ImageClassifierModule
    for kind in marked:
        if issubclass(kind, image_classifier) and issubclass(kind, nn.Layer):
            kind.directory = str(code.start.parent.resolve())
            return kind
    found = (
        f"{marked[0].__name__} in it is another kind of module" if marked else "it has no @moduleinfo class"
    )
    raise ModelError(
        f"{code.start} is not an image classifier that can be fine-tuned ({found}): name the folder of one "
        "whose class derives nn.Layer and ImageClassifierModule"
    )


def _build(kind: Any, num_classes: int) -> nn.Layer:
    classes: dict[str, Any] = {"label_list": [str(number) for number in range(num_classes)]}
    if "class_dim" in inspect.signature(kind).parameters:
        classes = {"class_dim": num_classes}
    # By PaddleHub's contract a module without a checkpoint fetches and unpickles one, so it gets an empty
    # one. Some modules use the first item of what they load, others all of it.
    with tempfile.TemporaryDirectory() as scratch:
        empty = Path(scratch) / "empty.pdparams"
        paddle.save({0: {}}, str(empty))
        # PaddleHub's modules give parameters fixed names, which Paddle allows once in a process.
        with unique_name.guard():
            network = kind(**classes, load_checkpoint=str(empty))
    for parameter in network.parameters():
        parameter.name = unique_name.generate(parameter.name)  # optimizers identify parameters by name
    network.register_forward_post_hook(
        lambda _, __, all_: all_[0] if isinstance(all_, tuple | list) else all_
    )
    return network


def _inputs_of(network: nn.Layer, file: Path) -> dict[str, Any]:
    """Return the record's fields that describe the input, from the module's own ``transforms``."""
    if not hasattr(network, "transforms"):
        return {}
    operations, to_rgb = _transforms_of(network)
    fields: dict[str, Any] = {}
    for operation in operations:
        match type(operation).__name__:
            case "Resize":
                target = operation.target_size
                sides = {target} if isinstance(target, int) else set(target)
                fields["resize"] = sides.pop() if len(sides) == 1 else None
                fields["interpolation"] = _INTERPOLATION.get(operation.interpolation)
            case "CenterCrop":
                fields["input_size"] = operation.crop_size
            case "Normalize":
                fields["mean"], fields["std"] = tuple(operation.mean), tuple(operation.std)
            case "Permute":
                pass
            case other:
                raise ModelError(f"The transforms in {file} use {other}, which hubtune does not have")
    if not to_rgb or not fields.keys() >= {"resize", "mean"} or None in fields.values():
        raise ModelError(
            f"The transforms in {file} are not a resize to a square, a centre crop and a normalisation of "
            "RGB pictures: hubtune has no others"
        )
    return {"input_size": fields["resize"], **fields}


def _transforms_of(network: Any) -> tuple[list[Any], bool]:
    """Return the operations of ``network.transforms``, which builds them in each call, and ``to_rgb``."""
    compose = importlib.import_module("paddlehub.vision.transforms").Compose
    original, calls = compose.__call__, []

    def watch(self: Any, image: Any) -> Any:
        calls.append((list(self.transforms), bool(self.to_rgb)))
        return original(self, image)

    compose.__call__ = watch
    try:
        network.transforms(np.zeros((512, 512, 3), np.uint8))
    finally:
        compose.__call__ = original
    return calls[0] if calls else ([], False)


def _last_linear(network: nn.Layer) -> nn.Linear | None:
    return next((layer for layer in reversed(network.sublayers()) if isinstance(layer, nn.Linear)), None)


def _stages(network: nn.Layer) -> list[Stage]:
    head = _last_linear(network)
    assert head is not None  # paddlehub_backbone has checked it

    def body(images: paddle.Tensor) -> paddle.Tensor:
        # PaddleHub's second output would be the feature of most modules, but not of all.
        features = []
        hook = head.register_forward_pre_hook(lambda layer, inputs: features.append(inputs[0]))
        try:
            network(images)
        finally:
            hook.remove()
        return features[0]

    own = tuple(network.parameters(include_sublayers=False))
    return [Stage("stem", tuple(_all_but(network, head)), body, own), Stage("head", (head,), head)]


def _all_but(layer: nn.Layer, excluded: nn.Layer) -> Iterator[nn.Layer]:
    for child in layer.children():
        if child is excluded:
            continue
        if any(inner is excluded for inner in child.sublayers()):
            yield from _all_but(child, excluded)
        else:
            yield child


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Suppress what PaddleHub and its modules print and warn about, and leave no ``__pycache__``."""
    writes_no_bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.dont_write_bytecode = writes_no_bytecode
