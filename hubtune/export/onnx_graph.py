"""The parts of an ONNX graph while a Paddle program is translated to it: nodes, constants and operations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from hubtune.errors import MachineError, ModelError
from hubtune.extras import install_extra

OPSET = 18
"""The first with an antialiased Resize; onnxruntime 1.17 and onnxruntime-web read it."""

IR_VERSION = 8
"""The version of the file format that came with :data:`OPSET`."""

# A protocol buffer holds 2 GiB; the rest is for the nodes.
_MOST_BYTES = 2**31 - 2**24
_KINDS = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "ui8": "uint8",
    "bool": "bool",
}


def onnx_package() -> ModuleType:
    """Import the package onnx; raise a MachineError if it is not installed."""
    try:
        import onnx  # here, as it is an extra
    except ImportError as error:
        raise MachineError(f"The package onnx is not installed: {install_extra('onnx')}") from error
    return onnx


def unsupported(description: str) -> ModelError:
    """The error for a part of a network that cannot be written as ONNX."""
    return ModelError(
        f"This network cannot be exported to ONNX, as it has {description}: "
        "use another format, openvino or paddlehub"
    )


@dataclass(frozen=True)
class TensorType:
    """Kind of the elements, such as ``float32``, and shape, with -1 for sides that vary."""

    kind: str
    shape: tuple[int, ...]

    @classmethod
    def parse(cls, entry: Any) -> "TensorType | list[TensorType] | None":
        """Read a type of the program's JSON; a list for a sequence of tensors, ``None`` for no tensor."""
        if not entry:
            return None
        if entry["#"] == "0.t_vec":
            parts = (cls.parse(part) for part in entry["D"])
            return [part for part in parts if isinstance(part, TensorType)]
        kind, shape = entry["D"][0]["#"].removeprefix("0.t_"), entry["D"][1]
        return cls(_KINDS.get(kind, kind), tuple(shape))


class Tensor:
    """A value of the graph: the output of a node, an input, a weight, or a constant.

    Constants are written to the graph where a node takes them: most are only settings of operators.
    """

    def __init__(self, graph: "Graph", type_: TensorType, source: "Source | Callable[[], str]") -> None:
        """``source`` is the value's name, what returns it, or the value of a constant."""
        self._graph, self._source = graph, source
        self.kind, self.shape = type_.kind, type_.shape
        self.value = source if isinstance(source, np.ndarray) else None

    @property
    def name(self) -> str:
        """The value's name in the graph."""
        if isinstance(self._source, np.ndarray):
            return self._graph.constant(self._source)
        return self._source if isinstance(self._source, str) else self._source()


Source = str | np.ndarray
"""The name of a node's output, or the value of a constant."""


