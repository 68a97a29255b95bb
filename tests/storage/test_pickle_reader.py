"""Plain values in pickles, such as data sets, are read without running anything."""

import io
import pickle
import re

import numpy as np
import pytest
from support.cifar_files import python_2
from support.hostile_pickles import NAMES, audited, hostile_files

from hubtune.storage.pickle_reader import read_plain_pickle


def plain(content, most_opcodes=100_000):
    return read_plain_pickle(io.BytesIO(content), len(content), most_opcodes=most_opcodes)


PLAIN = {"labels": [3, 1, 300], "name": "batch 1", "data": np.arange(6, dtype=np.uint8).reshape(2, 3)}


def test_plain_values_of_every_protocol_and_of_python_2_are_read():
    as_bytes = {name.encode(): value for name, value in PLAIN.items()}
    pickles = [pickle.dumps(content, protocol) for content in (PLAIN, as_bytes) for protocol in range(6)]
    for content in (*pickles, python_2(PLAIN)):
        read = plain(content)
        assert read["data"].dtype == np.uint8
        np.testing.assert_equal(read, PLAIN)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_hostile_file_runs(name, tmp_path):
    canary = tmp_path / "canary"
    content, words = hostile_files(canary)[name]
    refused = ""
    with audited() as events:
        try:
            plain(content)
        except ValueError as error:
            refused = str(error)
    assert (canary.exists(), events) == (False, [])
    if re.fullmatch(r"'[\w.]+\.\w+'", words):  # the name of a function
        assert refused == f"is refused (it asks for {words}, which arrays never need)"


def test_what_holds_no_plain_values_is_refused():
    twice = b"\x80\x03}q\x01C\xff" + b"a" * 255 + b"q\x00Ns" + b"h\x00Ns" * 10 + b"."  # one name, as bytes
    for content, words in (
        (pickle.dumps([1, 2]), "holds a list instead of a dictionary"),
        (pickle.dumps({"a": 1})[:-1], "is damaged ("),
        (pickle.dumps({"a": 1}) + b"x", "is damaged (1 bytes follow the end of its content)"),
        (pickle.dumps({(1, 2): 1}), "is refused (it uses a list as the name of an entry)"),
        (pickle.dumps({"a": [1] * 100}), "is refused (it has more than 50 instructions)"),
        (twice, "is refused (its arrays claim more than the file has)"),
        (b"", "is damaged ("),
    ):
        with pytest.raises(ValueError) as refusal:
            plain(content, most_opcodes=50)
        assert str(refusal.value).startswith(words)
