"""Free memory, and the error for work that it does not hold."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hubtune.errors import MachineError
from hubtune.text import format_bytes

_MEMINFO, _OWN_GROUPS, _GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
# Of a control group, versions 2 and 1: its limit, its use, and the part of the use that is files' content,
# which the system drops when it needs the memory.
_GROUP_FILES = (
    ("memory.max", "memory.current", ("inactive_file", "active_file")),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)

# Of Paddle, CUDA and its libraries, and C++, where they do not raise a MemoryError.
_SHORTAGE = re.compile(r"ResourceExhausted|out of memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)

PLENTY = 1024
"""Bytes for each value of an input that no network of the catalog takes to run."""


def free_memory(*, swap: bool = False) -> int | None:
    """Return the bytes that this process can still take; ``None`` except on Linux.

    The smallest of what is free on the machine, optionally with its swap space, in each of the process's
    control groups (containers), and below its own limit (``ulimit -v``).
    """
    free = [*_of_machine(swap), *_of_groups(), *_of_process()]
    return max(0, min(free)) if free else None


def memory_limit() -> int | None:
    """Return the bytes that the process's control groups (containers) may take; ``None`` without a limit."""
    machine = machine_memory().get("MemTotal")
    limits = [most for most, _ in _groups() if machine is None or most < machine]
    return min(limits, default=None)


def machine_memory() -> dict[str, int]:
    """Return what the system says about its memory in bytes, such as ``MemTotal`` and ``SwapTotal``."""
    with suppress(OSError, LookupError, ValueError):
        lines = _MEMINFO.read_text("ascii").splitlines()
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {}


def _of_machine(swap: bool) -> Iterator[int]:
    with suppress(LookupError):
        entries = machine_memory()
        yield entries["MemAvailable"] + (entries.get("SwapFree", 0) if swap else 0)


def _of_groups() -> Iterator[int]:
    return (free for _, free in _groups())


def _groups() -> Iterator[tuple[int, int]]:
    """Yield the limit of each control group, and what is free below it."""
    with suppress(OSError, ValueError):
        for line in _OWN_GROUPS.read_text("utf-8", "surrogateescape").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            root = _GROUPS / controllers
            # In a container, the path may be the host's, and the container's own group is the root.
            group = root / path.lstrip("/")
            for folder in (group, *group.parents):
                if not folder.is_relative_to(root):
                    break
                for limit, used, files in _GROUP_FILES:
                    with suppress(OSError, ValueError):  # no such group, or "max": no limit
                        most, taken = (int((folder / name).read_text("ascii")) for name in (limit, used))
                        lines = (folder / "memory.stat").read_text("ascii").splitlines()
                        entries = dict(line.split() for line in lines)
                        yield most, most - taken + sum(int(entries.get(name, 0)) for name in files)


def _of_process() -> Iterator[int]:
    with suppress(ImportError, OSError):  # not Linux
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        if most != resource.RLIM_INFINITY:
            yield most - pages * os.sysconf("SC_PAGE_SIZE")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error is that of a device or a system without memory, which fewer images may avoid."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    return isinstance(error, OSError | RuntimeError | SystemError) and bool(_SHORTAGE.search(str(error)))


def out_of_memory(
    count: int, sides: Sequence[int], *, free: int | None, least: float = 0, most: float = 0
) -> MachineError:
    """Return the error for a batch of ``count`` images of height and width ``sides``, with values to try.

    ``free`` is in bytes, as are ``least`` and ``most``: what an image certainly needs, and what is enough for
    it; 0 if that is not known.
    """
    facts, fitting, side = [], count // 2, max(sides) // 2
    if least:
        facts.append(f"needs at least {format_bytes(round(count * least))}")
    if free is not None:
        facts.append(f"{format_bytes(free)} are free")
        if most:
            fitting = min(fitting, int(free / most))
            side = min(side, int(max(sides) * (free / (count * most)) ** 0.5))
    smaller = f"a batch size of {fitting}, or " if fitting else ""
    return MachineError(
        f"Memory does not hold a batch of {count} pictures of {sides[1]} × {sides[0]} pixels"
        f"{' (' + '; '.join(facts) + ')' if facts else ''}: try {smaller}smaller pictures, such as "
        f"{max(16, side // 16 * 16)} pixels, or close other programs"
    )
