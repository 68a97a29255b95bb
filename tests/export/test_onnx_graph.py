"""A graph shares equal constants, reads the types of a program, and has a limit of bytes."""

import sys

import numpy as np
import pytest

from hubtune.errors import MachineError, ModelError
from hubtune.export import onnx_graph
from hubtune.export.onnx_graph import Graph, Operation, Tensor, TensorType, attribute_value, onnx_package
from hubtune.extras import install_extra


def test_equal_constants_are_written_once_and_constants_without_a_node_never():
    graph = Graph()
    two, other = np.array([2], np.int64), np.array([2], np.float32)
    Tensor(graph, TensorType("int64", (1,)), np.array([3]))
    assert graph.constant(two) == graph.constant(two.copy()) != graph.constant(other)
    assert graph.constant(np.array(2, np.int64)) not in (graph.constant(two), graph.constant(other))
    assert [list(each.dims) for each in graph.proto.initializer] == [[1], [1], []]


def test_weights_of_more_than_a_file_holds_are_refused(monkeypatch):
    monkeypatch.setattr(onnx_graph, "_MOST_BYTES", 100)
    graph = Graph()
    graph.initialize("first", np.zeros(25, np.float32))
    with pytest.raises(ModelError) as refusal:
        graph.initialize("second", np.zeros(1, np.float32))
    assert str(refusal.value) == (
        "The network's weights exceed 2 GB, the most that an ONNX file holds: "
        "use another format, openvino or paddlehub"
    )


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MachineError) as refusal:
        onnx_package()
    assert str(refusal.value) == f"The package onnx is not installed: {install_extra('onnx')}"


def test_types_and_attributes_of_a_program_are_read():
    single = {"#": "0.t_dtensor", "D": [{"#": "0.t_ui8"}, [-1, 3], "NCHW", [], 0]}
    assert TensorType.parse(single) == TensorType("uint8", (-1, 3))
    assert TensorType.parse({"#": "0.t_vec", "D": [single, single]}) == [TensorType("uint8", (-1, 3))] * 2
    assert TensorType.parse({}) is None
    numbers = [{"#": "0.a_i32", "D": 1}, {"#": "0.a_i64", "D": -2}]
    assert attribute_value({"#": "0.a_array", "D": numbers}) == [1, -2]
    assert attribute_value({"#": "1.a_intarray", "D": [4, 5]}) == [4, 5]
    assert attribute_value({"#": "0.a_f32", "VD": "-INF"}) == -np.inf


def test_a_sequence_is_not_a_tensor():
    graph = Graph()
    parts = [Tensor(graph, TensorType("int64", ()), np.array(number)) for number in (3, 4)]
    operation = Operation(graph, {"#": "1.reshape", "O": [{}]}, [parts, None])
    assert (operation.count, operation.has(0), operation.has(1)) == (2, True, False)
    assert operation.vector(0).tolist() == [3, 4]
    for question in (operation.tensor, lambda: operation.type):
        with pytest.raises(ModelError, match="an operator 'reshape' of an unknown form"):
            question()
