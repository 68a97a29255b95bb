"""Paddle's constants, and its operators on shapes, places and indices, as nodes of ONNX."""

import numpy as np

from hubtune.export.onnx_graph import Operation, Result, Translation, unsupported

_LAST = np.iinfo(np.int64).max
_BEFORE_FIRST = np.iinfo(np.int64).min


def _top_k(op: Operation) -> Result:
    flags = {name: int(op[name]) for name in ("largest", "sorted")}
    return op.add("TopK", op.input(), op.vector(1), outputs=2, axis=op["axis"], **flags)


def _arg_sort(op: Operation) -> Result:
    axis, rank = op["axis"], len(op.tensor().shape)
    axis += rank if axis < 0 else 0
    count = op.add("Shape", op.input(), start=axis, end=axis + 1)
    return op.add("TopK", op.input(), count, outputs=2, axis=axis, largest=int(op["descending"]))


def _concat(op: Operation) -> Result:
    tensors = op.tensors()
    axis = op.integers(1)[0] if op.has(1) else op["axis"]
    return op.add("Concat", *(tensor.name for tensor in tensors), axis=axis)


def _stack(op: Operation) -> Result:
    axis = np.array([op["axis"]])
    return op.add("Concat", *(op.add("Unsqueeze", each.name, axis) for each in op.tensors()), axis=op["axis"])


def _split(op: Operation) -> Result:
    parts, axis = op.integers(1), op.integers(2)[0]
    names = op.add("Split", op.input(), np.array(parts), outputs=len(parts), axis=axis)
    return names if isinstance(names, list) else [names]


def _split_evenly(op: Operation) -> Result:
    count, axis = op["num"], op.integers(1)[0]
    names = op.add("Split", op.input(), outputs=count, axis=axis, num_outputs=count)
    return names if isinstance(names, list) else [names]


def _unbind(op: Operation) -> Result:
    axis = op["axis"]
    count = op.tensor().shape[axis]
    names = op.add("Split", op.input(), outputs=count, axis=axis, num_outputs=count)
    return [op.add("Squeeze", name, np.array([axis])) for name in ([names] if count == 1 else names)]


def _slice(op: Operation) -> Result:
    axes = np.array(op["axes"], np.int64)
    if op.tensor().value is not None and op.name == "slice" and len(axes) == 1:
        values = np.array(op.tensor().value)
        [start], [end] = op.integers(1), op.integers(2)
        part = values[(slice(None),) * axes[0] + (slice(start, end),)]
        return part.squeeze(tuple(op["decrease_axis"])) if op["decrease_axis"] else part
    steps = [op.vector(3)] if op.name == "strided_slice" else []
    part = op.add("Slice", op.input(), op.vector(1), op.vector(2), axes, *steps)
    removed = op.get("decrease_axis", [])
    return op.add("Squeeze", part, np.array(removed, np.int64)) if removed else part


def _flip(op: Operation) -> Result:
    axes = np.array(op["axis"], np.int64)
    ends = np.full_like(axes, _BEFORE_FIRST)
    return op.add("Slice", op.input(), np.full_like(axes, -1), ends, axes, np.full_like(axes, -1))


def _roll(op: Operation) -> Result:
    values, shifts, axes = op.input(), op.integers(1), op["axis"]
    if not axes:
        raise unsupported("a 'roll' of all elements")
    for shift, axis in zip(shifts, axes, strict=True):
        cut, at = np.array([-shift]), np.array([axis])
        later = op.add("Slice", values, cut, np.array([_LAST]), at)
        values = op.add("Concat", later, op.add("Slice", values, np.array([0]), cut, at), axis=axis)
    return values


def _transpose(op: Operation) -> Result:
    return op.add("Transpose", op.input(), perm=op["perm"])


def _reshape(op: Operation) -> Result:
    return op.add("Reshape", op.input(), op.vector(1))


def _flatten(op: Operation) -> Result:
    shape = op.tensor().shape
    first, last = (axis + len(shape) if axis < 0 else axis for axis in (op["start_axis"], op["stop_axis"]))
    # 0 stands for the side of the input, which has the same place only before the merged sides.
    before, after = np.zeros(first, np.int64), shape[last + 1 :]
    if -1 not in after:
        return op.add("Reshape", op.input(), np.array([*before, -1, *after], np.int64))
    rest = op.add("Shape", op.input(), start=last + 1)
    sides = op.add("Concat", np.array([*before, -1], np.int64), rest, axis=0)
    return op.add("Reshape", op.input(), sides)


