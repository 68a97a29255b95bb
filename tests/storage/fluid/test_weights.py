"""Parameters of Paddle 1, in every form that it and PaddleHub 1 wrote them in."""

import gzip
import io
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fluid import module_bytes, pack, program_bytes, save_combined, save_parameters, tensor_bytes
from support.waiting import CallCount

from hubtune.errors import ModelError
from hubtune.storage.fluid.weights import (
    has_parameters,
    hub_module_name,
    is_fluid,
    read_fluid,
    read_variables,
    split_module,
    unnamed_parameter,
)
from hubtune.storage.safe_load import read_weights

ARRAYS = {
    "conv1_weights": np.arange(6, dtype="float32").reshape(2, 3),
    "xception_71/entry_flow/conv1/weights": np.ones(3, "float32"),
    "bn_conv1_mean": np.zeros(2, "float32"),
    "fc_0.w_0": np.full((2, 2), 0.5, "float32"),
}
STATES = {
    "conv1_weights_moment1_0": np.zeros(6, "float32"),
    "conv1_weights_beta1_pow_acc_0": np.ones(1, "float32"),
    "fc_0.w_0_velocity_0": np.zeros(4, "float32"),
    "bn_conv1_scale__avg_squared_grad_0": np.zeros(2, "float32"),
    "learning_rate_0": np.ones(1, "float32"),
    "scheduled_learning_rate": np.ones(1, "float32"),
    "bn_conv1_scale_ema_0": np.zeros(2, "float32"),
    "@LR_DECAY_COUNTER@": np.array([45]),
}
MODULE = {f"@HUB_xception71_imagenet@{name}": value for name, value in ARRAYS.items()}
HEAD = {"cls_out_w": np.ones((2, 5), "float32"), "fc_0.w_0": np.zeros((9, 9), "float32")}


def assert_read(path, expected=ARRAYS, read=read_fluid):
    found = read(path)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def saved(folder, arrays):
    folder.mkdir(parents=True)
    return save_parameters(folder, arrays)


def refusal(path):
    with CallCount() as work, pytest.raises(ModelError) as caught:
        read_fluid(path)
    assert work.calls < 200_000
    return str(caught.value).removeprefix(str(path))


def test_a_folder_and_its_archives_give_the_parameters_without_the_optimizers_states(tmp_path):
    folder = saved(tmp_path / "ResNet50_pretrained", ARRAYS | STATES)
    (folder / "README.txt").write_text("from the table")
    assert_read(folder)
    for name in ("ResNet50_pretrained.tar", "ResNet50_pretrained.tar.gz"):
        assert_read(pack(folder, tmp_path / name))
        assert is_fluid(tmp_path / name)
    outer = tmp_path / "unpacked"
    outer.mkdir()
    folder.rename(outer / folder.name)
    assert_read(outer)  # unpacked into a folder of its own
    assert has_parameters(outer) and is_fluid(outer)


def test_a_file_of_all_gets_its_names_from_the_program_or_none(tmp_path):
    folder = tmp_path / "inference"
    folder.mkdir()
    file = save_combined(folder / "__params__", ARRAYS | STATES)
    values = read_fluid(file)
    assert list(values) == [unnamed_parameter(number) for number in range(len(ARRAYS | STATES))]
    np.testing.assert_array_equal(values[unnamed_parameter(2)], (ARRAYS | STATES)[sorted(ARRAYS | STATES)[2]])
    (folder / "__model__").write_bytes(program_bytes(ARRAYS | STATES))
    for path in (file, folder, pack(folder, tmp_path / "inference.tar")):
        assert_read(path)
    (folder / "__model__").write_bytes(program_bytes(ARRAYS))
    assert refusal(file) == " is damaged: it has 12 parameters, and __model__ names 4"
    (folder / "__model__").write_bytes(program_bytes(ARRAYS)[:-3])
    assert refusal(file).startswith(" is damaged: its __model__ cannot be read")


def test_a_modules_variables_lose_their_prefix_and_a_tasks_are_left_out(tmp_path):
    step = saved(tmp_path / "ckpt" / "step_45", MODULE | HEAD | STATES)
    assert_read(step)
    assert_read(step, MODULE | HEAD, read_variables)
    own, others = split_module(read_variables(step))
    assert (own.keys(), others.keys()) == (ARRAYS.keys(), HEAD.keys())
    assert hub_module_name(step) == "xception71_imagenet"


