"""Joined parts of features are the bytes of one run."""

import pytest
from support.commands import json_of


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_joined_features_are_the_bytes_of_one_run(mixed, here, run_here, suffix):
    module = ("--module", "digitnet")
    assert run_here("embed", "pics", *module, "-o", f"one.{suffix}").returncode == 0
    for index in range(3):
        shard = ("--shard", f"{index}/3", "-o", "parts", "--part-format", suffix)
        assert run_here("embed", "pics", *module, *shard).returncode == 0
    document = json_of(run_here("embed", "--gather", "parts", "-o", f"joined.{suffix}", "--json"))
    assert (document["count"], document["unreadable"]) == (6, 1)
    assert (here / f"joined.{suffix}").read_bytes() == (here / f"one.{suffix}").read_bytes()
    assert "finished already" in run_here("embed", "pics", *module, *shard).stderr
