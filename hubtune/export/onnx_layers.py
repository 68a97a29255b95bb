"""Paddle's layers as nodes of ONNX: convolution, pooling, normalisation, padding and interpolation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hubtune.export.onnx_graph import Operation, Result, Source, Translation, unsupported

_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def _channels_first(compute: Callable[[Operation, str], Source]) -> Translation:
    """Let a layer that ONNX has for ``[N, channels, h, w]`` only take ``[N, h, w, channels]``, too."""

    def translate(op: Operation) -> Result:
        if op.get("data_format", "NCHW") not in ("NHWC", "NDHWC"):
            return compute(op, op.input())
        values = compute(op, op.add("Transpose", op.input(), perm=_TO_CHANNELS_FIRST))
        return op.add("Transpose", values, perm=_TO_CHANNELS_LAST)

    return translate


def _padding(op: Operation) -> dict[str, Any]:
    """The attributes for padding: Paddle has one number an axis, or top, bottom, left and right."""
    algorithm = op.get("padding_algorithm", "EXPLICIT")
    if algorithm != "EXPLICIT":
        return {"auto_pad": {"SAME": "SAME_UPPER", "VALID": "VALID"}[algorithm]}
    pads = op["paddings"]
    top, bottom, left, right = pads if len(pads) == 4 else (pads[0], pads[0], pads[1], pads[1])
    return {"pads": [top, left, bottom, right]}


def _conv(op: Operation, values: str) -> Source:
    # With SAME, Paddle takes no notice of dilations.
    dilations = [1, 1] if op["padding_algorithm"] == "SAME" else op["dilations"]
    settings = {"strides": op["strides"], "dilations": dilations, "group": op["groups"], **_padding(op)}
    return op.add("Conv", values, op.input(1), kernel_shape=op.tensor(1).shape[2:], **settings)


def _conv_transpose(op: Operation, values: str) -> Source:
    if op["padding_algorithm"] == "SAME":
        raise unsupported("a transposed convolution with padding 'SAME'")
    settings = {"strides": op["strides"], "dilations": op["dilations"], "group": op["groups"], **_padding(op)}
    if op["output_padding"]:
        settings["output_padding"] = op["output_padding"]
    return op.add("ConvTranspose", values, op.input(1), **settings)


def _pool(op: Operation, values: str) -> Source:
    kernel = op.integers(1) if op.has(1) else op["kernel_size"]
    average = op.get("pooling_type", "max") == "avg"
    kind = "AveragePool" if average else "MaxPool"
    if op["global_pooling"] or (op["adaptive"] and kernel == [1, 1]):
        return op.add(f"Global{kind}", values)
    if op["adaptive"]:
        return _adaptive_pool(op, values, kernel, kind)
    settings = {"strides": op["strides"], "ceil_mode": int(op["ceil_mode"]), **_padding(op)}
    if average:
        settings["count_include_pad"] = int(not op["exclusive"])
    return op.add(kind, values, kernel_shape=kernel, **settings)


def _adaptive_pool(op: Operation, values: str, sides: list[int], kind: str) -> Source:
    """Pool to a fixed number of rows and columns, from a map whose sides are known."""
    shape = op.tensor().shape
    height, width = shape[1:3] if op.get("data_format") == "NHWC" else shape[2:]
    if -1 in (height, width):
        raise unsupported(f"a pooling to {sides[0]} × {sides[1]} of maps of any size")
    if (height, width) == tuple(sides):
        return values
    if height % sides[0] == 0 == width % sides[1]:
        kernel = [height // sides[0], width // sides[1]]
        return op.add(kind, values, kernel_shape=kernel, strides=kernel)
    if kind == "MaxPool":
        raise unsupported(f"a maximum pooling of {height} × {width} to {sides[0]} × {sides[1]}")
    # Windows of different sizes: a product with a matrix of shares for each axis.
    down, across = _shares(sides[0], height), _shares(sides[1], width).T
    return op.add("MatMul", op.add("MatMul", down, values), np.ascontiguousarray(across))


def _shares(parts: int, side: int) -> np.ndarray:
    """The share of each of ``side`` pixels in each of ``parts`` windows, ``[parts, side]``."""
    starts, ends = np.arange(parts) * side // parts, -(np.arange(1, parts + 1) * -side // parts)
    inside = (np.arange(side) >= starts[:, None]) & (np.arange(side) < ends[:, None])
    return (inside / (ends - starts)[:, None]).astype(np.float32)


def _max_pool_with_index(op: Operation) -> Result:
    return _pool(op, op.input())


def _batch_norm(op: Operation, values: str) -> Source:
    if not (op["is_test"] or op["use_global_stats"]):
        raise unsupported("a batch normalisation by the batch's own statistics")
    _, mean, variance, *rest = (op.input(index) if op.has(index) else "" for index in range(5))
    ones = np.ones(op.tensor(1).shape, np.float32)
    scale, bias = (name or default for name, default in zip(rest, (ones, 0 * ones), strict=True))
    return op.add("BatchNormalization", values, scale, bias, mean, variance, epsilon=op["epsilon"])


def _layer_norm(op: Operation) -> Result:
    axis, shape = op["begin_norm_axis"], op.tensor().shape
    if -1 in shape[axis:]:
        raise unsupported("a layer normalisation over sides that vary")
    parts: list[Source] = []
    for index, default in ((1, 1.0), (2, 0.0)):
        if not op.has(index):
            parts.append(np.full(shape[axis:], default, np.float32))
        elif len(shape) - axis == 1:
            parts.append(op.input(index))
        else:
            parts.append(op.add("Reshape", op.input(index), np.array(shape[axis:], np.int64)))
    return op.add("LayerNormalization", op.input(), *parts, axis=axis, epsilon=op["epsilon"])


def _group_norm(op: Operation, values: str) -> Source:
    return _norm_of_groups(op, values, op["groups"])


def _instance_norm(op: Operation) -> Result:
    return _norm_of_groups(op, op.input(), op.tensor().shape[1])


def _norm_of_groups(op: Operation, values: str, groups: int) -> Source:
    ones = np.ones(groups, np.float32)
    rows = op.add("Reshape", values, np.array([0, groups, -1]))
    rows = op.add("InstanceNormalization", rows, ones, 0 * ones, epsilon=op["epsilon"])
    normal: Source = op.add("Reshape", rows, op.add("Shape", values))
    for index, kind in ((1, "Mul"), (2, "Add")):
        if op.has(index):
            normal = op.add(kind, normal, op.add("Reshape", op.input(index), np.array([-1, 1, 1])))
    return normal


def _dropout(op: Operation) -> Result:
    if not op["is_test"]:
        raise unsupported("a dropout in training mode")
    if op["mode"] == "upscale_in_train":
        return op.tensor()
    return op.add("Mul", op.input(), op.scalar(1 - op.value(2).item()))


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


def _pad_last_axes(op: Operation) -> Result:
    """Pad the axes before or behind the channels; numbers are for the last axis first."""
    if op["mode"] not in _MODES:
        raise unsupported(f"a padding of mode '{op['mode']}'")
    pads = np.array(op.integers(1), np.int64).reshape(-1, 2)[::-1]
    first = 1 if op["data_format"].endswith("C") else 2
    axes = np.arange(first, first + len(pads))
    value = op.scalar(op["pad_value"])
    return op.add("Pad", op.input(), pads.T.reshape(-1), value, axes, mode=_MODES[op["mode"]])


def _pad(op: Operation) -> Result:
    pads = np.array(op["paddings"], np.int64).reshape(-1, 2).T.reshape(-1)
    value = op.value(1).reshape(()) if op.has(1) else op.scalar(op["pad_value"])
    return op.add("Pad", op.input(), pads, value.astype(op.tensor().kind))


def _interpolate(mode: str, op: Operation, values: str) -> Source:
    if any(op.has(index) for index in range(1, 4)):
        raise unsupported("an interpolation to a size that depends on the image")
    if mode == "nearest":
        place = "align_corners" if op["align_corners"] else "asymmetric"
    elif op["align_corners"]:
        place = "align_corners"
    else:
        place = "asymmetric" if op["align_mode"] == 1 and mode == "linear" else "half_pixel"
    settings: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": place}
    if mode == "nearest":
        settings["nearest_mode"] = "round_prefer_ceil" if op["align_corners"] else "floor"
    if mode == "cubic":
        settings["cubic_coeff_a"] = -0.75
    if op["scale"]:
        return op.add("Resize", values, "", np.array([1, 1, *op["scale"]], np.float32), **settings)
    sides = np.array([op["out_h"], op["out_w"]], np.int64)
    all_sides = op.add("Concat", op.add("Shape", values, end=2), sides, axis=0)
    return op.add("Resize", values, "", "", all_sides, **settings)


def _pixel_shuffle(op: Operation, values: str) -> Source:
    return op.add("DepthToSpace", values, blocksize=op["upscale_factor"], mode="CRD")


LAYERS: dict[str, Translation] = {
    "batch_norm": _channels_first(_batch_norm),
    "batch_norm_": _channels_first(_batch_norm),
    "bicubic_interp": _channels_first(partial(_interpolate, "cubic")),
    "bilinear_interp": _channels_first(partial(_interpolate, "linear")),
    "conv2d": _channels_first(_conv),
    "conv2d_transpose": _channels_first(_conv_transpose),
    "depthwise_conv2d": _channels_first(_conv),
    "dropout": _dropout,
    "group_norm": _channels_first(_group_norm),
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "max_pool2d_with_index": _max_pool_with_index,
    "nearest_interp": _channels_first(partial(_interpolate, "nearest")),
    "pad": _pad,
    "pad3d": _pad_last_axes,
    "pixel_shuffle": _channels_first(_pixel_shuffle),
    "pool2d": _channels_first(_pool),
}
"""Paddle's layer → its translation."""
