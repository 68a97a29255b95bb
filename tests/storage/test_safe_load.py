"""Reading weights: every genuine file gives its arrays, every hostile one a ModelError and nothing else."""

import io
import os
import pickle
import re
import struct
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors
from support.cifar_files import python_2
from support.waiting import CallCount

from hubtune.errors import ModelError
from hubtune.storage.pickle_reader import read_plain_pickle
from hubtune.storage.safe_load import read_weights

STATE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) - 7,
    "bn.counter": np.array(3, dtype=np.int64),
    "fc.weight": np.linspace(-1, 1, 12, dtype=np.float64).reshape(4, 3).T,
    "half": np.array([1.5, -2.5], dtype=np.float16),
    "none": np.zeros((0, 3), dtype=np.float32),
}
TABLE = {"StructuredToParameterName@@": {"conv.weight": "conv2d_0.w_0"}}


def material() -> Path:
    folder = os.environ.get("HUBTUNE_TEST_MATERIAL")
    if not folder:
        pytest.skip("HUBTUNE_TEST_MATERIAL is not set: no folder with real weights")
    return Path(folder) / "weights"


def assert_same(state: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(state) == list(expected)
    for name, array in expected.items():
        assert state[name].dtype == array.dtype, name
        np.testing.assert_array_equal(state[name], array)


def test_every_pickle_protocol_gives_the_arrays_without_the_name_table(tmp_path: Path) -> None:
    for protocol in range(6):
        # Up to protocol 2, an empty array is written as a call of bytes(), which no weights need.
        state = {name: array for name, array in STATE.items() if protocol > 2 or array.size}
        path = tmp_path / f"{protocol}.pdparams"
        path.write_bytes(pickle.dumps(state | TABLE, protocol=protocol))
        assert_same(read_weights(path), state)


def test_content_decides_the_format_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.pdparams"
    path.write_bytes(to_safetensors({name: np.ascontiguousarray(array) for name, array in STATE.items()}))
    state = read_weights(path)
    assert_same({name: state[name] for name in STATE}, STATE)


def test_files_of_older_numpy_and_of_python_2_are_read(tmp_path: Path) -> None:
    old = pickle.dumps(STATE["half"], protocol=3).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "old").write_bytes(b"\x80\x03}X\x01\x00\x00\x00h" + old[2:-1] + b"s.")
    assert_same(read_weights(tmp_path / "old"), {"h": STATE["half"]})
    python_2 = (
        b"\x80\x02}U\x01hcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f2K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04" + STATE["half"].tobytes() + b"tbs."
    )
    (tmp_path / "python_2").write_bytes(python_2)
    assert_same(read_weights(tmp_path / "python_2"), {"h": STATE["half"]})


def test_what_paddle_saves_is_read(tmp_path: Path) -> None:
    paddle = pytest.importorskip("paddle")
    nn = paddle.nn
    network = nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.Linear(4, 2))
    expected = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    for protocol in (2, 3, 4):
        path = tmp_path / f"{protocol}.pdparams"
        paddle.save(network.state_dict(), str(path), protocol=protocol)
        assert_same(read_weights(path), expected)


@pytest.mark.parametrize("name", ["mobilenetv2_1.0_imagenet", "squeezenet1_0_imagenet"])
def test_real_files_equal_their_safetensors_twins(name: str) -> None:
    folder = material()
    state = read_weights(folder / f"{name}.pdparams")
    twin = read_weights(folder / f"{name}.safetensors")
    assert_same({key: state[key] for key in twin}, twin)
    assert len(state) == len(twin)


# Hostile files


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def entry(value: bytes) -> bytes:
    """A pickle of a dictionary with one entry."""
    return b"\x80\x02}" + text("w") + value + b"s."


