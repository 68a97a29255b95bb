"""Resizing images inside an ONNX model, as Pillow does it in :class:`Preprocessing`."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hubtune.data.images.preprocessing import WHOLE_STEP, Preprocessing
from hubtune.errors import UsageError
from hubtune.export.onnx_graph import Graph, onnx_package

if TYPE_CHECKING:
    import onnx

_MODES: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5},
}
# Longer images are cropped before they are resized. Up to here, the resized one has some megabytes.
_LONGEST = 64
# The length that remains of them, in multiples of the short side, around a crop that takes no more than one:
# enough for the filter of an image one pixel wide, too.
_REMAINING = 9
_MOST_NEGATIVE = np.iinfo(np.int64).min

Pair = tuple[str, str]
"""Names of two numbers: of the height, and of the width."""


def can_resize(view: Preprocessing) -> bool:
    """Whether ONNX has the filter that a preprocessing needs."""
    return view.antialias and view.interpolation in _MODES


def with_resize(model: "onnx.ModelProto", view: Preprocessing, input_name: str) -> "onnx.ModelProto":
    """Return a model that takes one decoded image of any size.

    Its input ``pixels`` is uint8 ``[1, height, width, channels]``: an upright image, which the model resizes,
    crops, pads and mirrors as :meth:`Preprocessing.fit_image` does.

    Pixels equal those of :meth:`Preprocessing.fit_image`, but for some percent that differ by one level,
    rarely by two: onnxruntime computes with weights of another rounding. With ``crop``, the pixels of images
    longer than 64:1 may be displaced by a quarter of a pixel. A JPEG that hubtune decodes at a fraction of
    its size, for speed, differs more from one that was decoded in full.

    Args:
        model: its input ``input_name`` is uint8 ``[N, h, w, channels]``, of arranged images. Not changed.
        view: arranges the images.

    Raises:
        MachineError: the package onnx is not installed.
        UsageError: ONNX has no filter for this preprocessing.
    """
    onnx = onnx_package()
    if not can_resize(view):
        reason = "lanczos" if view.antialias else "antialias: false"
        raise UsageError(
            f"ONNX cannot resize images as this model does ({reason}): "
            "export it without resizing, and resize the images before the model"
        )
    # The prefix keeps the names apart from those of the model.
    graph = Graph("resize/")
    arranged = _fit(graph, view, "pixels")
    resized = onnx.ModelProto()
    resized.CopyFrom(model)
    _replace_input(resized.graph, input_name, arranged)
    shape = [1, "height", "width", view.channels]
    pixels = onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, shape)
    resized.graph.initializer.extend(graph.proto.initializer)
    nodes = [*graph.proto.node, *resized.graph.node]
    inputs = [pixels, *(each for each in resized.graph.input if each.name != input_name)]
    for field, entries in (("node", nodes), ("input", inputs)):
        resized.graph.ClearField(field)
        getattr(resized.graph, field).extend(entries)
    onnx.checker.check_model(resized, full_check=True)
    return resized


def _replace_input(graph: "onnx.GraphProto", name: str, other: str) -> None:
    if name not in [each.name for each in graph.input]:
        raise ValueError(f"the model has no input {name}")
    for node in graph.node:
        node.input[:] = [other if each == name else each for each in node.input]


def _fit(graph: Graph, view: Preprocessing, pixels: str) -> str:
    """Add the nodes for ``fit_image``; return the name of the result, uint8 ``[1, h, w, channels]``."""
    height, width = (graph.add("Shape", pixels, start=axis, end=axis + 1) for axis in (1, 2))
    sides, target = (height, width), _target_sides(graph, view, height, width)
    places, crossed = None, sides
    if view.fit in ("crop", "stretch_crop"):
        start_row, start_column = (
            _half(graph, graph.add("Sub", side, _vector(view.size))) for side in target
        )
        places = (start_row, start_column)
        crossed = _filtered_sides(graph, view.size, sides, target, places)
    rows_first = _rows_first(graph, view, crossed, target)
    if view.fit == "crop" and places:
        pixels, target, places = _without_ends(graph, view, pixels, (sides, target, places))
    maps = _resized(graph, view, graph.add("Transpose", pixels, perm=[0, 3, 1, 2]), target, rows_first)
    if places:
        starts = graph.add("Concat", *places, axis=0)
        maps = graph.add("Slice", maps, starts, graph.add("Add", starts, _vector(view.size)), _vector(2, 3))
    if view.fit == "pad":
        maps = _padded(graph, view, maps, target)
    if view.mirror:
        maps = graph.add("Slice", maps, _vector(-1), _vector(_MOST_NEGATIVE), _vector(3), _vector(-1))
    return graph.add("Transpose", maps, perm=[0, 2, 3, 1])


def _target_sides(graph: Graph, view: Preprocessing, height: str, width: str) -> Pair:
    """Sides of the whole resized image, as :meth:`Preprocessing.target_sides` computes them."""
    if view.fit in ("stretch", "stretch_crop"):
        side = graph.constant(_vector(view.size if view.fit == "stretch" else view.resize))
        return side, side
    numbers = [graph.cast(side, "float64") for side in (height, width)]
    reference = graph.add("Min" if view.fit == "crop" else "Max", *numbers)
    factor = graph.add("Div", _number(view.size if view.fit == "pad" else view.resize), reference)
    # In float64 and to the even of two halves, as Python does.
    sides = [graph.add("Round", graph.add("Mul", number, factor)) for number in numbers]
    sides = [graph.add("Max", each, _number(1)) for each in sides]
    if view.fit == "whole":
        step = _number(WHOLE_STEP)
        sides = [graph.add("Mul", graph.add("Round", graph.add("Div", each, step)), step) for each in sides]
        sides = [graph.add("Max", each, _number(view.least_side)) for each in sides]
    high, wide = (graph.cast(each, "int64") for each in sides)
    return high, wide


def _filtered_sides(graph: Graph, size: int, sides: Pair, target: Pair, places: Pair) -> Pair:
    """Sides of the part of the image that the pixels of a crop depend on, as hubtune computes them.

    ``target`` are the sides of the whole resized image, and ``places`` those of the crop in it.
    """
    counts = []
    for names in zip(sides, target, places, strict=True):
        side, wanted, place = (graph.cast(name, "float64") for name in names)
        step = graph.add("Div", side, wanted)
        start = graph.add("Mul", place, step)
        end = graph.add("Min", side, graph.add("Mul", graph.add("Add", place, _number(size)), step))
        step = graph.add("Div", graph.add("Sub", end, start), _number(size))
        reach = graph.add("Mul", graph.add("Max", step, _number(1)), _number(3))
        reach = graph.add("Add", reach, _number(1))
        first = graph.add("Max", graph.add("Floor", graph.add("Sub", start, reach)), _number(0))
        last = graph.add("Min", graph.add("Ceil", graph.add("Add", end, reach)), side)
        counts.append(graph.cast(graph.add("Sub", last, first), "int64"))
    return counts[0], counts[1]


def _rows_first(graph: Graph, view: Preprocessing, sides: Pair, target: Pair) -> str:
    """Whether hubtune resizes each row before the columns: the order with the smaller intermediate image."""
    if view.fit in ("crop", "stretch_crop"):
        return graph.add("LessOrEqual", *sides)
    row_count, column_count = (
        graph.add("Mul", *each) for each in ((target[1], sides[0]), (target[0], sides[1]))
    )
    return graph.add("LessOrEqual", row_count, column_count)


def _without_ends(
    graph: Graph, view: Preprocessing, pixels: str, numbers: tuple[Pair, Pair, Pair]
) -> tuple[str, Pair, Pair]:
    """Cut the middle out of an image that is very long: resized, it could have gigabytes.

    ``numbers`` are the sides of the image, those of the whole resized one, and the place of the crop in that.
    Returns the image, its resized sides, and the place of the crop in what remains.
    """
    short = graph.add("Min", *numbers[0])
    begins, ends, targets, places = [], [], [], []
    for side, wanted, place in zip(*numbers, strict=True):
        # Blocks of the short side: each becomes `resize` pixels.
        blocks = graph.add("Div", side, short)
        long = graph.add("Greater", blocks, _vector(_LONGEST))
        first = graph.add("Sub", _half(graph, blocks), _vector(_REMAINING // 2))
        first = graph.add("Where", long, first, _vector(0))
        begins.append(graph.add("Mul", first, short))
        end = graph.add("Add", begins[-1], graph.add("Mul", short, _vector(_REMAINING)))
        ends.append(graph.add("Where", long, end, side))
        targets.append(graph.add("Where", long, _vector(_REMAINING * view.resize), wanted))
        places.append(graph.add("Sub", place, graph.add("Mul", first, _vector(view.resize))))
    begin, end = (graph.add("Concat", *each, axis=0) for each in (begins, ends))
    part = graph.add("Slice", pixels, begin, end, _vector(1, 2))
    return part, (targets[0], targets[1]), (places[0], places[1])


def _resized(graph: Graph, view: Preprocessing, maps: str, target: Pair, rows_first: str) -> str:
    """Resize maps ``[1, channels, h, w]``, one axis after the other."""
    sides = [graph.add("Shape", maps, start=axis, end=axis + 1) for axis in (2, 3)]
    between = (
        graph.add("Where", rows_first, sides[0], target[0]),
        graph.add("Where", rows_first, target[1], sides[1]),
    )
    for high, wide in (between, target):
        # The sizes of all axes: onnxruntime fails when it moves the transposition across a Resize of two.
        sizes = graph.add("Concat", _vector(1, view.channels), high, wide, axis=0)
        # onnxruntime 1.17 does not infer how many they are, and then refuses the model.
        sizes = graph.add("Reshape", sizes, _vector(4))
        settings = {"antialias": 1, "exclude_outside": 1, **_MODES[view.interpolation]}
        maps = graph.add("Resize", maps, "", "", sizes, **settings)
    return maps


def _padded(graph: Graph, view: Preprocessing, maps: str, target: Pair) -> str:
    """Put maps ``[1, channels, h, w]`` in the middle of a square of the mean colour."""
    sides = graph.add("Concat", *target, axis=0)
    space = graph.add("Sub", _vector(view.size), sides)
    before = _half(graph, space)
    # Of all axes, for the same reason as the sizes.
    pads = graph.add("Concat", _vector(0, 0), before, _vector(0, 0), graph.add("Sub", space, before), axis=0)
    shape = graph.add("Concat", _vector(1, 1), sides, axis=0)
    inside = graph.add("Pad", graph.add("Expand", np.ones([1, 1, 1, 1], np.uint8), shape), pads)
    colour = np.array(view.mean_colour, np.uint8).reshape(1, -1, 1, 1)
    return graph.add("Where", graph.cast(inside, "bool"), graph.add("Pad", maps, pads), colour)


def _half(graph: Graph, number: str) -> str:
    return graph.add("Div", number, _vector(2))


def _vector(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def _number(value: float) -> np.ndarray:
    return np.array([value], np.float64)
