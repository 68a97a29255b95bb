"""``--shard`` and ``--gather``: the joined parts are what one run writes, and mistakes have one sentence."""

import json

import pytest

from hubtune.cli.sharding import parse_shard
from hubtune.data.sharding import ImageShard
from hubtune.errors import UsageError


def test_the_folder_may_be_elsewhere_on_each_machine(small_run, here, run_here):
    (here / "pics").rename(here / "mounted")
    for index, folder in enumerate(("mounted", here / "mounted")):
        assert run_here("predict", folder, "--shard", f"{index}/2", "-o", "parts").returncode == 0
    done = run_here("predict", "--gather", "parts", "--csv", "joined.csv")
    assert done.returncode == 0
    assert "The parts are of different sources" in done.stderr
    assert len((here / "joined.csv").read_text().splitlines()) > 6


@pytest.mark.slow
def test_other_data_models_and_options_are_refused(small_run, here, run_here, assert_refused):
    assert run_here("predict", "pics", "--shard", "0/2", "-o", "parts").returncode == 0
    assert_refused(
        ("predict pics --shard 1/2 -o parts --top 2", 2, "other options than this command has"),
        ("predict pics --shard 1/3 -o parts", 2, "--shard 1/3 is one of 3"),
        ("predict pics/2.png --shard 0/2 -o parts", 2, "another number of pictures than this command has"),
        ("predict --gather parts --csv x.csv", 3, "1 of 2 parts in parts is not finished: run --shard 1/2"),
        ("predict pics --shard 1/2", 2, "name their folder with -o DIR"),
        ("predict pics -o parts", 2, "-o goes with --shard"),
        ("predict pics --shard 1/2 -o parts --save x", 2, "leave out --save"),
        ("predict pics --shard 1/2 -o one.txt/x", 2, "There is no folder one.txt"),
        ("predict pics --gather parts", 2, "leave out the pictures"),
        ("predict --gather parts --shard 1/2", 2, "use one at a time"),
        ("predict --gather parts --top 2", 2, "joins parts as they are: leave out --top"),
        ("predict", 2, "Name the pictures to predict"),
        ("embed -o x.npz", 2, "Name the pictures to embed, and"),
        ("embed pics --module digitnet --shard 0/2 -o parts", 2, "another"),
    )
    assert run_here("predict", "pics", "--shard", "1/2", "-o", "parts").returncode == 0
    assert_refused(
        ("predict --gather parts", 2, "are CSV: join them with --gather parts --csv FILE"),
        ("embed --gather parts -o x.npz", 2, "written by hubtune predict"),
    )


@pytest.mark.slow
def test_the_record_has_what_a_scheduler_wants_to_know(small_run, here, run_here, monkeypatch):
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    done = run_here("predict", "pics", "--shard", "auto/2", "-o", "parts")
    assert "Shard 1/2, from JOB_COMPLETION_INDEX" in done.stderr
    record = json.loads((here / "parts" / "part-00001-of-00002.json").read_text())
    assert {"count", "errors", "model_sha256", "hubtune", "arguments", "engine"} <= set(record)
    assert record["count"] == len(record["positions"])


@pytest.mark.parametrize("text", ["3", "3/", "a/b", "-1/3", "3/3", "0/0", "auto/", "1/2/3", "auto"])
def test_what_is_not_a_shard_is_refused(text, monkeypatch):
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    with pytest.raises(UsageError):
        parse_shard(text)


def test_a_shard_is_read():
    assert parse_shard("0/1") == ImageShard(0, 1)
    assert parse_shard("63/64") == ImageShard(63, 64)
