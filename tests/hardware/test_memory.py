"""Free memory counts the machine, containers and the process's own limit; the error names values to try."""

import subprocess
import sys

import pytest

from hubtune.errors import MachineError
from hubtune.hardware import memory
from hubtune.hardware.memory import (
    free_memory,
    machine_memory,
    memory_limit,
    out_of_memory,
    ran_out_of_memory,
)

GB = 10**9


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Write what the system reports: free memory, and control groups by their folder below the root."""
    for name in ("_MEMINFO", "_OWN_GROUPS", "_GROUPS"):
        monkeypatch.setattr(memory, name, tmp_path / name)
    monkeypatch.setattr(memory, "_of_process", lambda: ())

    def write(groups="", **folders):
        lines = (f"MemTotal: {9 * GB // 1024} kB", f"MemAvailable: {6 * GB // 1024} kB")
        (tmp_path / "_MEMINFO").write_text(
            "\n".join((*lines, f"SwapFree: {2 * GB // 1024} kB", "HugePages: 0"))
        )
        (tmp_path / "_OWN_GROUPS").write_text(groups)
        for name, files in folders.items():
            folder = tmp_path / "_GROUPS" / name.replace("_", "/")
            folder.mkdir(parents=True, exist_ok=True)
            for file, content in files.items():
                (folder / file).write_text(f"{content}\n")

    return write


def _second(limit, used, files=0):
    stat = f"anon 5\ninactive_file {files // 2}\nactive_file {files // 2}\nfile_mapped 7"
    return {"memory.max": limit, "memory.current": used, "memory.stat": stat}


def _first(limit, used):
    stat = "cache 5\ntotal_inactive_file 0\ntotal_active_file 0"
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.stat": stat}


@pytest.mark.parametrize(
    ("groups", "folders", "free"),
    [
        ("", {}, 6),
        ("0::/app\n", {"app": _second("max", GB)}, 6),
        ("0::/app\n", {"app": _second(4 * GB, GB)}, 3),
        # The system drops the content of files when it needs their memory.
        ("0::/app\n", {"app": _second(4 * GB, 3 * GB, files=2 * GB)}, 3),
        ("0::/outer/app\n", {"outer_app": _second("max", 0), "outer": _second(3 * GB, GB)}, 2),
        # In a container: the path is the host's, and the root is the container's own group.
        ("4:memory:/docker/1f\n0::/\n", {"memory": _first(2 * GB, GB)}, 1),
        ("4:memory:/docker/1f\n", {"memory_docker_1f": _first(2 * GB, 3 * GB)}, 0),
    ],
)
def test_the_tightest_limit_counts(machine, groups, folders, free):
    machine(groups, **folders)
    assert free_memory() == pytest.approx(free * GB, abs=2048)
    if free == 6:
        assert free_memory(swap=True) == pytest.approx(8 * GB, abs=2048)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much a process has")
def test_the_limit_of_the_process_counts():
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "from hubtune.hardware.memory import free_memory; print(free_memory())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 2**30


def test_the_error_names_sizes_and_values_that_fit():
    message = str(out_of_memory(32, (1024, 512), free=4 * GB, least=GB / 2, most=GB))
    assert "32 pictures of 512 × 1024 pixels (needs at least 16 GB; 4 GB are free)" in message
    assert "a batch size of 4, or smaller pictures, such as 352 pixels" in message
    assert "batch size of" not in str(out_of_memory(32, (64, 64), free=GB // 2, least=GB / 2, most=GB))
    assert "a batch size of 16, or smaller pictures, such as 32 pixels" in str(
        out_of_memory(32, (64, 64), free=None)
    )


def test_the_limit_of_a_container_counts_if_it_is_below_the_machine(machine):
    machine()
    assert memory_limit() is None and machine_memory()["SwapFree"] == 2 * GB // 1024 * 1024
    machine("0::/outer/app\n", outer_app=_second(4 * GB, GB), outer=_second(3 * GB, GB))
    assert memory_limit() == 3 * GB
    machine("0::/huge\n", huge=_second(2**63 - 4096, 0))
    assert memory_limit() is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError("(External) CUDA error(2), out of memory."), True),
        (RuntimeError("(External) CUBLAS error(3), CUBLAS_STATUS_ALLOC_FAILED"), True),
        (SystemError("(Fatal) std::bad_alloc"), True),
        (RuntimeError("ResourceExhaustedError: Out of memory error on GPU 0"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (OSError(28, "No space left on device: out of memory.jpg"), False),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
        (MachineError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, expected):
    assert ran_out_of_memory(error) == expected
