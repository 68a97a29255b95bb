"""A network as an ONNX model, written from the program that Paddle traces.

Paddle saves a program as JSON: operations with their attributes, and the types of all values. This needs only
the package onnx; paddle2onnx has no release for current versions of Python and onnx.
"""

import json
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle import nn

from hubtune.export.onnx_arithmetic import ARITHMETIC
from hubtune.export.onnx_graph import (
    IR_VERSION,
    OPSET,
    Graph,
    Operation,
    Source,
    Tensor,
    TensorType,
    onnx_package,
    unsupported,
)
from hubtune.export.onnx_indexing import INDEXING
from hubtune.export.onnx_layers import LAYERS

if TYPE_CHECKING:
    import onnx

_TRANSLATIONS = {**ARITHMETIC, **INDEXING, **LAYERS}

Values = dict[int, Tensor | list[Tensor]]
"""The values of a program by their numbers."""


def onnx_program(
    layer: nn.Layer, inputs: Sequence[paddle.static.InputSpec], outputs: Sequence[str]
) -> "onnx.ModelProto":
    """Write a network, which is switched to evaluation mode, as an ONNX model.

    Args:
        layer: maps tensors to one tensor, or to a tuple or list of different ones.
        inputs: names, shapes and kinds of its inputs, in order; a side is ``None`` for any. Sides that are
            known make the network faster, and some networks need them.
        outputs: names of its outputs, in order.

    Returns:
        A model that the checker of onnx accepts. Its bytes depend only on the network.

    Raises:
        MachineError: the package onnx is not installed.
        ModelError: the network has an operator that is not translated, or its weights exceed 2 GB.
        Exception: of any kind, if Paddle cannot trace the network; foreign code can fail in any way.
    """
    onnx = onnx_package()
    layer.eval()
    operations = _trace(layer, inputs)
    graph = Graph()
    results = _translate(graph, operations, _weights(graph, layer))
    if len(results) != len(outputs):
        raise ValueError(f"the network has {len(results)} outputs, not {len(outputs)}")
    graph.proto.input.extend(
        _value_info(spec.name, str(spec.dtype).removeprefix("paddle."), spec.shape) for spec in inputs
    )
    graph.proto.output.extend(
        _named(graph, tensor, name) for tensor, name in zip(results, outputs, strict=True)
    )
    model = onnx.helper.make_model(
        graph.proto,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="hubtune",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _trace(layer: nn.Layer, inputs: Sequence[paddle.static.InputSpec]) -> list[dict[str, Any]]:
    """Return the operations of the network's program."""
    with TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder, "network")
        paddle.jit.save(layer, str(path), input_spec=list(inputs))
        program = json.loads(path.with_suffix(".json").read_text("utf-8"))
    operations: list[dict[str, Any]] = program["program"]["regions"][0]["blocks"][0]["ops"]
    return operations


def _weights(graph: Graph, layer: nn.Layer) -> dict[str, Tensor]:
    """Return the network's weights by the names that Paddle gives them, which depend on the process."""
    named = [*layer.named_parameters(), *layer.named_buffers()]
    return {tensor.name: _weight(graph, key, tensor) for key, tensor in reversed(named) if tensor is not None}


def _weight(graph: Graph, key: str, tensor: paddle.Tensor) -> Tensor:
    def initialize() -> str:
        graph.initialize(key, tensor.numpy())
        return key

    kind = str(tensor.dtype).removeprefix("paddle.")
    # Written where it is first used: what the network's answer does not depend on stays out of the file.
    return Tensor(graph, TensorType(kind, tuple(tensor.shape)), cache(initialize))


def _translate(graph: Graph, entries: list[dict[str, Any]], weights: dict[str, Tensor]) -> list[Tensor]:
    """Add the nodes of a program's operations; return the values of its outputs, in order."""
    values: Values = {}
    results: dict[int, Tensor] = {}
    inputs: set[int] = set()
    for entry in entries:
        if entry["#"] == "p":  # a weight
            values[entry["O"]["%"]] = weights[entry["A"][3]]
            continue
        operands = [values.get(operand["%"]) for operand in entry["I"]]
        operation = Operation(graph, entry, operands)
        numbers = [output["%"] for output in entry["O"]]
        if entry["#"] == "1.fetch":
            # Paddle 3.3 writes an input for some outputs that are computed from it in a single step.
            if entry["I"][0]["%"] in inputs:
                raise unsupported("an input among its outputs")
            results[operation["col"]] = operation.tensor()
        elif entry["#"] == "1.data":
            inputs.update(numbers)
            values[numbers[0]] = Tensor(graph, operation.type, operation["name"])
        elif entry["#"] == "0.combine":
            values[numbers[0]] = [each for each in operands if isinstance(each, Tensor)]
        elif entry["#"] == "0.split":  # a sequence to its elements
            values.update(zip(numbers, operation.tensors(), strict=True))
        elif entry["#"] == "0.slice":  # one element of a sequence
            values[numbers[0]] = operation.tensors()[operation["index"]]
        else:
            values.update(zip(numbers, _results(graph, operation), strict=False))
    return [results[column] for column in sorted(results)]


def _results(graph: Graph, operation: Operation) -> list[Tensor | list[Tensor]]:
    """Translate an operation; return those of its outputs that ONNX has."""
    if operation.namespace != "1" or operation.name not in _TRANSLATIONS:
        raise unsupported(f"an operator '{operation.name}'")
    result = _TRANSLATIONS[operation.name](operation)
    sources = result if isinstance(result, list) else [result]
    if isinstance(sequence := operation.outputs[0], list):
        return [[_tensor(graph, *pair) for pair in zip(sequence, sources, strict=True)]]
    types = [each for each in operation.outputs if isinstance(each, TensorType)]
    return [_tensor(graph, *pair) for pair in zip(types, sources, strict=False)]


def _tensor(graph: Graph, type_: TensorType, source: Source | Tensor) -> Tensor:
    if isinstance(source, Tensor):
        return source
    return Tensor(graph, type_, source if isinstance(source, str) else source.astype(type_.kind))


def _named(graph: Graph, tensor: Tensor, name: str) -> "onnx.ValueInfoProto":
    """Give an output its name, and describe it."""
    # A node for it: one value may be several outputs, or be an input, too.
    graph.proto.node.append(onnx_package().helper.make_node("Identity", [tensor.name], [name], name=name))
    return _value_info(name, tensor.kind, tensor.shape)


def _value_info(name: str, kind: str, shape: Sequence[int | None]) -> "onnx.ValueInfoProto":
    helper = onnx_package().helper
    sides = [f"{name}_{axis}" if side in (-1, None) else side for axis, side in enumerate(shape)]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), sides)
