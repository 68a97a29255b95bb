"""Files that would do harm if they were unpickled, and a record of what a reader of them does."""

import os
import pickle
import struct
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save as to_safetensors


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    return pickle.dumps(value, protocol=2)[2:-1]


def call(module, name, *arguments):
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def entry(value):
    return b"\x80\x02}" + text("w") + value + b"s."


def empty(shape=b"K\x00\x85"):
    return call("numpy._core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", shape, text("b"))


EMPTY = empty()
DTYPE = call("numpy", "dtype", text("f4"), b"\x89", b"\x88")
ONE = b"K\x01\x85"
LITTLE = b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def array(shape, data=b"C\x04\x00\x00\x80?", dtype=DTYPE + LITTLE):
    return EMPTY + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"


class Calls:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile_files(canary):
    """Return hostile files by name, each with words that the refusal must hold."""
    touch = text(f"echo x > {canary}")
    python = text(f"open({str(canary)!r}, 'w')")
    files = {}
    system = os.system.__module__ + ".system"
    for protocol in range(6):
        evil = {"w": np.ones(2, "f4"), "x": Calls(os.system, f"echo x > {canary}")}
        files[f"os.system, protocol {protocol}"] = pickle.dumps(evil, protocol=protocol), system
    objects = np.array([Calls(os.system, f"echo x > {canary}")], dtype=object)
    for protocol in (2, 4, 5):
        files[f"object array, protocol {protocol}"] = pickle.dumps({"w": objects}, protocol=protocol), ""
    calls = {
        **dict.fromkeys("os:system posix:system nt:system subprocess:check_output".split(), (touch,)),
        **dict.fromkeys("builtins:eval builtins:exec __builtin__:eval".split(), (python,)),
        **dict.fromkeys("types:FunctionType numpy:core.multiarray._reconstruct numpy:matrix".split(), ()),
        "collections:OrderedDict": [],
        **dict.fromkeys("paddle.base.core:eager.Tensor torch._utils:_rebuild_tensor_v2".split(), ()),
        **dict.fromkeys("builtins:__import__ importlib:import_module".split(), (text("antigravity"),)),
        **dict.fromkeys("builtins:bytearray numpy:zeros".split(), (number(10**10),)),
        "subprocess:Popen": [touch, b"I-1\nNI00\n"],
        "builtins:compile": [python, text("x"), text("exec")],
        "builtins:open": [text(str(canary)), text("w")],
        "builtins:getattr": [b"cbuiltins\n__dict__\n", text("get")],
        "runpy:run_path": [text(str(canary))],
        "operator:attrgetter": [text("system")],
        "functools:partial": [b"cos\nsystem\n"],
        "pickle:loads": [b"C\x02N."],
        "shutil:rmtree": [text(str(canary.parent))],
        "webbrowser:open": [text("http://127.0.0.1/")],
        "paddle:load": [text("x.pdparams")],
        "numpy:load": [text("x.npy"), b"N\x88"],
        "numpy:fromfile": [text("/dev/zero")],
        "numpy:ndarray.tofile": [text(str(canary))],
        "numpy.ctypeslib:load_library": [text("x"), text(".")],
        "numpy._core.multiarray:scalar": [DTYPE, b"C\x04aaaa"],
    }
    for function, arguments in calls.items():
        name = function.replace(":", ".")
        files[name] = entry(call(*function.split(":"), *arguments)), f"'{name}'"
    first = call("os", "system", touch) + call("builtins", "eval", python)
    memo = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94"
    nine, three = 9 * 2**20, ("a", "latin1", "x")
    doubled = b"".join(b"q%ch%c\x86" % (i, i) for i in range(64))
    encoded = text("a" * 2**19) + b"q\x00c_codecs\nencode\nq\x01" + text("latin1") + b"q\x02"
    refilled = b"(K\x01K\x01\x85" + DTYPE + b"\x89C\x04aaaatb"
    big = DTYPE + LITTLE.replace(text("<"), text(">"))
    noted = DTYPE + LITTLE.replace(b"NNN", b"NN}")
    of_objects = b"\x80\x02cnumpy\ndtype\n(VO8\nK\x00K\x01tR}"
    chain = b"(cbuiltins\ngetattr\ncos\n__dict__\n" + text("system") + b"tR"
    files |= {
        "the first of several": (b"\x80\x02" + first + b".", "'os.system'"),
        "chain": (b"\x80\x02" + chain + b".", "'builtins.getattr'"),
        "STACK_GLOBAL": (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + touch + b"\x85R.", "'os.system'"),
        "STACK_GLOBAL from the memo": (memo + b"h\x00h\x01\x93" + touch + b"\x85R.", "'os.system'"),
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
        "a tuple that doubles 64 times as a key": (b"\x80\x02}N" + doubled + b"Ns.", "name of an entry"),
        "BUILD of a function": (entry(b"cnumpy\ndtype\n}" + text("x") + b"Nsb"), "a state that no array has"),
        "BUILD of a function's slots": (entry(b"cnumpy\ndtype\nN}" + text("x") + b"Ns\x86b"), "a state"),
        "BUILD of a dictionary": (b"\x80\x02}}" + text("__class__") + b"Nsb.", "a dictionary a state"),
        "BUILD of __setstate__": (
            entry(EMPTY + b"}" + text("__setstate__") + b"cos\nsystem\nsb"),
            "'os.system'",
        ),
        "an array filled twice": (entry(array(ONE) + refilled), "a state that no array has"),
        "an array never filled": (entry(EMPTY), "'w' is a part of an array"),
        "10 GB to make": (entry(empty(number(10**10) + b"\x85")), "calls reconstruct with arguments"),
        "10 GB to fill": (entry(array(number(10**10) + b"\x85")), "more than the file has"),
        "a shape that overflows": (entry(array(number(2**62) * 2 + b"\x86")), "more than the file"),
        "a negative shape": (entry(array(number(-1) + b"\x85")), "more than the file"),
        "a shape of text": (entry(array(text("x") + b"\x85")), "more than the file"),
        "a shape of 10,000 sides": (entry(array(b"(" + b"K\x01" * 10_000 + b"t")), "whose shape is none"),
        "a shape that is a list": (entry(array(b"]")), "whose shape is none"),
        "content of another size": (entry(array(b"K\x02\x85")), "differ in size"),
        "content that is a list": (entry(array(ONE, b"]")), "something else than plain numbers"),
        "big-endian": (entry(array(ONE, dtype=big)), "a state that no array has"),
        "a type with metadata": (entry(array(ONE, dtype=noted)), "a state that no array has"),
        "encode with rot13": (entry(call("_codecs", "encode", text("a"), text("rot13"))), "calls encode"),
        "encode with a handler": (entry(call("_codecs", "encode", *map(text, three))), "calls encode"),
        "a text encoded 2,000 times": (
            *(b"\x80\x02" + encoded + b"h\x01h\x00h\x02\x86R" * 2000 + b".", "more than the file has"),
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
        "a number of a million digits": (b"I" + b"9" * 10**6 + b"\n.", "is a text file"),
        "nested 90,000 deep": (b"\x80\x02]" + b"(" * 45_000 + b"l" * 45_000 + b".", "a list instead"),
        "a million instructions": (b"\x80\x02" + b"N" * 10**6 + b".", "100,000 instructions"),
        "a dictionary in itself": (b"\x80\x02}q\x00" + text("w") + b"h\x00s.", "'w' is a dictionary"),
        "a dictionary as an entry": (entry(b"}"), "'w' is a dictionary"),
        "a number as an entry": (entry(b"K\x07"), "'w' is a number"),
        "a number as a name": (b"\x80\x02}K\x01" + array(ONE) + b"s.", "a number as the name"),
        "a name that moves the cursor": (b"\x80\x02}" + text("\x1b[2Jx") + b"Ns.", r"'\x1b[2Jx' is nothing"),
        "appending to a tuple": (b"\x80\x02)Na.", "not a list"),
        "an item set in nothing": (b"\x80\x02NNNs.", "do not fit together"),
        "an odd number of items": (b"\x80\x02}(Nu.", "do not fit together"),
        "a mark that is missing": (b"\x80\x02t.", "do not fit together"),
        "an end without a value": (b"\x80\x02.", "do not fit together"),
        "no end": (b"\x80\x02}", "cut short"),
        "a second pickle behind the first": (entry(array(ONE)) + b"cos\nsystem\n.", "'os.system'"),
        "bytes behind the end": (entry(array(ONE)) + b"more", "bytes follow"),
        "INST with an old text": (b"(S'touch x'\nios\nsystem\n.", "'os.system'"),
        "a name behind a POP": (b"\x80\x02N0cos\nsystem\n(Vx\ntR.", "'os.system'"),
        "a name in an array of objects": (of_objects + b"Vx\ncposix\nsystem\ns.", "'posix.system'"),
        "a name through the memo": (memo[:2] + b"}" + memo[2:] + b"00h\x00h\x01\x93.", "'os.system'"),
        "protocol 200": (b"\x80\xc8N.", "unknown version 200"),
        "no entries": (b"\x80\x02}.", "holds no weights"),
        "safetensors with a header of 4 GB": (b"\xff\xff\xff\xff\0\0\0\0{}", "its header should have"),
        "safetensors with a header of 9 MB": (
            *(struct.pack("<Q", nine) + b"{" + b" " * nine, "its header claims"),
        ),
        "safetensors of another type": (to_safetensors({"w": np.ones(2, bool)}), "type BOOL"),
        "safetensors cut short": (to_safetensors({"w": np.ones(99, "f4")})[:-1], "cut short"),
    }
    for code in ("O8", "V4", "S4", "U1", "M8", "c8", "b1", "f4,O8", "f16"):
        dtype = call("numpy", "dtype", text(code), b"\x89", b"\x88") + LITTLE
        files[f"an array of {code}"] = entry(array(ONE, dtype=dtype)), repr(code)
    return files


NAMES = list(hostile_files(Path("canary")))

_recording = None


def _record(event, arguments):
    if _recording is not None:
        _recording.append((event, arguments[0] if arguments else None))


@contextmanager
def audited():
    """Record Python's audit events, such as ``open`` and ``import``, while a block runs."""
    global _recording
    if not getattr(_record, "added", False):
        sys.addaudithook(_record)  # it cannot be removed again
        _record.added = True
    _recording = events = []
    try:
        yield events
    finally:
        _recording = None
