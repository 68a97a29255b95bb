"""The wire format of Protocol Buffers: fields of every kind, and nothing but a ValueError for the rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fluid import field, varint

from hubtune.storage.fluid.protobuf import messages, read_fields, read_varints


def test_fields_of_every_kind_are_read_in_their_order():
    message = field(1, 300) + field(2, b"name") + b"\x19" + bytes(8) + b"\x25abcd" + field(1, -1)
    assert list(read_fields(message)) == [(1, 300), (2, b"name"), (3, bytes(8)), (4, b"abcd"), (1, 2**64 - 1)]
    assert messages(field(2, b"a") + field(1, 5) + field(2, b"b"), 2) == [b"a", b"b"]
    assert read_varints(varint(1) + varint(2**40)) == [1, 2**40]


@pytest.mark.parametrize(
    "message",
    [b"\x08", b"\x08" + b"\xff" * 10, b"\x12\x05name", b"\x12" + varint(2**63), b"\x0b", b"\x0c", b"\x19abc"],
    ids=["no value", "endless number", "cut", "huge", "group", "end of group", "cut number"],
)
def test_a_damaged_message_is_a_value_error(message):
    with pytest.raises(ValueError, match=r"cut short|longer|unknown type"):
        list(read_fields(message))


@given(st.binary(max_size=200))
@settings(max_examples=300, derandomize=True)
def test_any_bytes_give_fields_or_a_value_error(message):
    try:
        fields = list(read_fields(message))
    except ValueError:
        return
    assert sum(len(value) for _, value in fields if isinstance(value, bytes)) <= len(message)
