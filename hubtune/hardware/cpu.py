"""Settings that make Paddle fast on this processor: measured once, then read from ``machine.json``.

Paddle's CPU build multiplies matrices by a copy of Intel's MKL. On processors of other vendors that copy
takes its slowest code path, unless the variable ``MKL_DEBUG_CPU_TYPE`` selects another before the first
product.
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
from hubtune.hardware.cpu_quota import cpu_quota
from hubtune.log import logger
from hubtune.storage.atomic import write_atomically
from hubtune.storage.cache_folder import cache_root
from hubtune.text import escaped

MKL_TYPE = "MKL_DEBUG_CPU_TYPE"
"""The variable that selects MKL's code path: ``5`` for AVX2, ``7`` for AVX-512."""

# A user who sets one of these has already chosen.
_MKL_VARIABLES = (MKL_TYPE, "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads")
_NUMBERS = {MKL_TYPE: "[0-9]+", **dict.fromkeys(_THREAD_VARIABLES, "0*[1-9][0-9]{0,3}")}
# The AVX-512 path kills a process on a processor that lacks any of these.
_AVX2 = {"avx2", "fma"}
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
_SAME = 1e-3  # relative; code paths round the last digits differently

_CPUINFO = Path("/proc/cpuinfo")
_LIBRARIES = {"linux": ("libiomp5.so", "libmklml_intel.so"), "win32": ("libiomp5md.dll", "mklml.dll")}
_is_adopted = False
_PROBE_SECONDS = 60.0  # of a fraction of a second's work, on a machine with much other load


@dataclass(frozen=True)
class Processor:
    """A processor.

    Attributes:
        vendor: such as ``GenuineIntel`` or ``AuthenticAMD``; empty if unknown.
        identity: differs between processors on which measurements may differ.
        types: the values of ``MKL_DEBUG_CPU_TYPE`` whose instructions it supports.
    """

    vendor: str
    identity: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class Preparation:
    """The result of :func:`prepare`.

    Attributes:
        mkl_type: the value of ``MKL_DEBUG_CPU_TYPE``; ``None`` if it is not set.
        own_threads: the user's setting, such as ``OMP_NUM_THREADS=4``; ``None`` if hubtune chooses.
    """

    mkl_type: str | None
    reason: str
    own_threads: str | None

    def lines(self) -> list[str]:
        """Return the settings as lines for the log."""
        mkl = f"{MKL_TYPE}={self.mkl_type}" if self.mkl_type else f"{MKL_TYPE} is not set"
        threads = self.own_threads or "one, and in training as many as cores, at most 8"
        return [f"{mkl}: {self.reason}", f"threads: {threads}"]


@functools.cache
def prepare() -> Preparation:
    """Select MKL's path for this processor; call this before Paddle is imported.

    On a processor that is not Intel's, a matrix product is tried in separate processes under each setting
    that the processor supports: a quarter of a second, once per machine and Paddle. The one with the most
    instructions that works is set in this process's environment, where MKL reads it at its first product. It
    is not the fastest one, as paths round differently, and a busy machine would give another model. The
    user's own settings stay. One that is not a number, which Paddle and MKL ignore, counts as not set, with a
    warning. Further calls do nothing.
    """
    for name in _NUMBERS:
        value = os.environ.get(name)
        if value and _own(name) is None:
            what = "number" if name == MKL_TYPE else "number of threads"
            logger.warning("%s=%s is no %s: it counts as not set", name, f"'{escaped(value)}'", what)
    chosen, reason = _mkl_type()
    if chosen is not None:
        os.environ[MKL_TYPE] = chosen
    prepared = Preparation(_own(MKL_TYPE), reason, _own_threads())
    for line in prepared.lines():
        logger.debug("%s", line)
    return prepared


def adopt_mkl_type(mkl_type: str | None) -> None:
    """Use the path that another process of the job has chosen, before the first matrix product.

    Paths round differently. One that this processor does not support would end the process.
    """
    global _is_adopted
    if mkl_type is not None and mkl_type not in processor().types:
        logger.warning(
            "%s=%s of rank 0 is not for this processor (%s): the result may differ in the last digits",
            *(MKL_TYPE, mkl_type, processor().identity),
        )
        return
    _is_adopted = True
    os.environ.pop(MKL_TYPE, None)
    if mkl_type is not None:
        os.environ[MKL_TYPE] = mkl_type


