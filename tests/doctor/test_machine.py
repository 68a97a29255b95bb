"""Processors, cores, threads and memory, as the system reports them."""

import pytest

from hubtune.doctor import machine
from hubtune.doctor.check import BAD, GOOD, NOTE
from hubtune.doctor.machine import MemoryFacts
from hubtune.hardware.cpu import Processor

AMD = Processor("AuthenticAMD", "AuthenticAMD AMD EPYC 7763 25.1.1 0a1b2c3d", ("5",))
INTEL = Processor("GenuineIntel", "GenuineIntel Xeon 6.85.7 00000000", ("5", "7"))
GB = 10**9


def test_instructions_are_read_from_the_flags():
    read = machine.instruction_sets
    assert read("vendor_id\t: x\nflags\t\t: fpu avx avx2 fma avx512f\n") == ["AVX", "AVX2", "AVX-512"]
    assert read("flags\t: fpu avx2_like\n") == [] and read("Features\t: neon\n") is None


@pytest.mark.parametrize(
    ("sets", "state", "words"),
    [
        (["AVX", "AVX2"], GOOD, "Processor: AMD EPYC 7763 (AuthenticAMD), AVX, AVX2"),
        (["AVX"], NOTE, "AVX but not AVX2"),
        ([], BAD, "without AVX, which Paddle's builds need"),
        (None, GOOD, "Processor: AMD EPYC 7763 (AuthenticAMD)"),
    ],
)
def test_processors(sets, state, words):
    check = machine.check_processor(AMD, sets)
    assert (
        check.state == state and check.finding.endswith(words) == (state != NOTE) and words in check.finding
    )


@pytest.mark.parametrize(
    ("processor", "environment", "state", "words"),
    [
        (AMD, {}, GOOD, "MKL takes path 5: measured"),
        (AMD, {"MKL_DEBUG_CPU_TYPE": "5"}, GOOD, "MKL's path is set: MKL_DEBUG_CPU_TYPE=5"),
        (AMD, {"MKL_DEBUG_CPU_TYPE": "7"}, BAD, "is for another processor"),
        (AMD, {"MKL_DEBUG_CPU_TYPE": "fast"}, NOTE, "is not a number"),
        (AMD, {"MKL_CBWR": "COMPATIBLE"}, NOTE, "hubtune does not choose MKL's path"),
        (INTEL, {"MKL_CBWR": "AVX2"}, GOOD, "MKL's path is set: MKL_CBWR=AVX2"),
    ],
)
def test_the_path_of_mkl(processor, environment, state, words):
    check = machine.check_mkl(processor, environment, "5", "measured")
    assert check.state == state and words in check.finding
    assert check.cure == ("" if state == GOOD else f"unset {next(iter(environment))}")


def test_cores_of_a_container():
    assert machine.check_cores(8, 8, None).finding == "8 cores"
    assert machine.check_cores(2, 64, 2.0).finding == "2 cores: the container may use 2 of the machine's 64"
    little = machine.check_cores(1, 64, 0.5)
    assert little.state == NOTE and "0.5 of the machine's 64, less than one" in little.finding
    assert "affinity" in machine.check_cores(4, 8, None).finding


@pytest.mark.parametrize(
    ("environment", "state", "words"),
    [
        ({}, GOOD, "hubtune chooses"),
        ({"OMP_NUM_THREADS": "2"}, GOOD, "OMP_NUM_THREADS=2"),
        ({"OMP_NUM_THREADS": "64"}, NOTE, "OMP_NUM_THREADS=64 is more than the 2 cores"),
        ({"MKL_NUM_THREADS": "two"}, NOTE, "is not a number of threads"),
        ({"OMP_NUM_THREADS": "0"}, NOTE, "is not a number of threads"),
    ],
)
def test_threads(environment, state, words):
    check = machine.check_threads(environment, 2)
    assert check.state == state and words in check.finding
    assert check.cure == ("" if state == GOOD else f"unset {next(iter(environment))}")


@pytest.mark.parametrize(
    ("facts", "state", "words", "cure"),
    [
        (MemoryFacts(), GOOD, "does not say", ""),
        (MemoryFacts(6 * GB, 8 * GB, None, GB), GOOD, "6 GB free, the machine has 8 GB, swap 1 GB", ""),
        (MemoryFacts(GB, 8 * GB), NOTE, "1 GB free, the machine has 8 GB, no swap", "close other programs"),
        (MemoryFacts(GB, 64 * GB, GB), NOTE, "the container may use 1 GB", "docker run --memory 4g"),
        (MemoryFacts(GB // 10, 64 * GB, own=GB), BAD, "ulimit -v allows 1 GB", "ulimit -v unlimited"),
    ],
)
def test_memory(facts, state, words, cure):
    check = machine.check_memory(facts)
    assert check.state == state and words in check.finding and check.cure.startswith(cure)


def test_shared_memory_matters_to_several_processes_only():
    docker = 64 * 1024 * 1024
    assert machine.check_shared_memory(None, 2).state == GOOD
    assert machine.check_shared_memory(docker, 1).state == GOOD
    check = machine.check_shared_memory(docker, 2)
    assert check.state == NOTE and "2 processes" in check.finding and "--shm-size" in check.cure


@pytest.mark.parametrize(("limit", "state"), [(None, GOOD), (1024, GOOD), (255, NOTE), (12, BAD)])
def test_few_open_files(limit, state):
    check = machine.check_open_files(limit)
    assert (check.state, check.cure) == (state, "" if state == GOOD else "ulimit -n 1024")
