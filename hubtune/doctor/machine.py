"""Checks of the processor, its cores, the memory, and shared memory."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.doctor.cures import OTHER_PROCESSOR
from hubtune.hardware.cpu import MKL_TYPE, Processor
from hubtune.text import escaped, format_bytes, plural, set_variable, unset_variable

_MKL_VARIABLES = (MKL_TYPE, "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_GB, _MB = 10**9, 10**6
_LITTLE_MEMORY, _TOO_LITTLE_MEMORY = 2 * _GB, 500 * _MB
_FEW_FILES, _TOO_FEW_FILES, _USUAL_FILES = 256, 64, 1024
_SMALL_SHARED_MEMORY = 64 * 1024 * 1024 + 1  # Docker gives 64 MiB


def instruction_sets(cpuinfo: str) -> list[str] | None:
    """Return those of AVX, AVX2 and AVX-512 that the processor has; ``None`` if the system does not say.

    ``cpuinfo`` is the content of Linux's ``/proc/cpuinfo``.
    """
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    if flags is None:
        return None
    names = (("avx", "AVX"), ("avx2", "AVX2"), ("avx512f", "AVX-512"))
    return [title for flag, title in names if flag in flags[1].split()]


def check_processor(processor: Processor, sets: list[str] | None) -> Check:
    """Check that the processor has the instructions that Paddle's builds need."""
    name = processor.identity.removeprefix(processor.vendor).strip()
    # Model numbers and the sum of the flags tell processors apart, and say nothing to people.
    name = re.sub(r"( \S+\.\S+\.\S+)? [0-9a-f]{8}$", "", name)
    what = f"Processor: {name or 'unknown'}{f' ({processor.vendor})' if processor.vendor else ''}"
    if sets is None:
        return Check("processor", GOOD, what)
    if not sets:
        return Check("processor", BAD, f"{what}, without AVX, which Paddle's builds need", OTHER_PROCESSOR)
    if sets == ["AVX"]:
        return Check("processor", NOTE, f"{what}, AVX but not AVX2: networks run slowly", OTHER_PROCESSOR)
    return Check("processor", GOOD, f"{what}, {', '.join(sets)}")


def check_mkl(processor: Processor, environment: Mapping[str, str], chosen: str | None, reason: str) -> Check:
    """Check the code path of MKL, which is slow on processors that are not Intel's unless one is chosen.

    Args:
        environment: as it was before hubtune chose.
        chosen: the path that hubtune has chosen; ``None`` if none.
        reason: why.
    """
    own = {name: environment[name] for name in _MKL_VARIABLES if environment.get(name)}
    shown = ", ".join(f"{name}={escaped(value)}" for name, value in own.items())
    if not own:
        return Check("mkl", GOOD, f"MKL takes {f'path {chosen}' if chosen else 'the default path'}: {reason}")
    own_type = own.get(MKL_TYPE, "")
    if own_type and not own_type.isdecimal():
        finding = f"{shown} is not a number: it counts as not set"
        return Check("mkl", NOTE, finding, unset_variable(MKL_TYPE))
    if own_type in ("5", "7") and processor.types and own_type not in processor.types:
        finding = f"{shown} is for another processor: Paddle may end with 'Illegal instruction'"
        return Check("mkl", BAD, finding, unset_variable(MKL_TYPE))
    if processor.vendor not in ("", "GenuineIntel") and processor.types:
        finding = f"{shown} is set: hubtune does not choose MKL's path, and the default one is slow here"
        if own_type not in processor.types:
            return Check("mkl", NOTE, finding, unset_variable(*own))
    return Check("mkl", GOOD, f"MKL's path is set: {shown}")


def check_cores(usable: int, machine: int, quota: float | None) -> Check:
    """Check the cores that this process may use."""
    if quota is not None and quota < machine:
        finding = f"{plural(usable, 'core')}: the container may use {quota:g} of the machine's {machine}"
        if quota < 1:
            cure = "docker run --cpus 2 …, or the job's setting for processors"
            return Check("cores", NOTE, f"{finding}, less than one", cure)
        return Check("cores", GOOD, finding)
    if usable < machine:
        return Check("cores", GOOD, f"{plural(usable, 'core')} of the machine's {machine} (affinity)")
    return Check("cores", GOOD, plural(usable, "core"))


