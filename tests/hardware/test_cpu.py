"""What suits the processor is measured once, kept, and never against the user's word."""

import json
import logging
import os
import subprocess
import sys

import pytest
from support.waiting import HANG_SECONDS

import hubtune
from hubtune.hardware import cpu

AMD = cpu.Processor("AuthenticAMD", "AuthenticAMD EPYC 25.1.1 00000000", ("5", "7"))
INTEL = cpu.Processor("GenuineIntel", "GenuineIntel Xeon 6.85.7 00000000", ("5", "7"))
CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: 25
model\t\t: 1
model name\t: Some Processor
stepping\t: 1
flags\t\t: {flags}

processor\t: 1
vendor_id\t: {vendor}
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """As in a process in which nothing is set or known yet."""
    for name in (*cpu._MKL_VARIABLES, *cpu._THREAD_VARIABLES):
        monkeypatch.setenv(name, "")  # brought back afterwards, whatever happens to it
        monkeypatch.delenv(name)
    cached = (cpu.prepare, cpu.processor)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.fixture
def probed(monkeypatch, tmp_path):
    """Pretends an AMD processor and a Paddle with MKL; holds the types that were timed, and their speeds."""
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


def test_the_fastest_type_is_set_and_not_measured_again(probed):
    timed, _ = probed
    assert cpu.prepare().mkl_type == os.environ[cpu.MKL_TYPE] == "7"
    cpu.prepare()
    del os.environ[cpu.MKL_TYPE]
    cpu.prepare.cache_clear()
    assert cpu.prepare().mkl_type == "7"
    assert timed == ["", "5", "7"]


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({"7": None}, "5"),  # its process did not survive
        ({"7": (200.0, 1.1)}, "5"),  # another result
        ({"7": (104.0, 1.0), "5": (109.0, 1.0)}, "5"),
        ({"": (195.0, 1.0)}, None),  # not worth it
        ({"": (300.0, 1.0)}, None),
        ({"": None}, None),  # nothing to compare with
    ],
)
def test_a_type_is_set_only_where_it_is_faster_and_right(probed, results, expected):
    probed[1].update(results)
    assert cpu.prepare().mkl_type == expected
    assert os.environ.get(cpu.MKL_TYPE) == expected


def test_where_nothing_could_be_measured_it_is_tried_again(probed):
    timed, results = probed
    results[""] = None
    for _ in range(2):
        cpu.prepare.cache_clear()
        cpu.prepare()
    assert len(timed) == 6


def test_intels_processors_are_left_alone(probed, monkeypatch):
    monkeypatch.setattr(cpu, "processor", lambda: INTEL)
    assert cpu.prepare().mkl_type is None
    assert probed[0] == []


@pytest.mark.parametrize(("name", "value"), [(cpu.MKL_TYPE, "4"), (cpu.MKL_TYPE, "0"), ("MKL_CBWR", "AVX2")])
def test_what_the_user_has_set_stays(probed, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    prepared = cpu.prepare()
    assert prepared.mkl_type == (value if name == cpu.MKL_TYPE else None)
    shown = f"{name}={value}" if name == cpu.MKL_TYPE else "MKL_DEBUG_CPU_TYPE is not set"
    assert prepared.lines()[0] == f"{shown}: {name} is set already"
    assert (os.environ[name], probed[0]) == (value, [])


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("OMP_NUM_THREADS", "abc", "'abc' is no number of threads"),
        ("OMP_NUM_THREADS", "0", "'0' is no number of threads"),
        ("MKL_NUM_THREADS", "٣", "'\\u0663' is no number of threads"),
        (cpu.MKL_TYPE, "foo", "'foo' is no number"),
        *((name, "", None) for name in (cpu.MKL_TYPE, "MKL_CBWR", "OMP_NUM_THREADS")),
    ],
)
def test_what_is_no_number_is_told_and_counts_as_not_set(probed, monkeypatch, caplog, name, value, shown):
    monkeypatch.setenv(name, value)
    prepared = cpu.prepare()
    assert caplog.messages == ([f"{name}={shown}: it counts as not set"] if shown else [])
    assert (prepared.mkl_type, prepared.own_threads) == ("7", None)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"MKL 3 on %s": {"5": "x"}}'])
def test_a_damaged_file_is_ignored_and_replaced(probed, content):
    file = cpu._file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.replace(b"%s", AMD.identity.encode()))
    assert cpu.prepare().mkl_type == "7"
    assert probed[0] == ["", "5", "7"]
    assert json.loads(file.read_bytes())[f"MKL 3 on {AMD.identity}"]["7"] == 200.0


