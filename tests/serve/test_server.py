"""The process: its port, and its end by a signal."""

import http.client
import json
import re
import resource
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from support.serving import ask, image_bytes, started
from support.waiting import HANG_SECONDS, wait_for

from hubtune.errors import MachineError, UsageError
from hubtune.serve.server import allow_connections, bind_port
from hubtune.storage.checked_folder import write_checked


def test_a_signal_ends_the_server_after_what_it_has_received(small_run):
    with started(small_run) as (process, port, printed):
        assert "Token" not in printed and f"http://127.0.0.1:{port}/ " in printed
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
        connection.request("POST", "/predict", image_bytes())
        assert connection.getresponse().read()
        # A stored program suffices.
        assert "/paddle/" not in Path(f"/proc/{process.pid}/maps").read_text()
        # Half a request, which is answered when the rest has come.
        image = image_bytes(1)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", str(len(image)))
        connection.endheaders(image[:100])
        process.send_signal(signal.SIGTERM)
        threading.Timer(0.5, lambda: connection.send(image[100:])).start()
        assert connection.getresponse().status == 200
        assert process.wait(10) == 143
        assert process.stderr.read().strip() == "Stopped."
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", port)):
        pass


@pytest.mark.slow
def test_a_signal_still_ends_the_server_after_a_new_model_has_brought_paddle(tmp_path, small_run):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    shutil.copytree(small_run.parent / "home", tmp_path / "home")
    card = json.loads((run / "best_model" / "model.json").read_text())
    files = {file.name: file.read_bytes() for file in (run / "best_model").iterdir()}
    del files["manifest.json"]
    with started(run, "--reload") as (process, port, _):
        content = json.dumps({**card, "labels": ["x", "y", "z"]}).encode()
        write_checked(run / "best_model", {**files, "model.json": content})
        wait_for(lambda: ask(port, "/models").json["models"][0]["labels"] == ["x", "y", "z"])
        assert "/paddle/" in Path(f"/proc/{process.pid}/maps").read_text()
        time.sleep(2)  # the handlers of signals are installed again within a second
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        printed = process.stderr.read()
    assert printed.rstrip().endswith("Stopped.") and "Traceback" not in printed


def test_localhost_is_the_address_that_is_printed():
    with bind_port("localhost", 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


@pytest.mark.slow
def test_a_client_that_never_ends_does_not_hold_the_server(small_run):
    with started(small_run) as (process, port, _), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        http.client.HTTPConnection("127.0.0.1", port).connect()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        assert "Traceback" not in process.stderr.read()


def test_another_host_has_a_token_which_is_printed_once_unless_it_was_given(small_run):
    with started(small_run, "--host", "0.0.0.0") as (_, port, printed):
        [token] = re.findall("^Token: (.*)$", printed, re.MULTILINE)
        assert f"/#token={token}" in printed
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
        connection.request("GET", "/models")
        assert connection.getresponse().status == 401
    with started(small_run, "--host", "0.0.0.0", HUBTUNE_TOKEN="x" * 20) as (_, port, printed):
        assert "x" * 20 not in printed and "Token" not in printed
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
        connection.request("GET", "/models", headers={"Authorization": "Bearer " + "x" * 20})
        assert connection.getresponse().status == 200


def test_a_port_in_use_and_an_unknown_host_are_refused():
    with bind_port("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(MachineError, match=f"Port {port} of 127.0.0.1 cannot be used .*--port"):
            bind_port("127.0.0.1", port)
    with pytest.raises(UsageError, match="There is no host 'no'"):
        bind_port("no", 0)


def test_the_limit_of_open_files_is_raised_as_far_as_allowed():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
        allow_connections(400)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(528, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
