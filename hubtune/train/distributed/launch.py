"""Starts the processes of a job on this machine, watches them, and restarts the job if one has died."""

import logging
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from hubtune.errors import MachineError, RankFailedError
from hubtune.log import logger
from hubtune.runs.signals import STOP_SIGNALS
from hubtune.text import plural

RESTARTABLE = 75
"""Exit code of a supervised process that ended because another one had died (EX_TEMPFAIL of sysexits.h)."""
SUPERVISED = "HUBTUNE_SUPERVISED"
"""The variable that is set in the processes that :func:`run_processes` starts."""

# What Paddle's spawn takes out of the environment of its processes: downloads would fail behind a proxy.
_PROXIES = ("http_proxy", "https_proxy")
_GRACE_SECONDS = 10.0  # for the others to end by themselves after one has failed
_LAST_SECONDS = 70.0  # after one has succeeded
_POLL_SECONDS = 0.2


def run_processes(
    main: Callable[[], None],
    arguments: Callable[[bool], Sequence[str]],
    count: int,
    device: str,
    *,
    max_restarts: int,
) -> int:
    """Run hubtune's command line in several processes of one job, and return the exit code.

    If a process dies, the job begins again at its last checkpoint.

    Args:
        main: runs the command line of ``sys.argv``, and ends the process.
        arguments: returns those of the command line; called with whether the job is restarted.
        count: number of processes.
        device: ``cpu``, ``gpu:0,1`` with a GPU for each process, or ``auto`` and ``gpu`` for the first ones.
        max_restarts: how often the job is restarted.

    Raises:
        MachineError: if Paddle has no processes on this system.
        RankFailedError: if a process dies after the last restart.
    """
    check_platform()
    for attempt in range(max_restarts + 1):
        processes = _Processes(_spawn(main, arguments(attempt > 0), count, device))
        with _forwarding(processes):
            code = processes.wait()
        if code != RESTARTABLE:
            return code
        if attempt < max_restarts:
            logger.warning(
                "%s: the job is restarted from its last checkpoint (%d of %d)",
                *(processes.failure, attempt + 1, max_restarts),
            )
    restarted = f"after {plural(max_restarts, 'restart')}" if max_restarts else "and the job is not restarted"
    raise RankFailedError(f"{processes.failure}, {restarted}: continue with the same command and --resume")


def check_platform() -> None:
    """Raise ``MachineError`` on systems where Paddle cannot train in several processes."""
    if system := {"win32": "Windows", "darwin": "macOS"}.get(sys.platform):
        raise MachineError(
            f"Paddle cannot train in several processes on {system}: leave out --nproc, as one process uses "
            "all cores, or take a machine with Linux"
        )


@dataclass
class _Processes:
    """The running processes of a job, as ``paddle.distributed.spawn`` returns them."""

    context: Any  # to be kept: the processes need its queues while they start
    is_stopped: bool = field(default=False, init=False)
    failure: str = field(default="", init=False)

    @property
    def processes(self) -> Sequence[BaseProcess]:
        processes: Sequence[BaseProcess] = self.context.processes
        return processes

    def wait(self) -> int:
        """Wait for all to end, and return the exit code of the job."""
        first: float | None = None
        while any(process.exitcode is None for process in self.processes):
            time.sleep(_POLL_SECONDS)
            ended = [process for process in self.processes if process.exitcode is not None]
            if not ended:
                continue
            first = first or time.monotonic()
            # After an error the others end at once; after success, rank 0 may have to write its result.
            failed = any(process.exitcode for process in ended)
            if time.monotonic() - first > (_GRACE_SECONDS if failed else _LAST_SECONDS):
                self._kill()
        return self._judge()

    def send(self, number: int) -> None:
        self.is_stopped = True
        for process in self.processes:
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, number)

    def _kill(self) -> None:
        self.failure = self.failure or self._first_death()
        for rank, process in enumerate(self.processes):
            if process.exitcode is None:
                killed = f"Rank {rank} (process {process.pid}) does not answer, and was killed"
                self.failure = self.failure or killed
                process.kill()

    def _first_death(self) -> str:
        """Say which process has died, and how; empty if none has."""
        for rank, process in enumerate(self.processes):
            code = process.exitcode
            if code is not None and _died(process):
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                return f"Rank {rank} of {len(self.processes)} (process {process.pid}) has ended {how}"
        return ""

    def _judge(self) -> int:
        codes = [process.exitcode or 0 for process in self.processes]
        if codes[0] == 0:  # rank 0 has finished the work
            return 0
        if self.is_stopped:
            own = (code for code in codes if code > 0 and code != RESTARTABLE)
            return next(own, RankFailedError.exit_code)
        self.failure = self.failure or self._first_death()
        if self.failure:
            return RESTARTABLE
        self.failure = "A process of the job has died"
        return next((code for code in codes if code), 0)


def _died(process: BaseProcess) -> bool:
    """Whether a process has ended in a way that hubtune does not end."""
    return process.exitcode is not None and (process.exitcode < 0 or process.exitcode in _FOREIGN_CODES)


# Of a library or the system's; 1 is Python's own, for an exception that nobody has caught.
_FOREIGN_CODES = frozenset({1, 134, 137, 139})


def _spawn(main: Callable[[], None], arguments: Sequence[str], count: int, device: str) -> Any:
    import paddle  # here: it takes a second
    from paddle import distributed

    options = {"backend": "gloo"}
    if device != "cpu" and paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count():
        numbers = device.partition(":")[2] or ",".join(map(str, range(count)))
        options = {"backend": "nccl", "gpus": numbers}
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    shared = {**proxies, SUPERVISED: "1", "HUBTUNE_JOB": secrets.token_hex(16)}
    sys.stdout.flush()
    logging.disable(logging.INFO)  # Paddle's, about ports
    with warnings.catch_warnings(), ExitStack() as stack:
        stack.callback(logging.disable, logging.NOTSET)
        warnings.simplefilter("ignore")  # that the processes use the CPU
        return distributed.spawn(
            _run, args=(main, [*arguments], shared), nprocs=count, join=False, daemon=False, **options
        )


def _run(main: Callable[[], None], arguments: Sequence[str], environment: dict[str, str]) -> None:
    """Run the command line, in a process of its own."""
    with_parent = multiprocessing.parent_process()
    # A group of its own: Ctrl-C is for the supervisor, which passes it on once.
    os.setpgid(0, 0)
    os.environ.update(environment)
    if with_parent is not None:
        threading.Thread(target=_end_with, args=(with_parent,), daemon=True).start()
    sys.argv = ["hubtune", *arguments]
    main()


def _end_with(parent: BaseProcess) -> None:
    """Stop this process if its supervisor has died."""
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _forwarding(processes: _Processes) -> Iterator[None]:
    """Pass signals on to the processes, which decide how to stop."""

    def handle(number: int, frame: FrameType | None) -> None:
        processes.send(number)

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
