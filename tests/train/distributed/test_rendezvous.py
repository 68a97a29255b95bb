"""Processes of a job find each other; late ones are named, and strangers are not let in."""

import logging
import socket
import threading
from dataclasses import replace

import pytest
from support.ranks import meet, ranks

from hubtune.errors import MachineError, UsageError
from hubtune.train.distributed import rendezvous
from hubtune.train.distributed.rendezvous import connect_to_leader, wait_for_peers


def test_all_find_rank_0_and_are_known_by_their_rank():
    _, peers, others, leaders = meet(3)
    assert [peer.number for peer in peers] == [1, 2]
    for peer, rank, leader in zip(peers, others, leaders, strict=True):
        assert f"rank {rank.number} of 3 (process " in peer.name
        peer.data.send_bytes(b"x%d" % rank.number)
        assert leader.data.recv_bytes() == b"x%d" % rank.number
        leader.control.send_bytes(b"y")
        assert peer.control.recv_bytes() == b"y"


def test_a_port_that_is_taken_is_passed_over(monkeypatch):
    taken = socket.create_server(("127.0.0.1", 0))
    real = ranks(2)
    monkeypatch.setattr("support.ranks.free_port", lambda: taken.getsockname()[1])
    monkeypatch.setattr(rendezvous, "_ANSWER_SECONDS", 0.3)  # the other program says nothing
    _, peers, _, _ = meet(2)
    assert len(peers) == 1 == len(real) - 1


def test_strangers_and_other_jobs_do_not_take_a_place(monkeypatch):
    monkeypatch.setattr(rendezvous, "_ANSWER_SECONDS", 0.3)
    leader, rank = ranks(2)
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", leader.port), timeout=1) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    stranger.recv(100)
            except OSError:
                continue

    other = ranks(2, job="another", port=leader.port)[1]
    threads = [
        threading.Thread(target=disturb, daemon=True),
        threading.Thread(target=lambda: _connect_in_vain(other), daemon=True),
        threading.Thread(target=connect_to_leader, args=(rank, 60), daemon=True),
    ]
    for thread in threads:
        thread.start()
    peers = wait_for_peers(leader, 60, lambda: None)
    stop.set()
    assert [peer.number for peer in peers] == [1]


def _connect_in_vain(rank):
    with pytest.raises(MachineError):
        connect_to_leader(rank, 2)


def test_a_rank_that_does_not_come_is_named(monkeypatch, caplog):
    monkeypatch.setattr(rendezvous, "_FIRST_NOTICE", 0.1)
    with caplog.at_level(logging.WARNING, "hubtune"), pytest.raises(MachineError, match="rank 1, 2 of 3"):
        wait_for_peers(ranks(3)[0], 0.5, lambda: None)
    assert "waiting for rank 1, 2 of 3" in caplog.text


def test_rank_0_that_does_not_come_is_named():
    with pytest.raises(MachineError, match=r"rank 0 at 127\.0\.0\.1"):
        connect_to_leader(ranks(2)[1], 0.3)


def test_other_versions_are_refused(monkeypatch):
    leader, rank = ranks(2)
    own = rendezvous._versions()
    versions = iter([{"hubtune": "0.0.1"}, {"hubtune": "0.0.1"}])
    monkeypatch.setattr(rendezvous, "_versions", lambda: next(versions, own))
    threading.Thread(target=connect_to_leader, args=(rank, 60), daemon=True).start()
    with pytest.raises(MachineError, match=r"hubtune 0.0.1, and rank 0 has .*: install the same version"):
        wait_for_peers(leader, 60, lambda: None)


def test_another_number_of_processes_is_refused():
    leader, rank = ranks(2)
    other = replace(rank, size=3)
    threading.Thread(target=connect_to_leader, args=(other, 60), daemon=True).start()
    with pytest.raises(UsageError, match="one of 3 processes, and rank 0 as one of 2"):
        wait_for_peers(leader, 60, lambda: None)


@pytest.mark.slow
def test_a_name_that_is_not_known_is_named():
    rank = replace(ranks(2)[1], address="no-such-host.invalid")
    with pytest.raises(MachineError, match="a name that is not known here"):
        connect_to_leader(rank, 0.3)


def test_waiting_can_be_stopped():
    class Stopped(Exception):
        pass

    def stop():
        raise Stopped

    with pytest.raises(Stopped):
        wait_for_peers(ranks(2)[0], 60, stop)