EMPTY = call("numpy._core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", b"K\x00\x85", text("b"))
DTYPE = call("numpy", "dtype", text("f4"), b"\x89", b"\x88")
LITTLE = b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def array(shape: bytes, data: bytes = b"C\x04\x00\x00\x80?", dtype: bytes = DTYPE + LITTLE) -> bytes:
    return EMPTY + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def hostile_files(canary: Path) -> dict[str, tuple[bytes, str]]:
    """Return hostile files by name, each with words that the refusal must hold."""
    touch = text(f"echo x > {canary}")
    python = text(f"open({str(canary)!r}, 'w')")
    files: dict[str, tuple[bytes, str]] = {}
    system = os.system.__module__ + ".system"
    for protocol in range(6):
        evil = {"w": np.ones(2, "f4"), "x": Calls(os.system, f"echo x > {canary}")}
        files[f"os.system, protocol {protocol}"] = pickle.dumps(evil, protocol=protocol), system
    objects = np.array([Calls(os.system, f"echo x > {canary}")], dtype=object)
    for protocol in (2, 4, 5):
        files[f"object array, protocol {protocol}"] = pickle.dumps({"w": objects}, protocol=protocol), ""
    for module, name, *arguments in (
        ("os", "system", touch),
        ("posix", "system", touch),
        ("nt", "system", touch),
        ("subprocess", "Popen", touch, b"I-1\nNI00\n"),
        ("subprocess", "check_output", touch),
        ("builtins", "eval", python),
        ("builtins", "exec", python),
        ("__builtin__", "eval", python),
        ("builtins", "compile", python, text("x"), text("exec")),
        ("builtins", "open", text(str(canary)), text("w")),
        ("builtins", "__import__", text("antigravity")),
        ("builtins", "getattr", b"cbuiltins\n__dict__\n", text("get")),
        ("builtins", "bytearray", number(10**10)),
        ("importlib", "import_module", text("antigravity")),
        ("runpy", "run_path", text(str(canary))),
        ("operator", "attrgetter", text("system")),
        ("functools", "partial", b"cos\nsystem\n"),
        ("types", "FunctionType"),
        ("pickle", "loads", b"C\x02N."),
        ("shutil", "rmtree", text(str(canary.parent))),
        ("webbrowser", "open", text("http://127.0.0.1/")),
        ("numpy", "load", text("x.npy"), b"N\x88"),
        ("numpy", "fromfile", text("/dev/zero")),
        ("numpy", "zeros", number(10**10)),
        ("numpy", "ndarray.tofile", text(str(canary))),
        ("numpy", "core.multiarray._reconstruct"),
        ("numpy.ctypeslib", "load_library", text("x"), text(".")),
        ("numpy._core.multiarray", "scalar", DTYPE, b"C\x04aaaa"),
        ("numpy", "matrix"),
        ("paddle", "load", text("x.pdparams")),
        ("paddle.base.core", "eager.Tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("collections", "OrderedDict"),
    ):
        files[f"{module}.{name}"] = entry(call(module, name, *arguments)), f"'{module}.{name}'"
    first = call("os", "system", touch) + call("builtins", "eval", python)
    chain = b"(cbuiltins\ngetattr\ncos\n__dict__\n" + text("system") + b"tR"
    files |= {
        "the first of several": (b"\x80\x02" + first + b".", "'os.system'"),
        "chain": (b"\x80\x02" + chain + b".", "'builtins.getattr'"),
        "STACK_GLOBAL": (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + touch + b"\x85R.", "'os.system'"),
        "STACK_GLOBAL from the memo": (
            b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93" + touch + b"\x85R.",
            "'os.system'",
        ),
        "STACK_GLOBAL of numbers": (b"\x80\x04K\x01K\x02\x93.", "name that is not text"),
        "INST": (b"(Vx\nios\nsystem\n.", "'os.system'"),
        "OBJ": (b"\x80\x02(cnumpy\nndarray\n" + number(10**10) + b"o.", "OBJ"),
        "NEWOBJ": (b"\x80\x02cnumpy\nndarray\n" + number(10**10) + b"\x85\x81.", "NEWOBJ"),
        "NEWOBJ_EX": (b"\x80\x04cnumpy\nndarray\n)}\x92.", "NEWOBJ_EX"),
        "EXT1": (b"\x80\x02\x82\x01.", "EXT1"),
        "EXT2": (b"\x80\x02\x83\x01\x00.", "EXT2"),
        "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
        "PERSID": (b"Pos.system\n.", "PERSID"),
        "BINPERSID": (b"\x80\x02" + text("x") + b"Q.", "BINPERSID"),
        "NEXT_BUFFER": (b"\x80\x05\x97.", "NEXT_BUFFER"),
        "a set of nested tuples": (b"\x80\x04\x8f(" + b"N" + b"\x85" * 1000 + b"\x90.", "EMPTY_SET"),
        "a nested tuple as a key": (b"\x80\x02}N" + b"\x85" * 75_000 + b"Ns.", "name of an entry"),
        "a tuple that doubles 64 times as a key": (
            b"\x80\x02}N" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(64)) + b"Ns.",
            "name of an entry",
        ),
        "BUILD of a function": (entry(b"cnumpy\ndtype\n}" + text("x") + b"Nsb"), "a state that no array has"),
        "BUILD of a function's slots": (entry(b"cnumpy\ndtype\nN}" + text("x") + b"Ns\x86b"), "a state"),
        "BUILD of a dictionary": (b"\x80\x02}}" + text("__class__") + b"Nsb.", "a dictionary a state"),
        "BUILD that sets __setstate__": (
            entry(EMPTY + b"}" + text("__setstate__") + b"cos\nsystem\nsb"),
            "'os.system'",
        ),
        "an array filled twice": (
            entry(array(b"K\x01\x85") + b"(K\x01K\x01\x85" + DTYPE + b"\x89C\x04aaaatb"),
            "a state that no array has",
        ),
        "an array never filled": (entry(EMPTY), "'w' is a part of an array"),
        "10 GB to make": (
            entry(
                call(
                    "numpy._core.multiarray",
                    "_reconstruct",
                    b"cnumpy\nndarray\n",
                    number(10**10) + b"\x85",
                    text("b"),
                )
            ),
            "calls reconstruct with arguments",
        ),
        "10 GB to fill": (entry(array(number(10**10) + b"\x85")), "more than the file has"),
        "a shape that overflows": (
            entry(array(number(2**62) + number(2**62) + b"\x86")),
            "more than the file",
        ),
        "a negative shape": (entry(array(number(-1) + b"\x85")), "more than the file"),
        "a shape of text": (entry(array(text("x") + b"\x85")), "more than the file"),
        "a shape of 10,000 sides": (entry(array(b"(" + b"K\x01" * 10_000 + b"t")), "whose shape is none"),
        "a shape that is a list": (entry(array(b"]")), "whose shape is none"),
        "content of another size": (entry(array(b"K\x02\x85")), "differ in size"),
        "content that is a list": (entry(array(b"K\x01\x85", b"]")), "something else than plain numbers"),
        "big-endian": (
            entry(array(b"K\x01\x85", dtype=DTYPE + LITTLE.replace(text("<"), text(">")))),
            "a state that no array has",
        ),
        "a type with metadata": (
            entry(array(b"K\x01\x85", dtype=DTYPE + LITTLE.replace(b"NNN", b"NN}"))),
            "a state that no array has",
        ),
        "encode with rot13": (entry(call("_codecs", "encode", text("a"), text("rot13"))), "calls encode"),
        "encode with a handler": (
            entry(call("_codecs", "encode", text("a"), text("latin1"), text("x"))),
            "calls encode",
        ),
        "a text encoded 2,000 times": (
            b"\x80\x02"
            + text("a" * 2**19)
            + b"q\x00c_codecs\nencode\nq\x01"
            + text("latin1")
            + b"q\x02"
            + b"h\x01h\x00h\x02\x86R" * 2000
            + b".",
            "more than the file has",
        ),
        "a call of an array": (entry(EMPTY + b")R"), "it calls a part of an array"),
        "a memo index of 4 billion": (b"\x80\x02Nr\xff\xff\xff\xff.", "nothing instead of tensors"),
        "a memo index in digits": (b"Np99999999999999999999\n.", "nothing instead of tensors"),
        "an unknown memo index": (b"\x80\x02h\x07.", "does not hold"),
        "bytes that claim 4 exabytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.", "cut short"),
        "bytes that claim 10 GB": (b"\x80\x05\x96" + struct.pack("<Q", 10**10) + b"x.", "cut short"),
        "text that claims 10 GB": (b"\x80\x04\x8d" + struct.pack("<Q", 10**10) + b"x.", "cut short"),
        "bytes that claim 4 GB": (b"\x80\x03B\xff\xff\xff\xffx.", "cut short"),
        "a frame that claims 10 GB": (b"\x80\x04\x95" + struct.pack("<Q", 10**10) + b"N.", "nothing instead"),
        "a number that claims 2 GB": (b"\x80\x02\x8b\xff\xff\xff\x7fx.", "cut short"),
        "a number of a million digits": (b"I" + b"9" * 10**6 + b"\n.", "damaged"),
        "nested 90,000 deep": (b"\x80\x02]" + b"(" * 45_000 + b"l" * 45_000 + b".", "a list instead"),
        "a million instructions": (b"\x80\x02" + b"N" * 10**6 + b".", "100,000 instructions"),
        "a dictionary in itself": (b"\x80\x02}q\x00" + text("w") + b"h\x00s.", "'w' is a dictionary"),
        "a dictionary as an entry": (entry(b"}"), "'w' is a dictionary"),
        "a number as an entry": (entry(b"K\x07"), "'w' is a number"),
        "a number as a name": (b"\x80\x02}K\x01" + array(b"K\x01\x85") + b"s.", "a number as the name"),
        "a name that moves the cursor": (b"\x80\x02}" + text("\x1b[2Jx") + b"Ns.", r"'\x1b[2Jx' is nothing"),
        "appending to a tuple": (b"\x80\x02)Na.", "not a list"),
        "an item set in nothing": (b"\x80\x02NNNs.", "do not fit together"),
        "an odd number of items": (b"\x80\x02}(Nu.", "do not fit together"),
        "a mark that is missing": (b"\x80\x02t.", "do not fit together"),
        "an end without a value": (b"\x80\x02.", "do not fit together"),
        "no end": (b"\x80\x02}", "cut short"),
        "a second pickle behind the first": (entry(array(b"K\x01\x85")) + b"cos\nsystem\n.", "'os.system'"),
        "bytes behind the end": (entry(array(b"K\x01\x85")) + b"more", "bytes follow"),
        "INST with an old text": (b"(S'touch x'\nios\nsystem\n.", "'os.system'"),
        "a name behind a POP": (b"\x80\x02N0cos\nsystem\n(Vx\ntR.", "'os.system'"),
        "a name in an array of objects": (
            b"\x80\x02cnumpy\ndtype\n(VO8\nK\x00K\x01tR}Vx\ncposix\nsystem\ns.",
            "'posix.system'",
        ),
        "a name through the memo": (
            b"\x80\x04}\x8c\x02os\x94\x8c\x06system\x9400h\x00h\x01\x93.",
            "'os.system'",
        ),
        "protocol 200": (b"\x80\xc8N.", "unknown version 200"),
        "no entries": (b"\x80\x02}.", "holds no weights"),
        "safetensors with a header of 4 GB": (b"\xff\xff\xff\xff\0\0\0\0{}", "its header should have"),
        "safetensors with a header of 9 MB": (
            struct.pack("<Q", 9 * 2**20) + b"{" + b" " * (9 * 2**20),
            "its header claims",
        ),
        "safetensors of another type": (to_safetensors({"w": np.ones(2, bool)}), "type BOOL"),
        "safetensors cut short": (to_safetensors({"w": np.ones(99, "f4")})[:-1], "cut short"),
    }
    for code in ("O8", "V4", "S4", "U1", "M8", "c8", "b1", "f4,O8", "f16"):
        dtype = call("numpy", "dtype", text(code), b"\x89", b"\x88") + LITTLE
        files[f"an array of {code}"] = entry(array(b"K\x01\x85", dtype=dtype)), repr(code)
    return files