def test_a_type_that_the_processor_lacks_is_never_set_whatever_the_file_says(probed):
    cpu.save_measurement("MKL 3", {"": 1.0, "5": 2.0, "9": 100.0})
    assert cpu.prepare().mkl_type is None
    assert probed[0] == []


def test_a_folder_that_cannot_be_written_does_no_harm(probed, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file" / "home"))
    assert cpu.prepare().mkl_type == "7"
    assert cpu.load_measurement("MKL 3") is None


def test_what_is_remembered_is_recalled_on_this_processor_only(monkeypatch):
    for key, value in {"a": [1.5, 2], "b": {"c": None}}.items():
        cpu.save_measurement(key, value)
        assert cpu.load_measurement(key) == value
    monkeypatch.setattr(cpu, "processor", lambda: INTEL)
    assert cpu.load_measurement("a") is None


_AVX512 = "fma avx2 avx512f avx512bw avx512cd avx512dq avx512vl"


def test_linux_tells_the_vendor_and_what_the_processor_has(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    cases = {"sse2 avx": (), "avx2": (), "fma avx2": ("5",), "fma avx2 avx512f": ("5",), _AVX512: ("5", "7")}
    identities = set()
    for flags, types in cases.items():
        cpu.processor.cache_clear()
        cpu._CPUINFO.write_text(CPUINFO.format(vendor="AuthenticAMD", flags=flags))
        found = cpu.processor()
        assert (found.vendor, found.types) == ("AuthenticAMD", types)
        assert found.identity.startswith("AuthenticAMD Some Processor 25.1.1 ")
        identities.add(found.identity)
    assert len(identities) == len(cases)  # processors that differ only in flags


def test_other_systems_give_a_name():
    for name, vendor, types in (
        ("AMD64 Family 25 Model 80 Stepping 0, AuthenticAMD", "AuthenticAMD", ("5",)),
        ("AMD64 Family 21 Model 2 Stepping 0, AuthenticAMD", "AuthenticAMD", ()),
        ("arm", "", ()),
    ):
        assert cpu._parse_name(name) == cpu.Processor(vendor, name, types)


def test_threads_that_the_user_has_set_are_known_but_not_what_paddles_import_leaves(monkeypatch):
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    for value in ("1", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert cpu._own_threads() == f"OMP_NUM_THREADS={value}"
    monkeypatch.setitem(sys.modules, "paddle", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cpu._own_threads() is None


def test_verbose_prints_what_was_set_and_why_and_the_rest_is_silent(probed, run_here):
    assert "MKL" not in run_here("hub", "list").stderr
    assert os.environ.pop(cpu.MKL_TYPE) == "7"
    cpu.prepare.cache_clear()
    try:
        done = run_here("-v", "hub", "list")
        assert cpu.logger.isEnabledFor(logging.DEBUG)
    finally:
        cpu.logger.setLevel(logging.INFO)
    assert done.returncode == 0
    assert done.stderr.splitlines()[:2] == [
        "MKL_DEBUG_CPU_TYPE=7: the fastest here (GFLOP/s, default: 40, 5: 100, 7: 200)",
        "threads: chosen by measuring a step before training",
    ]


def test_nothing_is_measured_before_paddle_is_needed(probed, run_here):
    for arguments in (("hub", "--help"), ("split", "nowhere")):
        run_here(*arguments)
    assert hubtune.RecipeError
    assert probed[0] == []
    assert cpu.MKL_TYPE not in os.environ
    assert hubtune.Module
    assert os.environ[cpu.MKL_TYPE] == "7"


def test_the_product_is_timed_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(cpu, "_PROBE_SECONDS", HANG_SECONDS)
    libraries = cpu._mkl_libraries()
    if libraries is None:
        pytest.skip("this Paddle has no MKL")
    measured = cpu._run_product(libraries, dict(os.environ))
    assert measured is not None
    speed, value = measured
    assert speed > 0
    left = [1 / (1 + index % 4093 % 97) for index in range(256 * 1152)]
    right = [1 / (1 + (784 * row + 5) % 4093 % 97) for row in range(1152)]
    assert value == pytest.approx(sum(a * b for a, b in zip(left[1152:2304], right, strict=True)), rel=1e-4)
    assert cpu._run_product([*libraries, libraries[0].with_name("missing.so")], dict(os.environ)) is None


def test_preparing_again_starts_no_process_and_needs_no_paddle():
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from hubtune.hardware import cpu; cpu.prepare()\n"
        "assert 'paddle' not in sys.modules\n"
        "cpu.prepare.cache_clear(); cpu.processor.cache_clear()\n"
        "events = []; sys.addaudithook(lambda event, arguments: events.append(event))\n"
        "cpu.prepare(); print(*events)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    events = done.stdout.split()
    assert "subprocess.Popen" not in events
    assert events.count("open") < 10
