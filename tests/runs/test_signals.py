"""The first signal asks a run to stop; outside the main thread none is caught."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

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


def test_another_thread_leaves_the_handlers_alone():
    def work():
        with stop_on_signals(print) as stop:
            return signal.getsignal(signal.SIGINT), stop.signal, stop.exit_code

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == (signal.getsignal(signal.SIGINT), None, 130)