def _squeeze(op: Operation) -> Result:
    shape, axes = op.tensor().shape, op.integers(1)
    if axes:
        # Paddle leaves sides other than 1 as they are.
        axes = [axis for axis in axes if shape[axis] in (1, -1)]
    else:
        axes = [axis for axis, side in enumerate(shape) if side == 1]
    return op.add("Squeeze", op.input(), np.array(axes, np.int64)) if axes else op.tensor()


def _unsqueeze(op: Operation) -> Result:
    return op.add("Unsqueeze", op.input(), np.array(op.integers(1), np.int64))


def _expand(op: Operation) -> Result:
    # -1 keeps a side in Paddle, 1 does in ONNX.
    sides = op.vector(1)
    sides = np.abs(sides) if isinstance(sides, np.ndarray) else op.add("Abs", sides)
    return op.add("Expand", op.input(), sides)


def _expand_as(op: Operation) -> Result:
    sides = op.add("Shape", op.input(1)) if op.has(1) else np.abs(np.array(op["target_shape"]))
    return op.add("Expand", op.input(), sides)


def _tile(op: Operation) -> Result:
    counts, rank = op.integers(1), len(op.tensor().shape)
    values = op.input()
    if len(counts) > rank:
        values = op.add("Unsqueeze", values, np.arange(len(counts) - rank))
    counts = [1] * (rank - len(counts)) + counts
    return op.add("Tile", values, np.array(counts, np.int64))


def _full(op: Operation) -> Result:
    return np.full(op["shape"], op["value"], op.type.kind)


def _full_integers(op: Operation) -> Result:
    return np.array(op["value"], np.int64)


def _assigned(op: Operation) -> Result:
    return np.array(op["values"], op.type.kind).reshape(op["shape"])


def _full_like(op: Operation) -> Result:
    value = op.value(1).reshape(()).astype(op.type.kind)
    return op.add("Expand", value, op.add("Shape", op.input()))


def _full_with_tensor(op: Operation) -> Result:
    return op.add("Expand", op.value(0).reshape(()).astype(op.type.kind), op.vector(1))


def _shape(op: Operation) -> Result:
    if -1 not in op.tensor().shape:
        return np.array(op.tensor().shape, op.type.kind)
    sides = op.add("Shape", op.input())
    return sides if op.type.kind == "int64" else op.cast(sides, op.type.kind)


def _range(op: Operation) -> Result:
    limits = []
    for index in range(3):
        name = op.input(index)
        if op.tensor(index).kind != op.type.kind:
            name = op.cast(name, op.type.kind)
        limits.append(op.add("Reshape", name, np.array([], np.int64)))
    return op.add("Range", *limits)


def _one_hot(op: Operation) -> Result:
    return op.add("OneHot", op.input(), op.vector(1), np.array([0, 1], op.type.kind))


def _gather(op: Operation) -> Result:
    indices = op.input(1)
    if len(op.tensor(1).shape) == 2:
        indices = op.add("Reshape", indices, np.array([-1]))
    return op.add("Gather", op.input(), indices, axis=op.integers(2)[0] if op.has(2) else 0)


def _index_select(op: Operation) -> Result:
    return op.add("Gather", op.input(), op.input(1), axis=op["axis"])


def _gather_nd(op: Operation) -> Result:
    indices = op.input(1)
    return op.add(
        "GatherND", op.input(), indices if op.tensor(1).kind == "int64" else op.cast(indices, "int64")
    )


def _take_along_axis(op: Operation) -> Result:
    return op.add("GatherElements", op.input(), op.input(1), axis=op.get("axis", 1))


def _embedding(op: Operation) -> Result:
    return op.add("Gather", op.input(1), op.input(0), axis=0)


INDEXING: dict[str, Translation] = {
    "arange": _range,
    "argsort": _arg_sort,
    "assign_value": _assigned,
    "assign_value_": _assigned,
    "concat": _concat,
    "embedding": _embedding,
    "expand": _expand,
    "expand_as": _expand_as,
    "flatten": _flatten,
    "flip": _flip,
    "full": _full,
    "full_int_array": _full_integers,
    "full_like": _full_like,
    "full_with_tensor": _full_with_tensor,
    "gather": _gather,
    "gather_nd": _gather_nd,
    "index_sample": _take_along_axis,
    "index_select": _index_select,
    "one_hot": _one_hot,
    "reshape": _reshape,
    "roll": _roll,
    "shape": _shape,
    "shape64": _shape,
    "slice": _slice,
    "split": _split,
    "split_with_num": _split_evenly,
    "squeeze": _squeeze,
    "stack": _stack,
    "strided_slice": _slice,
    "take_along_axis": _take_along_axis,
    "tile": _tile,
    "topk": _top_k,
    "transpose": _transpose,
    "unbind": _unbind,
    "unsqueeze": _unsqueeze,
}
"""Paddle's operator → its translation."""
