"""This machine's processor: which settings make Paddle fast on it, found by measuring once, and kept.

Paddle's CPU build multiplies matrices by a copy of Intel's MKL. On processors of other makers that copy takes
its slowest path, unless the variable ``MKL_DEBUG_CPU_TYPE`` names another before the first product.
"""

import functools
import importlib.util
import inspect
import json
import math
import os
import platform
import re
import subprocess
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtune.errors import MachineError
from hubtune.log import logger
from hubtune.storage.atomic import write_atomically
from hubtune.storage.cache_folder import cache_root

MKL_TYPE = "MKL_DEBUG_CPU_TYPE"
"""The variable that names MKL's path: ``5`` for AVX2, ``7`` for AVX-512."""

# Whoever sets one of these has made the choice.
_MKL_VARIABLES = (MKL_TYPE, "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads")
_NUMBERS = {MKL_TYPE: "[0-9]+", **dict.fromkeys(_THREAD_VARIABLES, "0*[1-9][0-9]{0,3}")}
# The path for AVX-512 ends a process on a processor that lacks any of these.
_AVX2 = {"avx2", "fma"}
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
_WORTH_IT = 0.95  # of the default's time
_SAME = 1e-3  # relative; paths round differently in the last digits

_CPUINFO = Path("/proc/cpuinfo")
_LIBRARIES = {
    "linux": ("libiomp5.so", "libmklml_intel.so"),
    "win32": ("libiomp5md.dll", "mklml.dll"),
}
_PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Processor:
    """A processor.

    Attributes:
        vendor: as it names itself, such as ``GenuineIntel`` or ``AuthenticAMD``; empty where it does not.
        identity: tells it from every other that measurements may differ on.
        types: the values of ``MKL_DEBUG_CPU_TYPE`` whose instructions it has.
    """

    vendor: str
    identity: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class Preparation:
    """What :func:`prepare` has found and done.

    Attributes:
        mkl_type: the value that ``MKL_DEBUG_CPU_TYPE`` has now; ``None`` where it is not set.
        reason: why, in words.
        own_threads: how the user has set the number of threads, such as ``OMP_NUM_THREADS=4``; ``None``
            where that is left to hubtune.
    """

    mkl_type: str | None
    reason: str
    own_threads: str | None

    def lines(self) -> list[str]:
        """The same for a person."""
        mkl = f"{MKL_TYPE}={self.mkl_type}" if self.mkl_type else f"{MKL_TYPE} is not set"
        threads = self.own_threads or "chosen by measuring a step before training"
        return [f"{mkl}: {self.reason}", f"threads: {threads}"]


@functools.cache
def prepare() -> Preparation:
    """Set what makes Paddle fast on this processor; call it before Paddle is imported.

    On a processor that is not Intel's, a product is timed in processes of their own under each setting that
    the processor can take: a quarter of a second, once for a machine and a Paddle. The fastest is set in this
    process's environment, from where MKL reads it at its first product. What the user has set stays; what is
    no number there, which Paddle and MKL pass over, counts as not set, and a warning says so. Further calls
    do nothing.
    """
    for name in _NUMBERS:
        value = os.environ.get(name)
        if value and _own(name) is None:
            what = "number" if name == MKL_TYPE else "number of threads"
            logger.warning("%s=%s is no %s: it counts as not set", name, ascii(value), what)
    chosen, reason = _mkl_type()
    if chosen is not None:
        os.environ[MKL_TYPE] = chosen
    prepared = Preparation(_own(MKL_TYPE), reason, _own_threads())
    for line in prepared.lines():
        logger.debug("%s", line)
    return prepared


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def processor() -> Processor:
    """The processor of this machine."""
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return _named(platform.processor() or platform.machine())
    return _listed(first)


def recall(what: str) -> Any:
    """What was measured earlier on this machine; ``None`` where nothing was, or the file is damaged.

    Args:
        what: names what was measured and everything that it depends on but the processor.
    """
    return _read().get(_key(what))


def remember(what: str, value: Any) -> None:
    """Keep what was measured, as JSON; where the cache cannot be written it will be measured again."""
    try:
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({**_read(), _key(what): value}, indent=1) + "\n")
    except (OSError, MachineError) as error:
        logger.debug("what was measured on this machine is not kept: %s", error)


def _file() -> Path:
    return cache_root() / "machine.json"


def _key(what: str) -> str:
    return f"{what} on {processor().identity}"


def _read() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_bytes())
    except (OSError, ValueError, RecursionError, MachineError):
        return {}
    return found if isinstance(found, dict) else {}


def _listed(entry: str) -> Processor:
    """The processor that an entry of Linux's ``/proc/cpuinfo`` describes."""
    facts = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in entry.splitlines())
    }
    vendor, flags = facts.get("vendor_id", ""), facts.get("flags", "")
    numbers = ".".join(facts.get(name, "?") for name in ("cpu family", "model", "stepping"))
    # Processors with the same name may differ in what a hypervisor lets them do.
    mark = f"{zlib.crc32(flags.encode()):08x}"
    has = set(flags.split())
    types = [name for name, needed in (("5", _AVX2), ("7", _AVX512)) if needed <= has]
    identity = f"{vendor} {facts.get('model name', platform.machine())} {numbers} {mark}"
    return Processor(vendor, identity.strip(), tuple(types))


