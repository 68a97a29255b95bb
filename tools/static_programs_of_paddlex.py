"""Run Paddle 1's programs today: ``python static_programs_of_paddlex.py FOLDER OUTPUT [CLASS...]``.

FOLDER is the unpacked wheel of paddlex 1.3.11, which has the programs of ResNet, MobileNetV1 and MobileNetV3
that PaddlePaddle's pretrained weights are for. What they use of ``paddle.fluid``, which Paddle no longer has,
is made here of ``paddle.static``. OUTPUT gets, for each class, a folder ``<Class>_pretrained`` with the
parameters as Paddle saves those of a program, and ``scores.npz``: the scores for an image, and the names and
shapes of all variables. ``PYTHONPATH`` has ``tests/models``; the flag ``FLAGS_enable_pir_api`` is 0.
"""

import json
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from deterministic import image, weights
from paddle import static
from paddle.nn import functional as F
from paddle.utils import unique_name

MOBILENET_V3_SCALES = ("0_5", "0_75", "1_0", "1_25")


def _activated(value: Any, name: str | None) -> Any:
    if name == "hard_sigmoid":
        return F.hardsigmoid(value, slope=0.2, offset=0.5)
    return value if name is None else getattr(F, name)(value)


def _conv2d(
    input: Any, num_filters: int, filter_size: int, stride: int = 1, padding: int = 0, **more: Any
) -> Any:
    attributes = {key: more.get(key) for key in ("param_attr", "bias_attr")}
    groups = more.get("groups") or 1
    value = static.nn.conv2d(input, num_filters, filter_size, stride, padding, groups=groups, **attributes)
    return _activated(value, more.get("act"))


def _batch_norm(input: Any, act: str | None = None, **more: Any) -> Any:
    names = ("param_attr", "bias_attr", "moving_mean_name", "moving_variance_name")
    value = static.nn.batch_norm(input, is_test=True, **{name: more[name] for name in names})
    return _activated(value, act)


def _pool2d(input: Any, pool_size: int = -1, pool_type: str = "max", **more: Any) -> Any:
    if more.get("global_pooling"):
        return F.adaptive_avg_pool2d(input, 1)
    sizes = (pool_size, more.get("pool_stride", 1), more.get("pool_padding", 0))
    kind = F.max_pool2d if pool_type == "max" else F.avg_pool2d
    return kind(input, *sizes, ceil_mode=more.get("ceil_mode", False))


def _fc(input: Any, size: int, param_attr: Any = None, bias_attr: Any = None, **_: Any) -> Any:
    return static.nn.fc(input, size, weight_attr=param_attr, bias_attr=bias_attr)


LAYERS = {
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "pool2d": _pool2d,
    "fc": _fc,
    "elementwise_add": lambda x, y, act=None, name=None: _activated(x + y, act),
    "elementwise_mul": lambda x, y, axis=-1: x * y,
    "relu": F.relu,
    "relu6": F.relu6,
    # As in Paddle 1, unless asked for something else.
    "dropout": lambda x, dropout_prob: x * (1 - dropout_prob),
}


def _install_fluid(folder: Path) -> None:
    """Make ``paddle.fluid`` and the package of the networks importable, without PaddleX's other parts."""

    def nothing(*_: Any, **__: Any) -> None:
        """Stand for initial values and regularisation, which parameters do without."""

    parts = {
        "param_attr": {"ParamAttr": paddle.ParamAttr},
        "initializer": dict.fromkeys(("MSRA", "Uniform", "Constant"), nothing),
        "regularizer": {"L2Decay": nothing},
        "framework": {"Variable": object, "_get_var": nothing},
    }
    fluid = types.ModuleType("paddle.fluid")
    fluid.__dict__.update(layers=types.SimpleNamespace(**LAYERS), ParamAttr=paddle.ParamAttr)
    for name, content in parts.items():
        module = types.ModuleType(f"paddle.fluid.{name}")
        module.__dict__.update(content)
        sys.modules[module.__name__] = fluid.__dict__[name] = module
    sys.modules["paddle.fluid"] = paddle.fluid = fluid
    for name in ("paddlex", "paddlex.cv", "paddlex.cv.nets"):
        package = sys.modules[name] = types.ModuleType(name)
        package.__path__ = [str(folder / name.replace(".", "/"))]


def _networks() -> Iterator[tuple[str, Callable[[], Callable[[Any], Any]]]]:
    """Yield PaddleClas's name of each network, and what makes it."""
    resnet, v1, v3 = (
        import_module(f"paddlex.cv.nets.{n}") for n in ("resnet", "mobilenet_v1", "mobilenet_v3")
    )
    for layers in (18, 34, 50, 101, 152):
        yield f"ResNet{layers}", lambda layers=layers: resnet.ResNet(layers, variant="b", num_classes=1000)
    for layers in (18, 34, 50, 101, 152, 200):
        yield f"ResNet{layers}_vd", lambda layers=layers: resnet.ResNet(layers, variant="d", num_classes=1000)
    for name, scale in {"": 1.0, "_x0_25": 0.25, "_x0_5": 0.5, "_x0_75": 0.75}.items():
        yield f"MobileNetV1{name}", lambda x=scale: v1.MobileNetV1(conv_group_scale=x, num_classes=1000)
    for kind in ("small", "large"):
        for name in MOBILENET_V3_SCALES:
            scale = float(name.replace("_", "."))
            yield (
                f"MobileNetV3_{kind}_x{name}",
                lambda kind=kind, x=scale: v3.MobileNetV3(scale=x, model_name=kind, num_classes=1000),
            )


def _run(make: Callable[[], Callable[[Any], Any]], folder: Path) -> dict[str, np.ndarray]:
    """Save a network's parameters, and return its scores and the shapes of its variables."""
    main, start = static.Program(), static.Program()
    with unique_name.guard(), static.program_guard(main, start):
        scores = make()(static.data("image", [1, 3, 224, 224], "float32"))
    executor = static.Executor()
    executor.run(start)
    variables = [variable for variable in main.list_vars() if variable.persistable]
    shapes = {variable.name: list(variable.shape) for variable in variables}
    main.set_state_dict(weights(shapes))
    static.save_vars(executor, str(folder), main_program=main, vars=variables)
    (values,) = executor.run(main, feed={"image": image(224, 224)}, fetch_list=[scores])
    return {"scores": values[0], "shapes": np.array(json.dumps(shapes))}


if __name__ == "__main__":
    package, output, *chosen = sys.argv[1:]
    paddle.enable_static()
    _install_fluid(Path(package))
    found = {}
    for name, make in _networks():
        if name in chosen or not chosen:
            answer = _run(make, Path(output, f"{name}_pretrained"))
            found |= {f"{name} {key}": value for key, value in answer.items()}
    np.savez(Path(output, "scores.npz"), **found)
