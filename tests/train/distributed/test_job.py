"""A job begins with its first block, and ends for all with it."""

import threading

import pytest
from support.ranks import ranks
from support.waiting import wait_for

from hubtune.errors import DataError, UsageError
from hubtune.ranks import ALONE
from hubtune.train.distributed import group as group_module
from hubtune.train.distributed.job import MAX_WAIT, follow, leading, max_wait_seconds


def _follow(rank, ended):
    def run(follower):
        while (message := follower.receive()).document["order"] != "end":
            pass
        return message.document

    ended.append(follow(rank, run))


def test_a_process_alone_leads_nobody():
    with leading(ALONE) as group:
        assert group is None


def test_the_result_reaches_the_others_when_the_outer_block_ends():
    leader, rank = ranks(2)
    ended = []
    thread = threading.Thread(target=_follow, args=(rank, ended))
    thread.start()
    with leading(leader) as group:
        with leading(leader) as inner:
            assert inner is group
            group.result = {"run": "x"}
        group.order("more")
        assert not ended
    thread.join()
    assert ended == [{"order": "end", "run": "x"}]


def test_an_error_ends_the_others_with_its_exit_code(monkeypatch):
    codes = []
    monkeypatch.setattr(group_module.os, "_exit", codes.append)
    leader, rank = ranks(2)
    threading.Thread(target=_follow, args=(rank, []), daemon=True).start()
    with pytest.raises(DataError), leading(leader):
        raise DataError("no picture")
    wait_for(lambda: codes[:1] == [DataError.exit_code])


def test_the_time_to_wait_is_a_number_of_minutes(monkeypatch):
    monkeypatch.setenv(MAX_WAIT, "2")
    assert max_wait_seconds() == 120
    monkeypatch.setenv(MAX_WAIT, "soon")
    with pytest.raises(UsageError, match="HUBTUNE_MAX_WAIT=soon is not a number of minutes"):
        max_wait_seconds()
