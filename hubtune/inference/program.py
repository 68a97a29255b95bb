"""Saving a network as a Paddle program: for engines that run it, and for exports."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paddle
from paddle import _C_ops, nn
from paddle.base.layer_helper import LayerHelper

from hubtune.data.images.preprocessing import Preprocessing

Forward = Callable[[paddle.Tensor], Any]


class Part(nn.Layer):
    """What is computed with a network's parameters: all of it, or a part.

    With a preprocessing it takes pictures as they are arranged, uint8 ``[N, height, width, channels]``, and
    normalises them itself: a quarter of the bytes to hold and to move, and no time of the threads that
    decode. Without, it takes float32 ``[N, channels, height, width]``.
    """

    def __init__(
        self,
        network: nn.Layer,
        forward: Forward,
        preprocessing: Preprocessing | None = None,
        *,
        channels: int = 3,
    ) -> None:
        """Take a part of a network.

        Args:
            network: holds the parameters.
            forward: what is computed from pictures ``[N, channels, height, width]`` with them.
            preprocessing: whose ``mean`` and ``std`` pictures are normalised by.
            channels: of the pictures, where there is no preprocessing.
        """
        super().__init__()
        self.network = network
        self._forward = forward
        self.takes_pixels = preprocessing is not None
        self.channels = channels if preprocessing is None else preprocessing.channels
        if preprocessing is not None:
            for name, values in zip(("scale", "shift"), preprocessing.scale_and_shift, strict=True):
                self.register_buffer(name, paddle.to_tensor(values.reshape([-1, 1, 1])), persistable=False)

    # Traced as it stands: Paddle's translation of Python source stumbles over names that are used twice.
    @paddle.jit.not_to_static
    def forward(self, images: paddle.Tensor) -> Any:
        """Compute the part from a batch of pictures."""
        if self.takes_pixels:
            # As Preprocessing.normalise, to the last bit.
            images = images.transpose([0, 3, 1, 2]).astype("float32") * self.scale - self.shift
        return self._forward(images)


def save_program(part: Part, path: Path, height: int | None, width: int | None, *, old: bool = False) -> None:
    """Write the program of a part of a network as it is in evaluation mode, for any number of pictures.

    Args:
        part: what is computed; switched to evaluation mode.
        path: the files' common name, without an ending.
        height: of the pictures, pixels; ``None`` for any.
        width: of the pictures, pixels; ``None`` for any.
        old: write Paddle's older form (``.pdmodel`` and ``.pdiparams``), which other programs read, in place
            of its newer one (``.json`` and ``.pdiparams``).

    Raises:
        Exception: of any kind, where Paddle cannot trace the network; foreign code can fail in any way.
    """
    part.eval()
    if part.takes_pixels:
        images = paddle.static.InputSpec([None, height, width, part.channels], "uint8", name="images")
    else:
        images = paddle.static.InputSpec([None, part.channels, height, width], "float32", name="images")
    with ExitStack() as stack:
        # Paddle warns of what differed in its first version.
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        if old:
            stack.enter_context(paddle.pir_utils.OldIrGuard())
            stack.enter_context(_old_operators())
        paddle.jit.save(part, str(path), input_spec=[images])


# Paddle 3.3 dropped the older form's way of writing these from its functions, not from the form itself: the
# operator's name in it, its inputs, and its attributes with their defaults by their names in both.
_OLD: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[str, Any]]]] = {
    "exp": ("exp", ("x",), {}),
    "gelu": ("gelu", ("x",), {"approximate": ("approximate", False)}),
    "matmul": (
        "matmul_v2",
        ("x", "y"),
        {"transpose_x": ("trans_x", False), "transpose_y": ("trans_y", False)},
    ),
    "multiply": ("elementwise_mul", ("x", "y"), {}),
    "roll": ("roll", ("x",), {"shifts": ("shifts", None), "axis": ("axis", None)}),
    "rsqrt": ("rsqrt", ("x",), {}),
    "sigmoid": ("sigmoid", ("x",), {}),
    "sqrt": ("sqrt", ("x",), {}),
    "tanh": ("tanh", ("x",), {}),
}


@contextmanager
def _old_operators() -> Iterator[None]:
    """Let the functions that Paddle gives only tensors of its newer form write operators of the older one."""
    before = {name: getattr(_C_ops, name) for name in _OLD}
    for name in _OLD:
        setattr(_C_ops, name, _old_operator(name))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(_C_ops, name, function)


def _old_operator(name: str) -> Callable[..., Any]:
    kind, inputs, attributes = _OLD[name]
    parameters = [*inputs, *attributes]

    def append(*args: Any, **given: Any) -> Any:
        given.pop("name", None)
        given.update(zip(parameters, args, strict=False))
        given = {{"input": "x", "other": "y"}.get(key, key): value for key, value in given.items()}
        helper = LayerHelper(name)
        output = helper.create_variable_for_type_inference(given["x"].dtype)
        attrs = {old: given.get(key, default) for key, (old, default) in attributes.items()}
        tensors = {key.upper(): given[key] for key in inputs}
        helper.append_op(type=kind, inputs=tensors, outputs={"Out": output}, attrs=attrs)
        return output

    return append
