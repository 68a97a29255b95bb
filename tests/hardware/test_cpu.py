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
    cpu.prepare()
    cpu.prepare.cache_clear()
    cpu.prepare()
    assert len(timed) == 6


def test_intels_processors_are_left_alone(probed, monkeypatch):
    monkeypatch.setattr(cpu, "processor", lambda: INTEL)
    assert cpu.prepare().mkl_type is None
    assert probed[0] == []


@pytest.mark.parametrize(("name", "value"), [(cpu.MKL_TYPE, "4"), ("MKL_CBWR", "AVX2")])
def test_what_the_user_has_set_stays(probed, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    prepared = cpu.prepare()
    assert prepared.mkl_type == (value if name == cpu.MKL_TYPE else None)
    assert prepared.reason == f"{name} is set already"
    assert (os.environ[name], probed[0]) == (value, [])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("OMP_NUM_THREADS", "abc", "OMP_NUM_THREADS='abc' is no number of threads: it counts as not set"),
        ("OMP_NUM_THREADS", "0", "OMP_NUM_THREADS='0' is no number of threads: it counts as not set"),
        ("MKL_NUM_THREADS", "٣", "MKL_NUM_THREADS='\\u0663' is no number of threads: it counts as not set"),
        (cpu.MKL_TYPE, "foo", "MKL_DEBUG_CPU_TYPE='foo' is no number: it counts as not set"),
    ],
)
def test_what_is_no_number_is_told_and_counts_as_not_set(probed, monkeypatch, caplog, name, value, message):
    monkeypatch.setenv(name, value)
    prepared = cpu.prepare()
    assert caplog.messages == [message]
    assert (prepared.mkl_type, prepared.own_threads) == ("7", None)


@pytest.mark.parametrize("name", [cpu.MKL_TYPE, "MKL_CBWR", "OMP_NUM_THREADS"])
def test_what_is_set_to_nothing_is_not_set(probed, monkeypatch, caplog, name):
    monkeypatch.setenv(name, "")
    prepared = cpu.prepare()
    assert (prepared.mkl_type, prepared.own_threads, caplog.messages) == ("7", None, [])


def test_type_0_is_a_choice(probed, monkeypatch):
    monkeypatch.setenv(cpu.MKL_TYPE, "0")
    assert cpu.prepare().mkl_type == "0"


def test_a_type_that_is_not_set_is_told_without_a_value(probed, monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert cpu.prepare().lines()[0] == "MKL_DEBUG_CPU_TYPE is not set: MKL_CBWR is set already"


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
    cpu.save_measurement("a", [1.5, 2])
    cpu.save_measurement("b", {"c": None})
    assert cpu.load_measurement("a") == [1.5, 2]
    assert cpu.load_measurement("b") == {"c": None}
    monkeypatch.setattr(cpu, "processor", lambda: INTEL)
    assert cpu.load_measurement("a") is None


_AVX512 = "fma avx2 avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.mark.parametrize(
    ("flags", "types"),
    [
        ("sse2 avx", ()),
        ("avx2", ()),
        ("fma avx2", ("5",)),
        ("fma avx2 avx512f", ("5",)),
        (_AVX512, ("5", "7")),
    ],
)
def test_linux_tells_the_vendor_and_what_the_processor_has(monkeypatch, tmp_path, flags, types):
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    cpu._CPUINFO.write_text(CPUINFO.format(vendor="AuthenticAMD", flags=flags))
    found = cpu.processor()
    assert (found.vendor, found.types) == ("AuthenticAMD", types)
    assert found.identity.startswith("AuthenticAMD Some Processor 25.1.1 ")


def test_processors_that_differ_only_in_flags_are_told_apart():
    one, other = (
        cpu._parse_cpuinfo(CPUINFO.format(vendor="AuthenticAMD", flags=flags)) for flags in ("fma", _AVX512)
    )
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("name", "vendor", "types"),
    [
        ("AMD64 Family 25 Model 80 Stepping 0, AuthenticAMD", "AuthenticAMD", ("5",)),
        ("AMD64 Family 21 Model 2 Stepping 0, AuthenticAMD", "AuthenticAMD", ()),
        ("arm", "", ()),
    ],
)
def test_other_systems_give_a_name(name, vendor, types):
    assert cpu._parse_name(name) == cpu.Processor(vendor, name, types)


@pytest.mark.parametrize("value", ["1", "4"])
def test_threads_that_the_user_has_set_are_known(monkeypatch, value):
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cpu._own_threads() == f"OMP_NUM_THREADS={value}"


def test_what_paddles_import_leaves_behind_is_not_the_users(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cpu._own_threads() is None


@pytest.fixture
def _level():
    yield
    cpu.logger.setLevel(logging.INFO)


@pytest.mark.usefixtures("_level")
def test_verbose_prints_what_was_set_and_why(probed, run_here):
    done = run_here("-v", "hub", "list")
    assert done.returncode == 0
    assert done.stderr.splitlines()[:2] == [
        "MKL_DEBUG_CPU_TYPE=7: the fastest here (GFLOP/s, default: 40, 5: 100, 7: 200)",
        "threads: chosen by measuring a step before training",
    ]
    assert cpu.logger.isEnabledFor(logging.DEBUG)


def test_without_verbose_it_is_set_in_silence(probed, run_here):
    assert "MKL" not in run_here("hub", "list").stderr
    assert os.environ[cpu.MKL_TYPE] == "7"


@pytest.mark.parametrize("arguments", [("hub", "--help"), ("split", "nowhere")])
def test_help_and_commands_without_paddle_measure_nothing(probed, run_here, arguments):
    run_here(*arguments)
    assert probed[0] == []
    assert cpu.MKL_TYPE not in os.environ


def test_public_names_prepare_where_they_need_paddle(probed):
    assert hubtune.RecipeError
    assert cpu.MKL_TYPE not in os.environ
    assert hubtune.Module
    assert os.environ[cpu.MKL_TYPE] == "7"


def test_the_product_is_timed_run_product_of_its_own(monkeypatch):
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
