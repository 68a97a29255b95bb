"""Bodies that are too large, packed or lying, and what stays of them in memory."""

import gzip
import json
import socket

import pytest
from support.serving import ask, image_bytes, resident_bytes, serving, started
from support.waiting import HANG_SECONDS, wait_for

from hubtune.serve.limits import RequestError, ServeLimits, busy_error, json_reply

MEGABYTE = 2**20


def chunked(count, size=MEGABYTE):
    for _ in range(count):
        yield bytes(size)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 52428800\r\n\r\n"
    assert served.send_raw(head).startswith(b"HTTP/1.1 413 ")
    for body in (bytes(50 * MEGABYTE), chunked(50)):
        answer = served.ask("/predict", body)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    wait_for(lambda: served.app._bodies.buffered == 0)
    assert served.ask("/predict", image_bytes()).status == 200


def test_large_bodies_do_not_stay_in_memory(small_run):
    with started(small_run) as (process, port, _):
        for _ in range(20):
            ask(port, "/predict", image_bytes())
        before = resident_bytes(process)
        for _ in range(3):
            assert ask(port, "/predict", bytes(50 * MEGABYTE)).status == 413
            assert ask(port, "/predict", chunked(50)).status == 413
        assert ask(port, "/predict", image_bytes()).status == 200
        assert resident_bytes(process) - before < 20e6


def test_what_follows_a_request_of_two_lengths_is_not_taken_for_another_one(served):
    both = b"Content-Length: 40\r\nTransfer-Encoding: chunked"
    first = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" + both + b"\r\n\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=HANG_SECONDS) as connection:
        connection.sendall(first + b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(2**16), b""))
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"two_lengths" in answers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/" + "a" * 40_000, ""),
        ("/?" + "a" * 40_000, ""),
        ("/", "X: " + "a" * 40_000),
        ("/", "X: a\r\n" * 20_000),
    ],
    ids=["path", "query", "one header", "many headers"],
)
def test_long_headers_are_refused_also_if_they_arrive_at_once(served, path, headers):
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers.strip()}\r\n\r\n"
    answer = served.send_raw(request.replace("\r\n\r\n\r\n", "\r\n\r\n").encode())
    assert answer.split()[1] == b"400"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: -1", 400),
        (b"Content-Length: 5\r\nContent-Length: 6", 400),
        (b"Content-Length: many", 400),
        (b"Content-Length: 99999999999999999999", 413),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3", 400),
        (b"Transfer-Encoding: gzip", 501),
        (b"Content-Length: 5\r\nContent-Encoding: gzip", 415),
        (b"Content-Length: 5\r\nContent-Encoding: br", 415),
    ],
)
def test_lying_lengths_and_packed_bodies_are_refused(served, headers, status):
    request = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n\r\n3\r\nabc"
    found = int(served.send_raw(request).split()[1])
    assert found == status or (status == 501 and 400 <= found < 500)
    assert served.ask("/predict", gzip.compress(image_bytes())).status == 422


def test_all_bodies_together_have_a_limit(small_run):
    limits = ServeLimits(buffered_bytes=3 * MEGABYTE)
    with serving({"abc": small_run}, limits=limits) as server:
        with server.connect() as first:
            first.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n")
            first.sendall(bytes(2 * MEGABYTE))
            wait_for(lambda: server.app._bodies.buffered >= 2 * MEGABYTE)
            answer = server.ask("/predict", bytes(2 * MEGABYTE))
            assert (answer.status, answer.json["code"]) == (503, "busy")
        wait_for(lambda: server.app._bodies.buffered == 0)
        assert server.ask("/predict", image_bytes()).status == 200


def test_answers_hold_any_text_and_refusals_say_when_to_come_back():
    assert json.loads(json_reply({"a": "\udcff"}).body) == {"a": "\udcff"}
    reply = busy_error().reply(error="x")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert json.loads(RequestError(400, "c", "m").reply().body) == {"code": "c", "message": "m"}
