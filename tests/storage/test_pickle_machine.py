"""The machine follows the opcodes of plain values and arrays, and refuses all others."""

import io
import pickle

import numpy as np
import pytest

from hubtune.storage.pickle_machine import PickleMachine, RefusedError, clipped, describe_kind, quote


def run(content, most_opcodes=1000):
    return PickleMachine(len(content), most_opcodes).run(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_returned(protocol):
    value = {"a": [1, 2.5, None, True], "b": ("x", b"y" if protocol > 2 else "y")}
    assert run(pickle.dumps(value, protocol=protocol)) == value


def test_arrays_are_filled():
    array = run(pickle.dumps(np.arange(6, dtype=np.float32).reshape(2, 3), protocol=4))
    np.testing.assert_array_equal(array.filled, np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (pickle.dumps(print), RefusedError, "asks for 'builtins.print', which arrays never need"),
        (pickle.dumps({(1, 2): 3}), RefusedError, "uses a list as the name of an entry"),
        (b"\x80\x02t.", ValueError, "instructions do not fit together"),
        (b"\x80\x02" + b"N" * 1001 + b".", RefusedError, "has more than 1,000 instructions"),
    ],
)
def test_everything_else_is_refused(content, error, message):
    with pytest.raises(error, match=message):
        run(content)


def test_names_in_messages_are_short_and_harmless():
    assert quote("\x1b[2J") == r"'\x1b[2J'"
    assert clipped("x" * 101) == "x" * 100 + "..."
    assert [describe_kind(value) for value in (None, 1, "x", {}, [])] == [
        *("nothing", "a number", "text", "a dictionary", "a list"),
    ]
