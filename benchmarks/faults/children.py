"""Child processes of the bench: forked after the imports, so that one costs milliseconds and not seconds."""

import contextlib
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]

_active_mutation: list[Callable[[], None]] = []


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes:
        code: its exit code; the negative number of the signal that ended it.
        value: what the work returned; ``None`` if it did not return.
        out: standard output.
        err: standard error, with the traceback of an exception.
        timed_out: whether it was stopped because it took too long.
        seconds: its duration.
        growth: MiB by which its peak memory grew.
    """

    code: int
    value: Any
    out: str
    err: str
    timed_out: bool
    seconds: float
    growth: float

    @property
    def text(self) -> str:
        """Both outputs."""
        return self.out + self.err

    @property
    def last_line(self) -> str:
        """The last line of both outputs, for messages."""
        lines = self.text.strip().splitlines()
        return ascii(lines[-1][:160]) if lines else ""


def set_mutation(apply: Callable[[], None] | None) -> None:
    """Let all children from now on take a guard out; ``None`` puts it back."""
    _active_mutation[:] = [apply] if apply else []


def mutate_here() -> None:
    """Take the guard out in this process, which is a child. Called after a check has instrumented it."""
    for apply in _active_mutation:
        apply()


def call(
    work: Callable[[], Any],
    *,
    seconds: float = 120,
    prepare: Callable[[], None] | None = None,
    mutated: bool = True,
) -> Ended:
    """Run a function in a forked child, and return how it ended.

    Args:
        work: what to run; what it returns must be picklable.
        seconds: the child is killed after this time.
        prepare: called before a guard is taken out, to watch what the product does.
        mutated: whether a guard that is to be taken out is missing in this child.
    """
    with TemporaryDirectory(prefix="hubtune-faults-") as folder:
        result, out, err = (Path(folder) / name for name in ("result", "out", "err"))
        start = time.monotonic()
        child = fork(lambda: _report(work, prepare, result, mutated), out, err)
        code, timed_out = wait(child, seconds)
        took = time.monotonic() - start
        value, growth = _value_of(result)
        return Ended(code, value, _read(out), _read(err), timed_out, took, growth)


def limit_memory(mebibytes: int) -> None:
    """Let this process, a child, take no more than this much further address space."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _value_of(result: Path) -> tuple[Any, float]:
    try:
        return pickle.loads(result.read_bytes())  # noqa: S301  # written by the child
    except (OSError, EOFError, pickle.UnpicklingError):
        return None, 0.0


def _report(work: Callable[[], Any], prepare: Callable[[], None] | None, result: Path, mutated: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if prepare:
        prepare()
    if mutated:
        mutate_here()
    value, code = None, 0
    try:
        value = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # the parent reads the traceback
        traceback.print_exc()
        code = 1
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    with contextlib.suppress(OSError, MemoryError):
        content = pickle.dumps((value, growth))
        result.write_bytes(content)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 255)


def fork(work: Callable[[], None], out: Path | None = None, err: Path | None = None) -> int:
    """Fork a child with a process group of its own, run a function in it, and return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        return child
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, path in ((1, out or Path(os.devnull)), (2, err or Path(os.devnull))):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(handle, number)
            os.close(handle)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001  # nothing of the parent may run in the child
        traceback.print_exc()
    finally:
        os._exit(1)


def wait(child: int, seconds: float) -> tuple[int, bool]:
    """Wait for a child; return its exit code, and whether it was stopped because it took too long."""
    deadline = time.monotonic() + seconds
    handle = os.pidfd_open(child)
    try:
        ready = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]
    finally:
        os.close(handle)
    if not ready:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # What the child has started and left behind.
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    return code, not ready


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "backslashreplace") if path.exists() else ""


def hubtune(
    *arguments: object,
    cwd: Path,
    seconds: float = 180,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
) -> Ended:
    """Run a command line in a forked child, with homes of its own and without the network.

    Args:
        arguments: of the command line.
        cwd: the working folder; the cache and the user's home are beside it.
        seconds: the child is killed after this time.
        environment: further variables.
        prepare: called in the child before the command, to inject a fault.
    """

    def work() -> None:
        enter(cwd, environment)
        sys.argv = ["hubtune", *map(str, arguments)]
        from hubtune.cli.main import main

        main()

    return call(work, seconds=seconds, prepare=prepare)


def enter(cwd: Path, environment: Mapping[str, str] | None = None) -> None:
    """Give this process, a child, a working folder, homes of its own, and no network."""
    os.chdir(cwd)
    os.environ.update(environment_of(cwd, environment))


def environment_of(cwd: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a program that works in a folder."""
    homes = {name: cwd / f".{name.lower()}" for name in ("HOME", "HUBTUNE_HOME")}
    for home in homes.values():
        home.mkdir(exist_ok=True)
    return {**{name: str(home) for name, home in homes.items()}, "HUBTUNE_OFFLINE": "1", **(more or {})}


def hook_at_start(work: Path, code: str) -> str:
    """Let each Python of a :func:`program` run code at its start; returns the ``PYTHONPATH`` for that."""
    hooks = work / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(code)
    return os.pathsep.join([str(hooks), str(ROOT)])


def program(
    *arguments: object, cwd: Path, seconds: float = 300, more: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.Popen[bytes]":
    """Start the command line as a program of its own, with its imports; the caller waits for it."""
    variables = {"PYTHONPATH": str(ROOT), **environment_of(cwd, more)}
    return subprocess.Popen(
        [sys.executable, "-m", "hubtune", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        process_group=0,
        **options,
    )