class Graph:
    """Collects nodes and initializers, with names that do not depend on the process.

    Attributes:
        proto: the graph as onnx has it.
    """

    def __init__(self, prefix: str = "") -> None:
        """``prefix`` is put before all names but those of weights."""
        self._prefix = prefix
        self._onnx = onnx_package()
        self.proto = self._onnx.GraphProto(name="network")
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._bytes = 0

    def add(self, kind: str, *inputs: Source, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of names with several ``outputs``.

        An empty name is an input that is omitted.
        """
        names = [self.constant(each) if isinstance(each, np.ndarray) else each for each in inputs]
        name = f"{self._prefix}{kind}_{len(self.proto.node)}"
        results = [name + (f"_{index}" if index else "") for index in range(outputs)]
        node = self._onnx.helper.make_node(kind, names, results, name=name, **attributes)
        self.proto.node.append(node)
        return results[0] if outputs == 1 else results

    def cast(self, name: Source, kind: str) -> str:
        """Add a node that converts values to a kind such as ``float32``."""
        try:
            code = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        except TypeError as error:
            raise unsupported(f"values of kind {kind}") from error
        return self.add("Cast", name, to=code)

    def constant(self, value: np.ndarray) -> str:
        """Return the name of an initializer of this value; equal ones are shared."""
        key = (value.dtype.name, value.shape, value.tobytes())
        if key not in self._constants:
            name = f"{self._prefix}constant_{len(self._constants)}"
            self._constants[key] = name
            self.initialize(name, value)
        return self._constants[key]

    def initialize(self, name: str, value: np.ndarray) -> None:
        """Add an initializer; raise a ModelError if all together exceed what a file of ONNX holds."""
        self._bytes += value.nbytes
        if self._bytes > _MOST_BYTES:
            raise ModelError(
                "The network's weights exceed 2 GB, the most that an ONNX file holds: "
                "use another format, openvino or paddlehub"
            )
        # In place: each copy of a message with all weights takes a second.
        code = self._onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        self.proto.initializer.add(name=name, data_type=code, dims=value.shape, raw_data=value.tobytes())


class Operation:
    """One operation of a Paddle program, while it is translated.

    Attributes:
        namespace: 0 for Paddle's own constructs, 1 for operators: ``split`` and ``slice`` are in both.
        name: the operator's name in Paddle, such as ``conv2d``.
        outputs: the types of its results.
    """

    def __init__(
        self,
        graph: Graph,
        entry: dict[str, Any],
        inputs: Sequence[Tensor | list[Tensor] | None],
    ) -> None:
        """``entry`` is the operation in the program's JSON; an omitted input is ``None``."""
        self.namespace, _, self.name = entry["#"].partition(".")
        self.outputs = [TensorType.parse(output.get("TT")) for output in entry["O"]]
        self._graph, self._inputs = graph, inputs
        self._attributes = {each["N"]: attribute_value(each["AT"]) for each in entry.get("A", [])}

    def __getitem__(self, name: str) -> Any:
        """An attribute."""
        return self._attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or a default if this version of Paddle does not write it."""
        return self._attributes.get(name, default)

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self._inputs)

    def has(self, index: int) -> bool:
        return index < len(self._inputs) and self._inputs[index] is not None

    def tensor(self, index: int = 0) -> Tensor:
        tensor = self._inputs[index]
        if not isinstance(tensor, Tensor):
            raise unsupported(f"an operator '{self.name}' of an unknown form")
        return tensor

    def tensors(self, index: int = 0) -> list[Tensor]:
        """A sequence of tensors; a single one is a sequence of one."""
        tensors = self._inputs[index]
        return tensors if isinstance(tensors, list) else [self.tensor(index)]

    def input(self, index: int = 0) -> str:
        """The name of an input in the graph."""
        return self.tensor(index).name

    def value(self, index: int) -> np.ndarray:
        """The value of an input; raise a ModelError if it is computed from the network's inputs."""
        value = self.tensor(index).value
        if value is None:
            raise unsupported(f"an operator '{self.name}' whose settings depend on the image")
        return value

    def integers(self, index: int) -> list[int]:
        return [int(each) for each in self.value(index).reshape(-1)]

    def vector(self, index: int) -> Source:
        """An input of numbers, such as a shape, as int64 in one dimension.

        Paddle has it as one tensor, or as a sequence of scalars.
        """
        parts = self.tensors(index)
        values = [part.value for part in parts]
        known = [value.reshape(-1) for value in values if value is not None]
        if len(known) == len(parts):
            return np.concatenate(known).astype(np.int64)
        flat = [self.flat_integers(part) for part in parts]
        return flat[0] if len(flat) == 1 else self.add("Concat", *flat, axis=0)

    def flat_integers(self, tensor: Tensor) -> str:
        name = tensor.name if tensor.kind == "int64" else self.cast(tensor.name, "int64")
        return name if len(tensor.shape) == 1 else self.add("Reshape", name, np.array([-1]))

    def add(self, kind: str, *inputs: Source, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node to the graph; see :meth:`Graph.add`."""
        return self._graph.add(kind, *inputs, outputs=outputs, **attributes)

    def cast(self, name: Source, kind: str) -> str:
        """Add a node that converts values to a kind such as ``float32``."""
        return self._graph.cast(name, kind)

    def scalar(self, value: float, index: int = 0) -> np.ndarray:
        """A constant of the kind of an input."""
        return np.array(value, self.tensor(index).kind)

    @property
    def type(self) -> TensorType:
        """The type of the first result."""
        if not isinstance(self.outputs[0], TensorType):
            raise unsupported(f"an operator '{self.name}' of an unknown form")
        return self.outputs[0]


def attribute_value(entry: Any) -> Any:
    """Return the value of an attribute of the program's JSON."""
    if not isinstance(entry, dict):
        return entry
    if "VD" in entry:  # infinity and NaN, which JSON lacks
        return float(entry["VD"])
    value = entry.get("D")
    return [attribute_value(each) for each in value] if isinstance(value, list) else value


Result = Source | list[str] | Tensor
"""What a translation returns: one output, all outputs, or an input that stays as it is."""

Translation = Callable[[Operation], Result]
"""Adds the nodes for an operation of a Paddle program."""