def _named(name: str) -> Processor:
    """The processor whose name Windows or macOS gives, such as ``AMD64 Family 25 …, AuthenticAMD``."""
    family = re.search(r"Family (\d+)", name)
    # From 23 (Zen) on, AMD's have AVX2; AVX-512 cannot be told.
    types = ("5",) if family and int(family[1]) >= 23 else ()
    return Processor(name.rpartition(", ")[2] if ", " in name else "", name, types)


def _own(name: str) -> str | None:
    """What the user has set a variable to; ``None`` for nothing, and for words where a number is wanted."""
    value = os.environ.get(name)
    if not value or not re.fullmatch(_NUMBERS.get(name, ".*"), value, re.DOTALL):
        return None
    return value


def _own_threads() -> str | None:
    for name in _THREAD_VARIABLES:
        value = _own(name)
        # Paddle's import leaves OMP_NUM_THREADS=1 behind where nothing was set.
        if value and not ((name, value) == ("OMP_NUM_THREADS", "1") and "paddle" in sys.modules):
            return f"{name}={value}"
    return None


def _mkl_type() -> tuple[str | None, str]:
    """The type to set, ``None`` to leave it as it is; and why."""
    own = next((name for name in _MKL_VARIABLES if _own(name)), None)
    if own is not None:
        return None, f"{own} is set already"
    this = processor()
    if this.vendor in ("", "GenuineIntel") or not this.types:
        return None, f"left as it is on this processor ({this.identity})"
    libraries = _mkl_libraries()
    if libraries is None:
        return None, "this Paddle has no MKL"
    what = f"MKL {libraries[-1].stat().st_size}"
    speeds = _speeds(recall(what))
    if speeds is None:
        speeds = _measure(libraries, this.types)
        if speeds:
            remember(what, speeds)
    shown = ", ".join(f"{name or 'default'}: {speed:.0f}" for name, speed in speeds.items())
    best = max(speeds, key=speeds.__getitem__, default="")
    if not best or best not in this.types or speeds.get("", math.inf) > _WORTH_IT * speeds[best]:
        return None, f"no type is faster than the default (GFLOP/s, {shown or 'none could be measured'})"
    return best, f"the fastest here (GFLOP/s, {shown})"


def _speeds(recalled: object) -> dict[str, float] | None:
    if isinstance(recalled, dict) and all(isinstance(speed, float) for speed in recalled.values()):
        return recalled
    return None


def _mkl_libraries() -> list[Path] | None:
    """MKL and what it needs, in the order of loading; ``None`` where Paddle is missing or has none."""
    try:
        spec = importlib.util.find_spec("paddle")
    except ValueError:
        return None
    if spec is None or spec.origin is None or sys.platform not in _LIBRARIES:
        return None
    found = [Path(spec.origin).parent / "libs" / name for name in _LIBRARIES[sys.platform]]
    return found if all(library.is_file() for library in found) else None


def _measure(libraries: list[Path], types: tuple[str, ...]) -> dict[str, float]:
    """GFLOP/s of a product with the default (``""``) and with each type that gives the same result."""
    speeds: dict[str, float] = {}
    expected = None
    for name in ("", *types):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", MKL_TYPE: name}
        if not name:
            del environment[MKL_TYPE]
        measured = _in_a_process(libraries, environment)
        if measured is None:
            continue
        speed, value = measured
        expected = value if expected is None else expected
        if math.isclose(value, expected, rel_tol=_SAME):
            speeds[name] = speed
    # Without the default's speed nothing can be called faster.
    return speeds if "" in speeds else {}


def _in_a_process(libraries: list[Path], environment: Mapping[str, str]) -> tuple[float, float] | None:
    """GFLOP/s and one value of a product; ``None`` where it fails, for the process may not survive it."""
    if not sys.executable or getattr(sys, "frozen", False):  # it would start the whole program anew
        return None
    program = f"{inspect.getsource(_multiply)}\nprint(*_multiply({[str(path) for path in libraries]!r}))"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=True,
        )
        speed, value = map(float, done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return speed, value


def _multiply(libraries: list[str]) -> tuple[float, float]:
    # Runs alone, in a process without packages: NumPy would double the time, Paddle take ten times as long.
    import ctypes
    import time
    from array import array

    rows, columns, depth = 256, 784, 1152  # as in a 3×3 convolution of 128 channels to 256, 28×28
    for library in libraries:
        loaded = ctypes.CDLL(library, ctypes.RTLD_GLOBAL)

    def matrix(size: int) -> ctypes.Array[ctypes.c_float]:
        pattern = array("f", (1 / (1 + index % 97) for index in range(4093)))
        return (ctypes.c_float * size).from_buffer(pattern * (size // 4093 + 1))

    left, right, result = matrix(rows * depth), matrix(depth * columns), matrix(rows * columns)
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        # Row-major order, neither transposed.
        loaded.cblas_sgemm(
            *(101, 111, 111, rows, columns, depth, ctypes.c_float(1), left, depth, right, columns),
            *(ctypes.c_float(0), result, columns),
        )
        seconds.append(time.perf_counter() - start)
    return 2e-9 * rows * columns * depth / min(seconds), result[columns + 5]
