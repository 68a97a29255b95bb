"""The first signal asks a run to stop; outside the main thread none is caught."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.scripts import ROOT

from hubtune.runs.signals import StopRequested, stop_on_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_a_request_with_its_exit_code(number, code):
    notices, before = [], signal.getsignal(number)
    with stop_on_signals(notices.append) as stop:
        stop.check()
        signal.raise_signal(number)
        with pytest.raises(StopRequested):
            stop.check()
    assert stop.exit_code == code
    assert notices == ["Stopping after this batch, saving … (once more to quit at once)"]
    assert signal.getsignal(number) == before


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="a signal stands for Ctrl-Break")
def test_ctrl_break_of_windows_stops_and_saves(tmp_path):
    program = (
        "import signal; signal.SIGBREAK = signal.SIGUSR2\n"
        "from hubtune.runs.signals import STOP_SIGNALS, StopRequested, stop_on_signals\n"
        "assert signal.SIGUSR2 in STOP_SIGNALS\n"
        "with stop_on_signals(print) as stop:\n"
        "    signal.raise_signal(signal.SIGBREAK)\n"
        "    assert stop.exit_code == 128 + signal.SIGBREAK\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": ROOT})
    program = "import signal; signal.SIGBREAK = signal.SIGUSR2\nfrom hubtune.cli import main\n"
    program += "import sys; sys.argv = ['hubtune', 'scan', 'x']\n"
    program += "sys.meta_path.insert(0, type('Stop', (), {'find_spec': staticmethod(lambda name, *_: "
    program += "signal.raise_signal(signal.SIGBREAK) if name == 'hubtune.cli.commands' else None)}))\n"
    done = subprocess.run(
        [sys.executable, "-c", program + "main.main()"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGUSR2, "Stopped.\n")


def test_another_thread_leaves_the_handlers_alone():
    def work():
        with stop_on_signals(print) as stop:
            return signal.getsignal(signal.SIGINT), stop.signal, stop.exit_code

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == (signal.getsignal(signal.SIGINT), None, 130)
