"""Orders, results, logs and failures between the ranks of a job."""

import logging
import threading

import numpy as np
import pytest
from support.ranks import meet
from support.waiting import wait_for

from hubtune.errors import MachineError, RankFailedError
from hubtune.train.distributed import group as group_module
from hubtune.train.distributed.group import Follower, RankGroup, rank_failed
from hubtune.train.distributed.launch import RESTARTABLE, SUPERVISED


@pytest.fixture(autouse=True)
def ended(monkeypatch):
    """Exit codes with which processes would have ended."""
    codes = []

    def end(code):
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(group_module.os, "_exit", end)
    yield codes
    # A thread that is late must not end the process of the tests.
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
        elif "_watch" in thread.name:
            thread.join(0.3)


@pytest.fixture
def pair():
    leader, peers, [rank], [to_leader] = meet(2)
    group, follower = RankGroup(leader, peers), Follower(rank, to_leader)
    yield group, follower
    follower.close()
    group.close(0)


def test_an_order_reaches_the_others_and_their_answer_rank_0(pair):
    group, follower = pair
    group.order("add", {"by": 2}, {"x": np.arange(3)})
    message = follower.receive()
    assert message.document == {"order": "add", "by": 2}
    follower.send({"done": True}, {"x": message.arrays["x"] + 2})
    [answer] = group.gather()
    np.testing.assert_array_equal(answer.arrays["x"], [2, 3, 4])


def test_answers_to_an_order_that_was_given_up_are_dropped(pair):
    group, follower = pair
    group.order("first")
    follower.receive()
    follower.send({"answer": "stale"})
    group.order("second")
    follower.receive()
    follower.send({"answer": "new"})
    assert group.receive(1).document["answer"] == "new"


def test_a_rank_that_dies_is_named(pair):
    group, follower = pair
    follower._leader.disconnect()
    with pytest.raises(RankFailedError, match=r"Rank 1 of 2 \(process \d+ on .*\) has died"):
        group.gather()
    with pytest.raises(RankFailedError):
        group.order("more")


def test_a_rank_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(group_module, "SILENCE_SECONDS", 0.3)
    leader, peers, _, _ = meet(2)  # the other one sends no heartbeat
    group = RankGroup(leader, peers)
    with pytest.raises(RankFailedError, match="has not answered for 0 seconds"):
        group.gather()


def test_heartbeats_keep_a_busy_rank_alive(monkeypatch):
    monkeypatch.setattr(group_module, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(group_module, "_BEAT_SECONDS", 0.05)
    leader, peers, [rank], [to_leader] = meet(2)
    group, follower = RankGroup(leader, peers), Follower(rank, to_leader)
    threading.Timer(2.5, follower.send, ({"late": True},)).start()
    assert group.receive(1).document["late"]
    group.close(0)


def test_why_a_rank_cannot_go_on_is_said_with_its_exit_code(pair):
    group, follower = pair
    follower.fail(MachineError("weights are missing"))
    with pytest.raises(MachineError, match=r"rank 1 of 2 .*: weights are missing") as raised:
        group.gather()
    assert raised.value.exit_code == MachineError.exit_code


def test_a_failed_transfer_has_the_name_of_the_rank_that_died(pair):
    group, follower = pair
    threading.Timer(0.3, follower._leader.disconnect).start()
    with pytest.raises(RankFailedError, match="Rank 1 of 2"):
        group.raise_failure(RuntimeError("gloo: Connection reset by peer"))


def test_followers_end_with_the_exit_code_of_rank_0(ended):
    leader, peers, [rank], [to_leader] = meet(2)
    group = RankGroup(leader, peers)
    Follower(rank, to_leader)
    group.close(3)
    wait_for(lambda: ended == [3])


def test_followers_end_if_rank_0_dies_and_leave_nothing(ended, capfd):
    _, peers, [rank], [to_leader] = meet(2)
    folder = Follower(rank, to_leader).temporary_folder()
    assert folder.is_dir()
    peers[0].disconnect()
    wait_for(lambda: ended == [RankFailedError.exit_code])
    assert not folder.exists()
    assert "Rank 0 of 2 (127.0.0.1) has died" in capfd.readouterr().err


def test_the_log_of_each_rank_is_written_by_rank_0(pair, tmp_path):
    group, follower = pair
    handler = follower.log_handler()
    for text in ("early", "late"):
        handler.emit(logging.LogRecord("hubtune", logging.INFO, "", 0, text, (), None))
        wait_for(lambda: group._logs._early or (tmp_path / "logs").is_dir())
        group.write_logs(tmp_path / "logs")
    file = tmp_path / "logs" / "rank-1.log"
    wait_for(lambda: file.exists() and "late" in file.read_text())
    assert [line.rpartition(" - ")[2] for line in file.read_text().splitlines()] == ["early", "late"]


def test_a_signal_of_another_rank_reaches_rank_0(pair):
    group, follower = pair
    received = []
    group.on_signal = received.append
    follower.pass_on(15)
    wait_for(lambda: received == [15])


def test_a_supervised_process_asks_for_a_restart(monkeypatch):
    assert rank_failed("x").exit_code == RankFailedError.exit_code
    monkeypatch.setenv(SUPERVISED, "1")
    assert rank_failed("x").exit_code == RESTARTABLE
