"""Joined parts of predictions are the bytes of one run."""

import pytest
from support.commands import json_of


@pytest.mark.slow
def test_joined_predictions_are_the_bytes_of_one_run(small_run, here, run_here):
    assert run_here("predict", "pics", "--csv", "one.csv", "--top", 2).returncode == 0
    for index in range(4):
        done = run_here(
            "predict", "pics", "--top", 2, "--shard", f"{index}/4", "-o", "parts", "--batch-size", 2
        )
        assert done.returncode == 0, done.stderr
    assert run_here("predict", "--gather", "parts", "--csv", "joined.csv").returncode == 0
    assert (here / "joined.csv").read_bytes() == (here / "one.csv").read_bytes()
    again = run_here("predict", "pics", "--top", 2, "--shard", "1/4", "-o", "parts")
    assert "Shard 1/4 is finished already" in again.stderr

    one = run_here("predict", "pics", "--json", "--scores")
    for index in range(9):  # more shards than pictures: some parts are empty
        arguments = ("--shard", f"{index}/9", "-o", "json", "--part-format", "jsonl", "--scores", "--json")
        record = json_of(run_here("predict", "pics", *arguments))
        assert (record["shard"], record["shards"], record["pictures"]) == (index, 9, 6)
    joined = run_here("predict", "--gather", "json", "--json")
    assert joined.stdout == one.stdout