NAMES = list(hostile_files(Path("canary")))

events: list[tuple[str, object]] = []
watching = False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching:
        events.append((event, arguments[0] if arguments else None))


@pytest.fixture(scope="module")
def audit() -> None:
    sys.addaudithook(watch)  # it cannot be taken away again


@pytest.fixture
def watched(audit: None) -> Iterator[list[tuple[str, object]]]:
    global watching
    events.clear()
    yield events
    watching = False


def test_the_corpus_would_do_harm_if_it_were_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(hostile_files(canary)["os.system, protocol 2"][0])
    assert canary.exists()


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_is_refused_and_nothing_runs(
    name: str, tmp_path: Path, watched: list[tuple[str, object]]
) -> None:
    global watching
    canary = tmp_path / "canary"
    content, words = hostile_files(canary)[name]
    path = tmp_path / "weights.pdparams"
    path.write_bytes(content)
    with CallCount() as work:  # starting it is itself an event
        watching = True
        with pytest.raises(ModelError) as refusal:
            read_weights(path)
        watching = False
    assert words in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert len(str(refusal.value)) < 800
    assert refusal.value.exit_code == 4
    assert not canary.exists()
    assert {event for event in watched if event != ("open", str(path))} == set()
    assert work.calls < 2_000_000


@pytest.mark.slow
def test_hostile_files_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "weights.pdparams"
    for name, (content, _) in hostile_files(tmp_path / "canary").items():
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(ModelError):
            read_weights(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100 * 2**20, name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>...", "is an HTML page, perhaps a login or error page of the network"),
        (b"\xef\xbb\xbf\r\n<HTML>", "is an HTML page"),
        (b"PK\x03\x04...", "is a zip archive, perhaps PyTorch weights"),
        (b"\x1f\x8b\x08", "is a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x00" * 100, "damaged, cut short or no weights at all"),
        ("ein Brief über Gewichte".encode(), "damaged, cut short or no weights at all"),
    ],
)
def test_other_content_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pdparams"
    path.write_bytes(content)
    with pytest.raises(ModelError) as refusal:
        read_weights(path)
    assert words in str(refusal.value)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not there"):
        read_weights(tmp_path / "x.pdparams")
    with pytest.raises(ModelError, match="is a folder"):
        read_weights(tmp_path)


