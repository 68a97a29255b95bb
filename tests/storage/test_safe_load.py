"""Reading weights: every genuine file gives its arrays, every hostile one a ModelError and nothing else."""

import gzip
import pickle
import tracemalloc

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddle import nn
from safetensors.numpy import save as to_safetensors
from support.cifar_files import python_2
from support.fluid import pack, save_parameters
from support.hostile_pickles import NAMES, audited, hostile_files
from support.waiting import CallCount

from hubtune.errors import ModelError
from hubtune.storage.safe_load import read_weights

STATE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) - 7,
    "bn.counter": np.array(3, dtype=np.int64),
    "fc.weight": np.linspace(-1, 1, 12, dtype=np.float64).reshape(4, 3).T,
    "half": np.array([1.5, -2.5], dtype=np.float16),
    "none": np.zeros((0, 3), dtype=np.float32),
}
TABLE = {"StructuredToParameterName@@": {"conv.weight": "conv2d_0.w_0"}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pdparams"


def assert_same(state, expected):
    assert list(state) == list(expected)
    for name, array in expected.items():
        assert state[name].dtype == array.dtype, name
        np.testing.assert_array_equal(state[name], array)


def test_every_pickle_protocol_gives_the_arrays_without_the_name_table(path):
    network = nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.Linear(4, 2))
    expected = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    for protocol in range(6):
        # Up to protocol 2, an empty array is written as a call of bytes(), which no weights need.
        state = {name: array for name, array in STATE.items() if protocol > 2 or array.size}
        path.write_bytes(pickle.dumps(state | TABLE, protocol=protocol))
        assert_same(read_weights(path), state)
        if protocol in (2, 3, 4):
            paddle.save(network.state_dict(), str(path), protocol=protocol)
            assert_same(read_weights(path), expected)


def test_content_decides_the_format_and_files_of_older_numpy_and_of_python_2_are_read(path):
    path.write_bytes(to_safetensors({name: np.ascontiguousarray(array) for name, array in STATE.items()}))
    state = read_weights(path)
    assert_same({name: state[name] for name in STATE}, STATE)
    old = pickle.dumps(STATE["half"], protocol=3).replace(b"numpy._core", b"numpy.core")
    path.write_bytes(b"\x80\x03}X\x01\x00\x00\x00h" + old[2:-1] + b"s.")
    assert_same(read_weights(path), {"h": STATE["half"]})
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    path.write_bytes(python_2({"h": array}))
    assert_same(read_weights(path), {"h": array})


@pytest.mark.parametrize("name", ["mobilenetv2_1.0_imagenet", "squeezenet1_0_imagenet"])
def test_real_files_equal_their_safetensors_twins(name, material):
    folder = material / "weights"
    state = read_weights(folder / f"{name}.pdparams")
    twin = read_weights(folder / f"{name}.safetensors")
    assert_same({key: state[key] for key in twin}, twin)
    assert len(state) == len(twin)


def test_the_corpus_would_do_harm_if_it_were_unpickled(tmp_path):
    canary = tmp_path / "canary"
    pickle.loads(hostile_files(canary)["os.system, protocol 2"][0])
    assert canary.exists()


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_is_refused_and_nothing_runs(name, tmp_path, path):
    canary = tmp_path / "canary"
    content, words = hostile_files(canary)[name]
    path.write_bytes(content)
    # Starting the count is itself an event.
    with CallCount() as work, audited() as events, pytest.raises(ModelError) as refusal:
        read_weights(path)
    message = str(refusal.value)
    assert words in message and str(path) in message and len(message) < 800
    assert refusal.value.exit_code == 4
    assert not canary.exists()
    assert {event for event in events if event != ("open", str(path))} == set()
    assert work.calls < 2_000_000


@pytest.mark.slow
def test_hostile_files_take_little_memory(tmp_path, path):
    for name, (content, _) in hostile_files(tmp_path / "canary").items():
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(ModelError):
            read_weights(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100 * 2**20, name


def test_other_content_and_missing_files_are_named(tmp_path, path):
    with pytest.raises(ModelError, match="is not there"):
        read_weights(path)
    with pytest.raises(ModelError, match="is a folder"):
        read_weights(tmp_path)
    for content, words in (
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>...", "is an HTML page, perhaps a login or error page of the network"),
        (b"PK\x03\x04...", "is a zip archive, which has to be unpacked first"),
        (b"\x1f\x8b\x08", "cannot be used as weights: it is cut short"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x00" * 100, "is damaged .values of the type None"),
        (b"\xff" * 100, "damaged, cut short or no weights at all"),
        ("ein Brief über Gewichte".encode(), "does not hold weights: it is a text file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=words):
            read_weights(path)


def test_files_of_other_kinds_say_what_they_are_and_what_to_give(tmp_path):
    for name, content, words in (
        (
            "best.pdopt",
            pickle.dumps({"w_moment1_0": STATE["half"]}),
            "is the state of an optimizer",
        ),
        ("best.pdstates", b"x", "is the state of a training"),
        ("model.onnx", b"\x08\x07\x12\x07pytorch", "does not hold weights: it is an ONNX model"),
        (
            "net.pth",
            pickle.dumps(["a", "list"]),
            "does not hold weights: it is PyTorch weights",
        ),
        ("__model__", b"\n\x94\x01\x08\x00\x10\xff", "does not hold weights: it is a part of an inference"),
        ("w.bin", gzip.compress(b"text"), "is a gzip file without a tar archive in it: unpack it first"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=words):
            read_weights(tmp_path / name)


def test_what_paddle_1_wrote_is_read(tmp_path):
    (tmp_path / "net").mkdir()
    expected = {"conv1_weights": STATE["conv.weight"], "fc_0.w_0": STATE["fc.weight"]}
    folder = save_parameters(tmp_path / "net", expected)
    for path in (folder, pack(folder, tmp_path / "net.tar")):
        assert_same(read_weights(path), expected)


def test_every_truncation_of_a_genuine_file_is_refused(path):
    for content in (pickle.dumps(STATE, protocol=4), to_safetensors({"w": STATE["half"]})):
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(ModelError):
                read_weights(path)


GENUINE = [
    *(pickle.dumps({"a": STATE["half"], "b": STATE["fc.weight"]} | TABLE, protocol=p) for p in (0, 2, 4, 5)),
    to_safetensors({"a": STATE["half"], "b": STATE["conv.weight"]}),
]
EDIT = st.tuples(
    st.floats(0, 1, exclude_max=True), st.integers(0, 4), st.binary(max_size=4) | st.sampled_from(GENUINE)
)


@given(content=st.sampled_from(GENUINE), edits=st.lists(EDIT, min_size=1, max_size=4))
@settings(max_examples=400, derandomize=True)
def test_a_changed_file_gives_arrays_or_a_model_error(tmp_path_factory, content, edits):
    for place, removed, inserted in edits:
        start = int(place * len(content))
        content = content[:start] + inserted + content[start + removed :]
    path = tmp_path_factory.getbasetemp() / "weights.pdparams"
    path.write_bytes(content)
    try:
        state = read_weights(path)
    except ModelError:
        return
    assert all(isinstance(name, str) and array.dtype.kind in "fiu" for name, array in state.items())
