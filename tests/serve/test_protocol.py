"""Connections that are slow, silent or too many."""

import contextlib
import time

import pytest
from support.serving import image_bytes, seconds_until_closed, serving
from support.waiting import wait_for

from hubtune.serve.limits import ServeLimits

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
SECONDS = 1.5


@pytest.fixture(scope="module")
def hasty(small_run):
    with serving({"abc": small_run}, limits=ServeLimits(deadline_seconds=SECONDS, connections=40)) as server:
        yield server


def drip(connection, content):
    """Send a byte now and then until the other side closes; returns how long that took."""
    start = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for place in range(len(content)):
            connection.sendall(content[place : place + 1])
            time.sleep(0.1)
    return time.monotonic() - start


@pytest.mark.parametrize(
    ("sent", "dripped"),
    [
        (b"", b""),
        (b"POST /predict HT", b""),
        (b"", HEAD * 9),
        (HEAD + b"\r\n", b"x" * 900),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", HEAD * 9),
    ],
    ids=["silent", "half a header", "header in drops", "body in drops", "second request in drops"],
)
def test_a_slow_client_is_closed_at_the_deadline_while_others_are_served(hasty, sent, dripped):
    with hasty.connect() as connection:
        connection.sendall(sent)
        taken = drip(connection, dripped) if dripped else seconds_until_closed(connection)
        assert SECONDS * 0.8 < taken < 60
    assert hasty.ask("/predict", image_bytes()).status == 200


def test_an_early_answer_does_not_shorten_the_next_request(hasty):
    with hasty.connect() as connection:
        body = bytes(2000)
        for _ in range(2):
            connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65_536)
            assert b"404" in answer
            time.sleep(0.6 * SECONDS)
            connection.sendall(body)
            time.sleep(0.6 * SECONDS)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in connection.recv(65_536)


def test_a_client_that_does_not_take_its_answers_is_closed(hasty):
    with hasty.connect() as connection:
        connection.settimeout(60)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with pytest.raises(OSError):
            while True:
                connection.sendall(request * 200)
    assert hasty.ask("/healthz").status == 200


def test_too_many_connections_are_answered_503_at_once(hasty):
    wait_for(lambda: not hasty.server.server_state.connections)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(hasty.connect()) for _ in range(40)]
        wait_for(lambda: len(hasty.server.server_state.connections) == 40)
        with hasty.connect() as late:
            answer = late.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in answer
        assert seconds_until_closed(opened[0]) < 60
    wait_for(lambda: not hasty.server.server_state.connections)
    assert hasty.ask("/healthz").status == 200


@pytest.mark.slow
def test_200_slow_clients_are_closed_and_another_one_is_served(small_run):
    limits = ServeLimits(deadline_seconds=5)
    with serving({"abc": small_run}, limits=limits) as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(200)]
        for number, connection in enumerate(slow):
            connection.sendall((HEAD + b"\r\n" + b"x" * 10)[: 20 + number])
        for _ in range(50):
            assert server.ask("/predict", image_bytes()).status == 200
        for connection in slow:
            assert seconds_until_closed(connection) < 60
