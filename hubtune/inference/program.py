"""Saving a network as a Paddle program, for engines that run it and for exports."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paddle
from paddle import _C_ops, nn
from paddle.base import framework, unique_name
from paddle.base.layer_helper import LayerHelper

from hubtune.data.images.preprocessing import Preprocessing

Forward = Callable[[paddle.Tensor], Any]


class Subnetwork(nn.Layer):
    """A network, or a part of it, as one layer that starts from images.

    With a preprocessing it takes arranged pixels, uint8 ``[N, height, width, channels]``, and normalises them
    itself: these are a quarter of the bytes to hold and to move, and the decoding threads save the time.
    Without one it takes float32 ``[N, channels, height, width]``.
    """

    def __init__(
        self,
        network: nn.Layer,
        forward: Forward,
        preprocessing: Preprocessing | None = None,
        *,
        channels: int = 3,
    ) -> None:
        """Take a network, and what to compute with it from images ``[N, channels, height, width]``.

        The ``mean`` and ``std`` of a preprocessing normalise the images; without one, they have ``channels``.
        """
        super().__init__()
        self.network = network
        self._forward = forward
        self.takes_pixels = preprocessing is not None
        self.channels = channels if preprocessing is None else preprocessing.channels
        if preprocessing is not None:
            for name, values in zip(("scale", "shift"), preprocessing.scale_and_shift, strict=True):
                self.register_buffer(name, paddle.to_tensor(values.reshape([-1, 1, 1])), persistable=False)

    # Traced as it stands: Paddle's translation of Python source fails on names that are used twice.
    @paddle.jit.not_to_static
    def forward(self, images: paddle.Tensor) -> Any:
        if self.takes_pixels:
            # Equal to Preprocessing.normalise to the last bit.
            images = images.transpose([0, 3, 1, 2]).astype("float32") * self.scale - self.shift
        return self._forward(images)


def save_program(
    part: Subnetwork, path: Path, height: int | None, width: int | None, *, old: bool = False
) -> None:
    """Write the program of a network, which is switched to evaluation mode, for any number of images.

    The path is the files' common name, without a suffix. The images' height and width are in pixels; ``None``
    for any. ``old`` writes Paddle's older format (``.pdmodel``), which other programs read, not its newer one
    (``.json``); both have ``.pdiparams``.

    Raises:
        Exception: of any kind, if Paddle cannot trace the network; foreign code can fail in any way.
    """
    shape, kind = [None, part.channels, height, width], "float32"
    if part.takes_pixels:
        shape, kind = [None, height, width, part.channels], "uint8"
    save_layer(part, path, [paddle.static.InputSpec(shape, kind, name="images")], old=old)


def save_layer(
    layer: nn.Layer, path: Path, inputs: Sequence[paddle.static.InputSpec], *, old: bool = False
) -> None:
    """Write the program of any layer with these inputs; other arguments and errors as in save_program."""
    layer.eval()
    with ExitStack() as stack:
        # Paddle warns of differences to its first version.
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        if old:
            # The next one leaves a new dynamic mode, which would name tensors as those that exist already.
            stack.enter_context(unique_name.guard())
            stack.enter_context(framework._dygraph_guard(framework._dygraph_tracer()))
            stack.enter_context(paddle.pir_utils.OldIrGuard())
            for name in _OLD:
                stack.callback(setattr, _C_ops, name, getattr(_C_ops, name))
                setattr(_C_ops, name, _old_operator(name))
        paddle.jit.save(layer, str(path), input_spec=list(inputs))


# The number of the type int64 in the older format's framework.proto.
_INT64 = 3
# Functions of Paddle 3.3 that can no longer write these operators of the older format, which still has them:
# the operator's name in it, its inputs, and its attributes with their defaults, by their names in both.
_OLD: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[str, Any]]]] = {
    **{name: (name, ("x",), {}) for name in ("exp", "log", "rsqrt", "sigmoid", "sqrt", "tanh")},
    "argmax": (
        "arg_max",
        ("x",),
        {
            "axis": ("axis", None),
            "keepdims": ("keepdims", False),
            "flatten": ("flatten", False),
            "dtype": ("dtype", _INT64),
        },
    ),
    "gelu": ("gelu", ("x",), {"approximate": ("approximate", False)}),
    "matmul": (
        "matmul_v2",
        ("x", "y"),
        {"transpose_x": ("trans_x", False), "transpose_y": ("trans_y", False)},
    ),
    "multiply": ("elementwise_mul", ("x", "y"), {}),
    "roll": ("roll", ("x",), {"shifts": ("shifts", None), "axis": ("axis", None)}),
}


def _old_operator(name: str) -> Callable[..., Any]:
    kind, inputs, attributes = _OLD[name]
    parameters = [*inputs, *attributes]

    def append(*args: Any, **values: Any) -> Any:
        values.pop("name", None)
        values.update(zip(parameters, args, strict=False))
        values = {{"input": "x", "other": "y"}.get(key, key): value for key, value in values.items()}
        helper = LayerHelper(name)
        output = helper.create_variable_for_type_inference(values["x"].dtype)
        attrs = {old: values.get(key, default) for key, (old, default) in attributes.items()}
        tensors = {key.upper(): values[key] for key in inputs}
        helper.append_op(type=kind, inputs=tensors, outputs={"Out": output}, attrs=attrs)
        return output

    return append