def check_threads(environment: Mapping[str, str], cores: int) -> Check:
    """Check the numbers of threads that are set against the cores."""
    own = {name: environment[name] for name in _THREAD_VARIABLES if environment.get(name)}
    for name, value in own.items():
        if not re.fullmatch("0*[1-9][0-9]{0,3}", value):
            finding = f"{name}={escaped(value)} is not a number of threads: it counts as not set"
            return Check("threads", NOTE, finding, unset_variable(name))
        if int(value) > cores:
            finding = (
                f"{name}={value} is more than the {plural(cores, 'core')}: threads wait for one another, and "
                "training is slower"
            )
            return Check("threads", NOTE, finding, unset_variable(name))
    shown = ", ".join(f"{name}={value}" for name, value in own.items())
    return Check("threads", GOOD, f"Threads: {shown or 'hubtune chooses'}")


@dataclass(frozen=True)
class MemoryFacts:
    """Memory in bytes; ``None`` where it is not limited or not known.

    Attributes:
        free: what this process can still take.
        total: of the machine.
        limit: of the container.
        swap: swap space of the machine.
        own: the process's own limit, ``ulimit -v``.
    """

    free: int | None = None
    total: int | None = None
    limit: int | None = None
    swap: int = 0
    own: int | None = None


def check_memory(facts: MemoryFacts) -> Check:
    """Check the memory that is free for this process, and its limits."""
    if facts.free is None:
        return Check("memory", GOOD, "Memory: this system does not say how much is free")
    parts = [f"Memory: {format_bytes(facts.free)} free"]
    if facts.limit is not None:
        parts.append(f"the container may use {format_bytes(facts.limit)}")
    if facts.total is not None:
        parts.append(f"the machine has {format_bytes(facts.total)}")
    parts.append(f"swap {format_bytes(facts.swap)}" if facts.swap else "no swap")
    if facts.own is not None:
        parts.append(f"ulimit -v allows {format_bytes(facts.own)}")
    finding, small = ", ".join(parts), "or train with smaller batches: -o train.batch_size=8"
    if facts.free >= _LITTLE_MEMORY:
        return Check("memory", GOOD, finding)
    state = BAD if facts.free < _TOO_LITTLE_MEMORY else NOTE
    if facts.own is not None and facts.own < _LITTLE_MEMORY:
        return Check("memory", state, finding, "ulimit -v unlimited")
    if facts.limit is not None and facts.limit < _LITTLE_MEMORY:
        return Check("memory", state, finding, f"docker run --memory 4g …, {small}")
    return Check("memory", state, finding, f"close other programs, {small}")


def check_open_files(limit: int | None) -> Check:
    """Check how many files a process may have open; ``None`` if that is not limited, as on Windows."""
    if limit is None or limit >= _FEW_FILES:
        return Check("open-files", GOOD, f"Open files: {'not limited' if limit is None else f'{limit:,}'}")
    finding = f"Open files: {limit:,} allowed, which is few"
    state = BAD if limit < _TOO_FEW_FILES else NOTE
    return Check("open-files", state, finding, f"ulimit -n {_USUAL_FILES}")


def check_shared_memory(size: int | None, processes: int) -> Check:
    """Check ``/dev/shm``, which only several processes on GPUs need: pictures are read by threads."""
    if size is None:
        return Check("shared-memory", GOOD, "/dev/shm: there is none, and hubtune does not need it")
    finding = f"/dev/shm: {format_bytes(size)}"
    if size < _SMALL_SHARED_MEMORY and processes > 1:
        finding += f", little for {processes} processes on GPUs (NCCL)"
        cure = f"docker run --shm-size 1g …, or {set_variable('NCCL_SHM_DISABLE', '1')}"
        return Check("shared-memory", NOTE, finding, cure)
    return Check("shared-memory", GOOD, f"{finding} (one process needs none)")
