"""What suits the processor is measured once, kept, and never against the user's word."""

import functools
import json
import os

import pytest
from support.waiting import HANG_SECONDS

from hubtune.hardware import cpu

AMD = cpu.Processor("AuthenticAMD", "AuthenticAMD EPYC 25.1.1 00000000", ("5", "7"))
INTEL = cpu.Processor("GenuineIntel", "GenuineIntel Xeon 6.85.7 00000000", ("5", "7"))
MEASURED = f"MKL 3 on {AMD.identity}"
CPUINFO = "vendor_id\t: AuthenticAMD\nmodel name\t: Some\nflags\t\t: {flags}\n\nvendor_id\t: Other\n"
AVX512 = "fma avx2 avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    for name in (*cpu._MKL_VARIABLES, *cpu._THREAD_VARIABLES):
        monkeypatch.setenv(name, "")  # brought back afterwards, whatever happens to it
        monkeypatch.delenv(name)
    for name in ("prepare", "processor"):
        monkeypatch.setattr(cpu, name, functools.cache(getattr(cpu, name).__wrapped__))


@pytest.fixture
def probed(monkeypatch, tmp_path):
    """An AMD processor and a Paddle with MKL; holds the types that were timed, and their speeds."""
    library = tmp_path / "libmkl.so"
    library.write_bytes(b"mkl")
    monkeypatch.setattr(cpu, "processor", lambda: AMD)
    monkeypatch.setattr(cpu, "_mkl_libraries", lambda: [library])
    timed, results = [], {"": (40.0, 1.0), "5": (100.0, 1.0), "7": (200.0, 1.0)}

    def in_a_process(libraries, environment):
        timed.append(environment.get(cpu.MKL_TYPE, ""))
        return results[timed[-1]]

    monkeypatch.setattr(cpu, "_run_product", in_a_process)
    return timed, results


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({}, "7"),
        ({"7": None}, "5"),  # its process did not survive
        ({"7": (200.0, 1.1)}, "5"),  # another result
        ({"7": (10.0, 1.0), "": (300.0, 1.0)}, "7"),  # whatever the clock says
        ({"7": None, "5": None}, None),
        ({"": None}, None),  # nothing to compare with: measured again the next time
    ],
)
def test_the_type_with_most_instructions_is_set_where_it_is_right_and_is_tried_once(
    probed, results, expected
):
    probed[1].update(results)
    for _ in range(2):
        cpu.prepare.cache_clear()
        assert cpu.prepare().mkl_type == os.environ.pop(cpu.MKL_TYPE, None) == expected
    assert probed[0] == ["", "5", "7"] * (2 if results == {"": None} else 1)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (cpu.MKL_TYPE, "4", None),
        ("MKL_CBWR", "AVX2", None),
        ("OMP_NUM_THREADS", "0", "'0' is no number of threads: it counts as not set"),
        ("MKL_NUM_THREADS", "٣", "'٣' is no number of threads: it counts as not set"),
        (cpu.MKL_TYPE, "foo", "'foo' is no number: it counts as not set"),
    ],
)
def test_what_the_user_has_set_stays(probed, monkeypatch, caplog, name, value, problem):
    monkeypatch.setenv(name, value)
    prepared = cpu.prepare()
    if problem:
        assert caplog.messages == [f"{name}={problem}"]
        assert (prepared.mkl_type, prepared.own_threads) == ("7", None)
    else:
        assert prepared.mkl_type == (value if name == cpu.MKL_TYPE else None)
        assert prepared.lines()[0].endswith(f": {name} is set already")
        assert (os.environ[name], probed[0], caplog.messages) == (value, [], [])


# The last has a type that the processor lacks, which would kill the process.
@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"\xff", b'{"%s": {"5": "x"}}', b'{"%s": {"": 1.0, "9": 9.0}}']
)
def test_a_damaged_file_is_replaced_and_never_sets_what_the_processor_lacks(probed, content):
    expected = None if b"9" in content else "7"
    file = cpu._file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.replace(b"%s", MEASURED.encode()))
    assert cpu.prepare().mkl_type == expected
    assert json.loads(file.read_bytes())[MEASURED].get("7") == (200.0 if expected else None)


def test_intels_processors_are_left_alone_and_know_nothing_of_others(probed, monkeypatch):
    cpu.save_measurement("a", [1.5, {"c": None}])
    assert cpu.load_measurement("a") == [1.5, {"c": None}]
    monkeypatch.setattr(cpu, "processor", lambda: INTEL)
    assert (cpu.load_measurement("a"), cpu.prepare().mkl_type, probed[0]) == (None, None, [])


def test_the_system_tells_the_vendor_and_what_the_processor_has(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    cases = {"sse2 avx": (), "avx2": (), "fma avx2": ("5",), "fma avx2 avx512f": ("5",), AVX512: ("5", "7")}
    identities = set()
    for flags, types in cases.items():
        cpu.processor.cache_clear()
        cpu._CPUINFO.write_text(CPUINFO.format(flags=flags))
        found = cpu.processor()
        assert (found.vendor, found.types) == ("AuthenticAMD", types)
        identities.add(found.identity)
    assert len(identities) == len(cases)  # processors that differ only in flags
    name = "AMD64 Family 25 Model 2 Stepping 0, AuthenticAMD"  # as Windows has it
    assert cpu._parse_name(name) == cpu.Processor("AuthenticAMD", name, ("5",))


def test_the_product_is_timed_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(cpu, "_PROBE_SECONDS", HANG_SECONDS)
    libraries = cpu._mkl_libraries()
    if libraries is None:
        pytest.skip("this Paddle has no MKL")
    speed, value = cpu._run_product(libraries, dict(os.environ))
    assert speed > 0
    left = [1 / (1 + index % 4093 % 97) for index in range(256 * 1152)]
    right = [1 / (1 + (784 * row + 5) % 4093 % 97) for row in range(1152)]
    assert value == pytest.approx(sum(a * b for a, b in zip(left[1152:2304], right, strict=True)), rel=1e-4)
    assert cpu._run_product([*libraries, libraries[0].with_name("missing.so")], dict(os.environ)) is None
