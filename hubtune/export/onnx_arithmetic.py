"""Paddle's arithmetic, comparisons, activations and reductions as nodes of ONNX."""

from functools import partial

import numpy as np

from hubtune.export.onnx_graph import Operation, Result, Source, Translation, unsupported


def _node(kind: str, op: Operation) -> Result:
    return op.add(kind, *(op.input(index) for index in range(op.count)))


def _unchanged(op: Operation) -> Result:
    return op.tensor()


def _scale(op: Operation) -> Result:
    factor, bias = op.value(1).item() if op.has(1) else op["scale"], op["bias"]
    values: Source = op.input()
    steps = [("Mul", factor, 1), ("Add", bias, 0)]
    for kind, number, neutral in steps if op["bias_after_scale"] else steps[::-1]:
        if number != neutral:
            values = op.add(kind, values, op.scalar(number))
    return values if values != op.input() else op.tensor()


def _cast(op: Operation) -> Result:
    return op.tensor() if op.tensor().kind == op.type.kind else op.cast(op.input(), op.type.kind)


def _power(op: Operation) -> Result:
    return op.add("Pow", op.input(), op.scalar(op["y"]))


def _floor_divide(op: Operation) -> Result:
    quotient = op.add("Div", op.input(0), op.input(1))
    # Integers here are sides, which are not negative; ONNX rounds their quotients towards zero.
    return quotient if "int" in op.tensor().kind else op.add("Floor", quotient)


def _not_equal(op: Operation) -> Result:
    return op.add("Not", op.add("Equal", op.input(0), op.input(1)))


def _clip(op: Operation) -> Result:
    limits = (op.value(index).reshape(()).astype(op.tensor().kind) for index in (1, 2))
    return op.add("Clip", op.input(), *limits)


def _relu6(op: Operation) -> Result:
    return op.add("Clip", op.input(), op.scalar(0), op.scalar(6))


def _round(op: Operation) -> Result:
    if op.get("decimals", 0):
        raise unsupported("a rounding to decimals")
    return op.add("Round", op.input())


def _rsqrt(op: Operation) -> Result:
    return op.add("Reciprocal", op.add("Sqrt", op.input()))


def _square(op: Operation) -> Result:
    return op.add("Mul", op.input(), op.input())


def _swish(op: Operation) -> Result:
    return op.add("Mul", op.input(), op.add("Sigmoid", op.input()))


def _gelu(op: Operation) -> Result:
    values = op.input()
    if op["approximate"]:
        cubes = op.add("Mul", op.add("Mul", values, op.add("Mul", values, values)), op.scalar(0.044715))
        inner = op.add("Mul", op.add("Add", values, cubes), op.scalar((2 / np.pi) ** 0.5))
        share = op.add("Tanh", inner)
    else:
        share = op.add("Erf", op.add("Mul", values, op.scalar(0.5**0.5)))
    return op.add("Mul", op.add("Mul", values, op.scalar(0.5)), op.add("Add", share, op.scalar(1)))


def _hard_sigmoid(op: Operation) -> Result:
    return op.add("HardSigmoid", op.input(), alpha=op["slope"], beta=op["offset"])


def _leaky_relu(op: Operation) -> Result:
    return op.add("LeakyRelu", op.input(), alpha=op["negative_slope"])


def _elu(op: Operation) -> Result:
    return op.add("Elu", op.input(), alpha=op["alpha"])


def _softplus(op: Operation) -> Result:
    # Paddle is linear above the threshold, where the difference is below the accuracy of float32.
    beta = op.scalar(op.get("beta", 1.0))
    return op.add("Div", op.add("Softplus", op.add("Mul", op.input(), beta)), beta)


def _softmax(kind: str, op: Operation) -> Result:
    return op.add(kind, op.input(), axis=op["axis"])


