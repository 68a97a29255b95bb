"""Tensors, programs and all else in folders, archives and single files."""

import re

import numpy as np
import pytest
from support.fluid import pack, program_bytes, save_combined, save_parameters, tensor_bytes

from hubtune.errors import ModelError
from hubtune.storage.fluid.content import is_archive, is_tensors, read_tensor_files

ARRAYS = {"conv1_weights": np.ones((2, 3), "float32"), "fc_0.w_0": np.zeros(4, "float32")}
NOTHING = re.compile("$^")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net").mkdir()
    return save_parameters(tmp_path / "net", ARRAYS)


def test_tensors_programs_and_other_files_are_told_apart(folder, tmp_path):
    (folder / "__model__").write_bytes(program_bytes(ARRAYS))
    (folder / "README.md").write_text("mine")
    content = read_tensor_files(folder, excluded=NOTHING)
    assert {name: len(values) for name, values in content.tensors.items()} == dict.fromkeys(ARRAYS, 1)
    assert (list(content.documents), content.others) == (["__model__"], ["README.md"])
    packed = read_tensor_files(pack(folder, tmp_path / "net.tar.gz"), excluded=re.compile("net/fc.*"))
    assert list(packed.tensors) == ["net/conv1_weights"]
    assert is_archive(tmp_path / "net.tar.gz") and not is_archive(folder / "fc_0.w_0")
    assert is_tensors(folder / "fc_0.w_0") and not is_tensors(folder / "README.md")


def test_a_file_of_all_parameters_is_read_with_the_program_beside_it(tmp_path):
    file = save_combined(tmp_path / "__params__", ARRAYS)
    assert [len(values) for values in read_tensor_files(file, excluded=NOTHING).tensors.values()] == [2]
    (tmp_path / "__model__").write_bytes(b"x")
    assert read_tensor_files(file, excluded=NOTHING).documents == {"__model__": b"x"}


def test_a_damaged_file_is_named(folder):
    (folder / "conv1_weights").write_bytes(tensor_bytes(ARRAYS["conv1_weights"])[:-1])
    with pytest.raises(
        ModelError,
        match=r"net cannot be used as weights: the parameter 'conv1_weights' is damaged \(it is cut",
    ):
        read_tensor_files(folder, excluded=NOTHING)
