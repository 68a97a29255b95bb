"""Foreign hosts and origins, and tokens."""

import pytest
from support.serving import TOKEN, image_bytes, serving

from hubtune.errors import UsageError
from hubtune.serve.security import (
    SECURITY_HEADERS,
    AllowedHosts,
    FailedAttempts,
    check_token,
    is_local,
    make_token,
)

ENCODED_PATHS = [
    f"/{folder}{up}{up}{up}etc{slash}passwd"
    for folder in ("static/", "", "app.js/", "models/")
    for up, slash in (
        *(("../", "/"), ("..%2f", "%2f"), ("%2e%2e/", "/"), ("%2e%2e%2f", "%2f"), ("..\\", "\\")),
        *(("..%5c", "%5c"), ("%252e%252e%252f", "%252f"), ("..%c0%af", "%c0%af"), ("....//", "//")),
        *(("..;/", "/"), ("%00../", "/")),
    )
]


def test_40_encodings_of_a_path_lead_nowhere(served):
    assert len(ENCODED_PATHS) >= 40
    for path in ENCODED_PATHS:
        answer = served.send_raw(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.split()[1] in (b"404", b"405", b"400"), path
        assert b"root:" not in answer


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *(("localhost", True), ("LOCALHOST:8000", True), ("127.0.0.1:1", True), ("192.168.1.7:80", True)),
        *(("[::1]:8000", True), ("photos.example.com", True), ("a.lab.example.org", True)),
        *(("evil.com", False), ("", False), ("localhost.evil.com", False), ("xphotos.example.com", False)),
        *(
            ("lab.example.org", False),
            ("[", False),
            ("photos.example.com.evil", False),
            ("127.0.0.1.evil", False),
        ),
        *(("evil.com@127.0.0.1", False), ("127.0.0.1/evil.com", False), ("127.0.0.1#evil.com", False)),
    ],
)
def test_names_that_are_not_the_servers_are_refused(host, allowed):
    assert AllowedHosts(("photos.example.com", "*.lab.example.org")).allows(host) is allowed


def test_foreign_hosts_and_origins_get_no_answer_and_every_answer_has_the_headers(served):
    image, own = image_bytes(), f"127.0.0.1:{served.port}"
    cases = [
        ({"Host": "evil.example"}, 400, "foreign_host"),
        ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
        ({"Origin": "http://["}, 403, "foreign_origin"),
        ({"Origin": "http://127.0.0.1:1"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "foreign_origin"),
        ({"Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}, 200, None),
        ({}, 200, None),
    ]
    for headers, status, code in cases:
        answer = served.ask("/predict", image, headers=headers)
        assert (answer.status, answer.json.get("code")) == (status, code), headers
        assert {
            name.lower(): value for name, value in SECURITY_HEADERS.items()
        }.items() <= answer.headers.items()
        assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = served.ask("/predict", method="OPTIONS", headers={"Origin": "http://evil.example"})
    assert preflight.status == 403 and "access-control-allow-origin" not in preflight.headers
    assert "unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]


def test_a_token_is_needed_but_for_the_page_and_probes(small_run):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with serving({"abc": small_run}, token=TOKEN) as server:
        for path in ("/", "/app.js", "/app.css", "/healthz", "/readyz", "/v2/health/live", "/openapi.json"):
            assert server.ask(path).status == 200, path
        assert b'data-token="needed"' in server.ask("/").body
        for path in ("/models", "/metrics", "/v2", "/v2/models/abc"):
            answer = server.ask(path)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), path
            assert server.ask(path, headers=bearer).status == 200, path
        assert server.ask("/predict", image_bytes()).status == 401
        assert server.ask("/predict", image_bytes(), headers=bearer).status == 200
        # Nothing of a body is read before the token is.
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        assert server.send_raw(head).startswith(b"HTTP/1.1 401 ")
        for number in range(10):
            answer = server.ask("/models", headers={"Authorization": f"Bearer wrong{number}é"})
            assert (answer.status, answer.json["code"]) == (401, "wrong_token")
        answer = server.ask("/models", headers=bearer)
        assert (answer.status, answer.json["code"]) == (429, "too_many_attempts")
        assert 0 < int(answer.headers["retry-after"]) <= 61


def test_wrong_tokens_are_counted_for_each_client_and_forgotten_after_a_minute():
    now = [0.0]
    failures = FailedAttempts(lambda: now[0])
    for _ in range(10):
        assert failures.seconds_to_wait("1.2.3.4") == 0
        failures.add("1.2.3.4")
        now[0] += 1
    assert failures.seconds_to_wait("1.2.3.4") == 50
    assert failures.seconds_to_wait("1.2.3.5") == 0
    now[0] += 50
    assert failures.seconds_to_wait("1.2.3.4") == 0
    for number in range(10):
        failures.add(f"2001:db8::{number}")  # all of one network
    assert failures.seconds_to_wait("2001:db8::ffff") > 0
    assert failures.seconds_to_wait("2001:db9::1") == failures.seconds_to_wait("") == 0
    for number in range(10_000):
        failures.add(str(number))
    assert len(failures._times) < 5000


def test_tokens_that_are_weak_or_no_header_can_hold_are_refused():
    assert check_token(make_token()) and make_token() != make_token()
    for token in ("", "short", "with a space in it", "ümlaute-sind-kein-ascii", "x" * 20 + "\n"):
        with pytest.raises(UsageError, match="16 characters or more"):
            check_token(token)
    assert [is_local(host) for host in ("127.0.0.1", "localhost", "::1")] == [True] * 3
    assert [is_local(host) for host in ("0.0.0.0", "::", "192.168.1.2", "example.com")] == [False] * 4