def cores() -> int:
    """Return the number of processor cores that this process may use, by its affinity and its quota.

    A quota counts in whole cores, rounded down: threads that share the time of less than a core wait for
    one another.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return count if quota is None else max(1, min(count, int(quota)))


@functools.cache
def processor() -> Processor:
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return _parse_name(platform.processor() or platform.machine())
    return _parse_cpuinfo(first)


def load_measurement(key: str) -> Any:
    """Return an earlier measurement on this machine; ``None`` if there is none, or the file is damaged.

    The key names the measurement and everything that it depends on, except the processor.
    """
    return _read().get(_full_key(key))


def save_measurement(key: str, value: Any) -> None:
    """Save a measurement as JSON; if the cache cannot be written, it will be measured again."""
    try:
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({**_read(), _full_key(key): value}, indent=1) + "\n")
    except (OSError, MachineError) as error:
        logger.debug("measurements on this machine cannot be saved: %s", error)


def _file() -> Path:
    return cache_root() / "machine.json"


def _full_key(key: str) -> str:
    return f"{key} on {processor().identity}"


def _read() -> dict[str, Any]:
    try:
        measurements = json.loads(_file().read_bytes())
    except (OSError, ValueError, RecursionError, MachineError):
        return {}
    return measurements if isinstance(measurements, dict) else {}


def _parse_cpuinfo(entry: str) -> Processor:
    """Return the processor that an entry of Linux's ``/proc/cpuinfo`` describes."""
    parts = (line.partition(":") for line in entry.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in parts}
    vendor, flags = facts.get("vendor_id", ""), facts.get("flags", "")
    types = [name for name, needed in (("5", _AVX2), ("7", _AVX512)) if needed <= set(flags.split())]
    numbers = ".".join(facts.get(name, "?") for name in ("cpu family", "model", "stepping"))
    # Processors of the same name may differ in the instructions that a hypervisor exposes.
    flags_crc = f"{zlib.crc32(flags.encode()):08x}"
    identity = f"{vendor} {facts.get('model name', platform.machine())} {numbers} {flags_crc}"
    return Processor(vendor, identity.strip(), tuple(types))


def _parse_name(name: str) -> Processor:
    """Return the processor by its name on Windows or macOS, such as ``AMD64 Family 25 …, AuthenticAMD``."""
    family = re.search(r"Family (\d+)", name)
    # From family 23 (Zen) on, AMD processors have AVX2; the name does not reveal AVX-512.
    types = ("5",) if family and int(family[1]) >= 23 else ()
    return Processor(name.rpartition(", ")[2] if ", " in name else "", name, types)


def _own(name: str) -> str | None:
    """Return the user's value of a variable; ``None`` if it is not set, or not the number it must be."""
    value = os.environ.get(name)
    return value if value and re.fullmatch(_NUMBERS.get(name, ".*"), value, re.DOTALL) else None


def _own_threads() -> str | None:
    for name in _THREAD_VARIABLES:
        value = _own(name)
        # Importing Paddle sets OMP_NUM_THREADS=1 if nothing was set.
        if value and not ((name, value) == ("OMP_NUM_THREADS", "1") and "paddle" in sys.modules):
            return f"{name}={value}"
    return None


def _mkl_type() -> tuple[str | None, str]:
    """Return the type to set, ``None`` to leave it unset, and the reason."""
    own = next((name for name in _MKL_VARIABLES if _own(name)), None)
    if own is not None:
        return None, f"{own} is set already"
    if _is_adopted:
        return None, "left as it is on rank 0"
    current = processor()
    if current.vendor in ("", "GenuineIntel") or not current.types:
        return None, f"left as it is on this processor ({current.identity})"
    libraries = _mkl_libraries()
    if libraries is None:
        return None, "this Paddle has no MKL"
    key = f"MKL {libraries[-1].stat().st_size}"
    speeds = load_measurement(key)
    # The file may have been edited or damaged.
    if not isinstance(speeds, dict) or not all(isinstance(speed, float) for speed in speeds.values()):
        speeds = _measure(libraries, current.types)
        if speeds:
            save_measurement(key, speeds)
    shown = ", ".join(f"{name or 'default'}: {speed:.0f}" for name, speed in speeds.items())
    for name in reversed(current.types):
        if name in speeds:
            return name, f"the most instructions of this processor (GFLOP/s, {shown})"
    return None, "no type gave the product of the default"


def _mkl_libraries() -> list[Path] | None:
    """Return MKL and its dependencies in the order of loading; ``None`` if there is no Paddle with MKL."""
    try:
        spec = importlib.util.find_spec("paddle")
    except ValueError:
        return None
    if spec is None or spec.origin is None or sys.platform not in _LIBRARIES:
        return None
    libraries = [Path(spec.origin).parent / "libs" / name for name in _LIBRARIES[sys.platform]]
    return libraries if all(library.is_file() for library in libraries) else None


def _measure(libraries: list[Path], types: tuple[str, ...]) -> dict[str, float]:
    """Return GFLOP/s of a product with the default (``""``) and with each type that gives the same result."""
    speeds: dict[str, float] = {}
    expected = None
    for name in ("", *types):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", MKL_TYPE: name}
        if not name:
            del environment[MKL_TYPE]
        if (measured := _run_product(libraries, environment)) is not None:
            speed, value = measured
            expected = value if expected is None else expected
            if math.isclose(value, expected, rel_tol=_SAME):
                speeds[name] = speed
    # Without the default's speed there is nothing to compare with.
    return speeds if "" in speeds else {}


def _run_product(libraries: list[Path], environment: Mapping[str, str]) -> tuple[float, float] | None:
    """Return GFLOP/s and one value of a product; ``None`` if its process fails."""
    if not sys.executable or getattr(sys, "frozen", False):  # it would start the whole program again
        return None
    program = f"{inspect.getsource(_multiply)}\nprint(*_multiply({[str(path) for path in libraries]!r}))"
    try:
        output = subprocess.check_output(
            [sys.executable, "-I", "-S", "-c", program],
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
        )
        speed, value = map(float, output.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return speed, value


def _multiply(libraries: list[str]) -> tuple[float, float]:
    # Runs in a process without packages: importing NumPy would double the time, Paddle make it tenfold.
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