def test_of_a_checkpoint_dir_the_best_model_is_read_else_the_last_step(tmp_path):
    folder = tmp_path / "ckpt"
    saved(folder / "step_9", {"@HUB_m@w": np.zeros(2, "float32")})
    saved(folder / "step_10", {"@HUB_m@w": np.ones(2, "float32")})
    (folder / "step_best").mkdir()
    assert_read(folder, {"w": np.ones(2)})
    saved(folder / "best_model", {"@HUB_m@w": np.full(2, 7, "float32")})
    assert_read(folder, {"w": np.full(2, 7)})
    assert hub_module_name(folder) == "m"


def test_a_module_and_its_archive_give_the_parameters_and_the_name(tmp_path):
    module = tmp_path / "xception71_imagenet"
    saved(module / "model", MODULE)
    (module / "model" / "__model__").write_bytes(program_bytes(MODULE))
    (module / "module_desc.pb").write_bytes(module_bytes("xception71_imagenet"))
    (module / "assets").mkdir()
    (module / "assets" / "vocab").write_bytes(tensor_bytes(np.zeros(3, "float32")))
    for path in (module, pack(module, tmp_path / "xception71_imagenet-1.0.0.tar.gz")):
        assert_read(path)
        assert hub_module_name(path) == "xception71_imagenet"
    (module / "module_desc.pb").write_bytes(b"\x1a\xff")
    with pytest.raises(ModelError, match="cannot be read as a PaddleHub module"):
        hub_module_name(module)


def test_a_folder_of_another_kind_says_what_it_is(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    wanted = "give a .pdparams or .safetensors file, or a folder with parameters as Paddle 1 saved them"
    assert refusal(folder).startswith(f" is a folder without weights: {wanted}")
    for name, words in (
        ("notes.txt", wanted),
        ("model.onnx", "'model.onnx' in it is an ONNX model"),
        ("best.pdopt", "'best.pdopt' in it is the state of an optimizer: give the .pdparams"),
        ("inference.pdmodel", "'inference.pdmodel' in it is a part of an inference model"),
        ("best.pdparams", "give the file 'best.pdparams' in it"),
    ):
        (folder / name).write_bytes(b"text")
        assert words in refusal(folder), name
        assert not has_parameters(folder)
        assert refusal(pack(folder, tmp_path / "x.tar")).startswith(" is an archive without weights: ")
        (folder / name).unlink()


def test_single_parameters_inference_models_and_two_in_one_file_are_refused(tmp_path):
    folder = saved(tmp_path / "net", ARRAYS)
    assert refusal(folder / "conv1_weights").startswith(" is a single parameter, without the names")
    file = save_combined(tmp_path / "inference.pdiparams", ARRAYS)
    assert refusal(file).startswith(" is the weights of an inference model of Paddle 2, without the names")
    (folder / "conv1_weights").write_bytes(2 * tensor_bytes(ARRAYS["conv1_weights"]))
    assert refusal(folder) == " is damaged: 'conv1_weights' in it holds 2 parameters, not one"


def genuine():
    """A file of all parameters, and an archive with one parameter, as bytes."""
    tensors = b"".join(tensor_bytes(array) for _, array in sorted(ARRAYS.items()))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("net/conv1_weights")
        content = tensor_bytes(ARRAYS["conv1_weights"])
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return [tensors, archive.getvalue(), gzip.compress(archive.getvalue())]


EDIT = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 4), st.binary(max_size=4))


@given(content=st.sampled_from(genuine()), edits=st.lists(EDIT, min_size=1, max_size=4))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_changed_file_gives_arrays_or_a_model_error(tmp_path_factory, content, edits):
    for place, removed, inserted in edits:
        start = int(place * len(content))
        content = content[:start] + inserted + content[start + removed :]
    path = tmp_path_factory.getbasetemp() / "weights.bin"
    path.write_bytes(content)
    try:
        state = read_weights(path)
    except ModelError:
        return
    assert all(isinstance(name, str) and array.dtype.kind in "fiub" for name, array in state.items())
