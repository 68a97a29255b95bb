"""Saving a network as a Paddle program: for engines that run it, and for exports."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paddle
from paddle import _C_ops, nn
from paddle.base.layer_helper import LayerHelper

Forward = Callable[[paddle.Tensor], Any]


def save_program(
    network: nn.Layer,
    forward: Forward,
    path: Path,
    sides: tuple[int | None, int | None],
    *,
    old: bool = False,
) -> None:
    """Write the program of a network as it is in evaluation mode, for any number of pictures.

    Args:
        network: holds the parameters.
        forward: what is computed from pictures ``[N, 3, height, width]`` with them.
        path: the files' common name, without an ending.
        sides: height and width of the pictures; ``None`` for any.
        old: write Paddle's older form (``.pdmodel`` and ``.pdiparams``), which other programs read, in place
            of its newer one (``.json`` and ``.pdiparams``).

    Raises:
        Exception: of any kind, where Paddle cannot trace the network; foreign code can fail in any way.
    """
    traced = _Traced(network, forward)
    traced.eval()
    images = paddle.static.InputSpec([None, 3, *sides], "float32", name="images")
    with ExitStack() as stack:
        # Paddle warns of what differed in its first version.
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        if old:
            stack.enter_context(paddle.pir_utils.OldIrGuard())
            stack.enter_context(_old_operators())
        paddle.jit.save(traced, str(path), input_spec=[images])


class _Traced(nn.Layer):
    def __init__(self, network: nn.Layer, forward: Forward) -> None:
        super().__init__()
        self.network = network
        self._forward = forward

    # Traced as it stands: Paddle's translation of Python source stumbles over names that are used twice.
    @paddle.jit.not_to_static
    def forward(self, images: paddle.Tensor) -> Any:
        return self._forward(images)


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
