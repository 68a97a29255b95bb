"""Names in the descriptions that lie beside Paddle 1's parameters."""

import pytest
from paddle.base import core
from paddle.base.framework import Program
from support.fluid import field, module_bytes, program_bytes

from hubtune.storage.fluid.program import module_name, parameter_names


def test_the_persistent_variables_of_a_program_are_sorted_and_others_left_out():
    assert parameter_names(program_bytes(["fc_0.w_0", "conv1_weights", "a/b"])) == [
        "a/b",
        "conv1_weights",
        "fc_0.w_0",
    ]
    assert parameter_names(b"") == []


def test_a_program_that_paddle_writes_has_its_names():
    program = Program().desc
    for name, kind, persistent in (
        ("w_0", "DENSE_TENSOR", True),
        ("x", "DENSE_TENSOR", False),
        ("r", "RAW", True),
    ):
        variable = program.block(0).var(name.encode())
        variable.set_type(getattr(core.VarDesc.VarType, kind))
        variable.set_persistable(persistent)
    assert parameter_names(program.serialize_to_string()) == ["w_0"]


def test_the_name_of_a_module_is_found_in_its_description():
    assert module_name(module_bytes("mobilenet_v2_imagenet")) == "mobilenet_v2_imagenet"
    assert module_name(b"") is None
    assert module_name(field(3, b"")) is None


@pytest.mark.parametrize("cut", [3, 20, 40])
def test_damaged_descriptions_are_value_errors(cut):
    for read, data in ((parameter_names, program_bytes(["w"])), (module_name, module_bytes("m"))):
        with pytest.raises(ValueError):  # any part can be cut
            read(data[:cut])
    with pytest.raises(ValueError, match="lacks its name"):
        parameter_names(field(1, field(3, field(3, 1))))
