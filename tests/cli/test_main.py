"""The entry point: a signal ends the program with one line and its exit code, whenever it comes."""

import os
import signal
import sys

import pytest

_SEND = """
import os, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == os.environ["AT"]:
        os.kill(os.getpid(), int(os.environ["NUMBER"]))
sys.addaudithook(hook)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("at", ["click", "hubtune.cli.lazy", "numpy"])
def test_a_signal_at_an_import_ends_with_one_line(number, code, at, tmp_path, run_hubtune):
    (tmp_path / "sitecustomize.py").write_text(_SEND)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = run_hubtune("scan", ".", cwd=tmp_path, PYTHONPATH=path, AT=at, NUMBER=str(int(number)))
    assert (done.returncode, done.stderr, done.stdout) == (code, "Stopped.\n", "")