def test_every_truncation_of_a_genuine_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pdparams"
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


@given(st.sampled_from(GENUINE), st.lists(EDIT, min_size=1, max_size=4))
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_changed_file_gives_arrays_or_a_model_error(
    tmp_path: Path, content: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    for place, removed, inserted in edits:
        start = int(place * len(content))
        content = content[:start] + inserted + content[start + removed :]
    path = tmp_path / "weights.pdparams"
    path.write_bytes(content)
    try:
        state = read_weights(path)
    except ModelError:
        return
    assert all(isinstance(name, str) and array.dtype.kind in "fiu" for name, array in state.items())


# Data sets that are pickles


def plain(content: bytes, most_opcodes: int = 100_000) -> dict[str, object]:
    return read_plain_pickle(io.BytesIO(content), len(content), most_opcodes=most_opcodes)


PLAIN = {"labels": [3, 1, 300], "name": "batch 1", "data": np.arange(6, dtype=np.uint8).reshape(2, 3)}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol_are_read(protocol: int) -> None:
    for content in (PLAIN, {name.encode(): value for name, value in PLAIN.items()}):
        read = plain(pickle.dumps(content, protocol=protocol))
        np.testing.assert_array_equal(read.pop("data"), PLAIN["data"])
        assert read == {"labels": [3, 1, 300], "name": "batch 1"}


def test_plain_values_of_python_2_are_read() -> None:
    read = plain(python_2(PLAIN))
    assert read["data"].dtype == np.uint8
    np.testing.assert_array_equal(read.pop("data"), PLAIN["data"])
    assert read == {"labels": [3, 1, 300], "name": "batch 1"}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_hostile_file_runs_as_plain_values(
    name: str, tmp_path: Path, watched: list[tuple[str, object]]
) -> None:
    global watching
    canary = tmp_path / "canary"
    content, words = hostile_files(canary)[name]
    refused = ""
    watching = True
    try:
        plain(content)
    except ValueError as error:
        refused = str(error)
    watching = False
    assert not canary.exists()
    assert set(watched) == set()
    if re.fullmatch(r"'[\w.]+\.\w+'", words):  # the name of a function
        assert refused == f"is refused (it asks for {words}, which arrays never need)"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps([1, 2]), "holds a list instead of a dictionary"),
        (pickle.dumps({"a": 1})[:-1], "is damaged ("),
        (pickle.dumps({"a": 1}) + b"x", "is damaged (1 bytes follow the end of its content)"),
        (pickle.dumps({(1, 2): 1}), "is refused (it uses a list as the name of an entry)"),
        (pickle.dumps({"a": [1] * 100}), "is refused (it has more than 50 instructions)"),
        (b"", "is damaged ("),
    ],
)
def test_what_holds_no_plain_values_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValueError) as refusal:
        plain(content, most_opcodes=50)
    assert str(refusal.value).startswith(words)


def test_names_as_bytes_cost_what_the_file_has() -> None:
    name = b"C\xff" + b"a" * 255 + b"q\x00"
    with pytest.raises(ValueError, match="its arrays claim more than the file has"):
        plain(b"\x80\x03}q\x01" + name + b"Ns" + b"h\x00Ns" * 1000 + b".")