def _matmul(op: Operation) -> Result:
    names = []
    for index, flag in enumerate(("transpose_x", "transpose_y")):
        name, rank = op.input(index), len(op.tensor(index).shape)
        if op.get(flag, False) and rank > 1:
            name = op.add("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])
        names.append(name)
    return op.add("MatMul", *names)


def _addmm(op: Operation) -> Result:
    product = op.add("Mul", op.add("MatMul", op.input(1), op.input(2)), op.scalar(op["alpha"]))
    return op.add("Add", op.add("Mul", op.input(), op.scalar(op["beta"])), product)


def _einsum(op: Operation) -> Result:
    return op.add("Einsum", *(tensor.name for tensor in op.tensors()), equation=op["equation"])


def _reduce(kind: str, op: Operation) -> Result:
    axes = op.integers(1) if op.has(1) else op.get("axis", [])
    axes = [axes] if isinstance(axes, int) else axes
    # Paddle counts in int64 what is true.
    values = op.input() if op.tensor().kind == op.type.kind else op.cast(op.input(), op.type.kind)
    return op.add(kind, values, *([np.array(axes)] if axes else []), keepdims=int(op["keepdim"]))


def _norm(op: Operation) -> Result:
    kind = {1.0: "ReduceL1", 2.0: "ReduceL2"}.get(op["porder"])
    if kind is None:
        raise unsupported(f"a norm of order {op['porder']}")
    axes = [] if op["asvector"] else [np.array([op["axis"]])]
    return op.add(kind, op.input(), *axes, keepdims=int(op["keepdim"]))


def _arg_extreme(kind: str, op: Operation) -> Result:
    values, axis = op.input(), op.integers(1)[0]
    if op["flatten"]:
        values, axis = op.add("Reshape", values, np.array([-1])), 0
    result = op.add(kind, values, axis=axis, keepdims=int(op["keepdims"] and not op["flatten"]))
    return result if op.type.kind == "int64" else op.cast(result, op.type.kind)


_SAME_FORM = {
    "abs": "Abs",
    "add": "Add",
    "bitwise_and": "And",
    "bitwise_not": "Not",
    "bitwise_or": "Or",
    "bmm": "MatMul",
    "ceil": "Ceil",
    "cos": "Cos",
    "divide": "Div",
    "elementwise_pow": "Pow",
    "equal": "Equal",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "greater_equal": "GreaterOrEqual",
    "greater_than": "Greater",
    "hardswish": "HardSwish",
    "less_equal": "LessOrEqual",
    "less_than": "Less",
    "log": "Log",
    "logical_and": "And",
    "logical_not": "Not",
    "logical_or": "Or",
    "logical_xor": "Xor",
    "maximum": "Max",
    "minimum": "Min",
    "mish": "Mish",
    "multiply": "Mul",
    "numel": "Size",
    "reciprocal": "Reciprocal",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "sign": "Sign",
    "sin": "Sin",
    "softsign": "Softsign",
    "sqrt": "Sqrt",
    "subtract": "Sub",
    "tanh": "Tanh",
    "where": "Where",
}
_REDUCTIONS = {
    "amax": "ReduceMax",
    "amin": "ReduceMin",
    "max": "ReduceMax",
    "mean": "ReduceMean",
    "min": "ReduceMin",
    "prod": "ReduceProd",
    "sum": "ReduceSum",
}
ARITHMETIC: dict[str, Translation] = {
    **{name: partial(_node, kind) for name, kind in _SAME_FORM.items()},
    **{name: partial(_reduce, kind) for name, kind in _REDUCTIONS.items()},
    "addmm": _addmm,
    "argmax": partial(_arg_extreme, "ArgMax"),
    "argmin": partial(_arg_extreme, "ArgMin"),
    "assign": _unchanged,
    "cast": _cast,
    "clip": _clip,
    "einsum": _einsum,
    "elu": _elu,
    "floor_divide": _floor_divide,
    "gelu": _gelu,
    "hardsigmoid": _hard_sigmoid,
    "leaky_relu": _leaky_relu,
    "log_softmax": partial(_softmax, "LogSoftmax"),
    "matmul": _matmul,
    "not_equal": _not_equal,
    "p_norm": _norm,
    "pow": _power,
    "relu6": _relu6,
    "round": _round,
    "rsqrt": _rsqrt,
    "scale": _scale,
    "silu": _swish,
    "softmax": partial(_softmax, "Softmax"),
    "softplus": _softplus,
    "square": _square,
    "swish": _swish,
}
"""Paddle's operator → its translation."""
