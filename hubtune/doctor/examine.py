"""All checks of this machine and this installation, in the order in which they are shown."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import hubtune
from hubtune.doctor import machine, paddle, places, settings, software
from hubtune.doctor.check import Check, Inspection, run_in_thread, run_inspections
from hubtune.doctor.import_probe import FONT_MODULE, ImportResult, import_all
from hubtune.doctor.packages import OPENVINO, REQUIRED, installed_versions
from hubtune.hardware import cpu
from hubtune.hardware.cpu_quota import cpu_quota
from hubtune.hardware.memory import free_memory, machine_memory, memory_limit
from hubtune.ranks import current_rank
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.network_disk import network_disk

_Checks = dict[str, Callable[[], Check | Sequence[Check]]]

_IMPORT_SECONDS = 20.0
_SECONDS = 25.0  # for all checks; they take 2 to 4 on a machine that is well
_CPUINFO = Path("/proc/cpuinfo")
_SHARED_MEMORY = Path("/dev/shm")


def examine_machine(environment: Mapping[str, str] | None = None) -> list[Check]:
    """Check this machine, this installation and its settings, without the network.

    Nothing that is broken breaks this: packages are imported in processes of their own, and a check that
    fails becomes a note. ``environment`` is that of this process by default.
    """
    environment = dict(os.environ if environment is None else environment)
    lost = places.leave_lost_folder()
    open_files = _open_files()  # now: later, even this may need more than there are
    modules = [package.tried or package.module for package in (*REQUIRED, OPENVINO)]
    others = run_in_thread(lambda: import_all([*modules, FONT_MODULE], seconds=_IMPORT_SECONDS))
    own = run_in_thread(lambda: import_all(["paddle"], seconds=_IMPORT_SECONDS))
    installed = run_in_thread(installed_versions)
    driver = run_in_thread(paddle.read_driver)

    def paddle_import() -> ImportResult | None:
        return own.result().get("paddle")

    def avx() -> list[str] | None:
        with suppress(OSError):
            return machine.instruction_sets(_CPUINFO.read_text("utf-8", "replace"))
        return None

    def check_paddle_build() -> Check:
        return paddle.check_paddle_build(
            installed.result(), paddle_import(), has_avx=avx() != [], driver=driver.result()
        )

    def check_gpu() -> Check:
        return paddle.check_gpu(installed.result(), paddle_import(), driver.result(), environment)

    def check_mkl() -> Check:
        prepared = cpu.prepare()
        return machine.check_mkl(cpu.processor(), environment, prepared.mkl_type, prepared.reason)

    software_checks: _Checks = {
        "python": lambda: software.check_python(software.PythonFacts.of_this_process()),
        "hubtune": lambda: software.check_hubtune(installed.result(), Path(hubtune.__file__).parent),
        "packages": lambda: software.check_packages(installed.result(), others.result()),
        "pillow": lambda: software.check_pillow(installed.result(), others.result()),
        "extras": lambda: software.check_extras(installed.result()),
        "fonts": lambda: software.check_fonts(others.result()),
    }
    engine_checks: _Checks = {
        "paddle": check_paddle_build,
        "gpu": check_gpu,
        "openvino": lambda: software.check_openvino(installed.result(), others.result()),
    }
    machine_checks: _Checks = {
        "processor": lambda: machine.check_processor(cpu.processor(), avx()),
        "mkl": check_mkl,
        "cores": lambda: machine.check_cores(cpu.cores(), os.cpu_count() or 1, cpu_quota()),
        "threads": lambda: machine.check_threads(environment, cpu.cores()),
        "memory": lambda: machine.check_memory(_memory_facts()),
        "open-files": lambda: machine.check_open_files(open_files),
        "shared-memory": lambda: machine.check_shared_memory(
            _shared_memory(), max(current_rank(environment).size, int(_gpus(paddle_import())))
        ),
    }
    place_checks: _Checks = {
        "cache": lambda: _check_cache(environment),
        "working-folder": lambda: lost or places.check_working_folder(Path.cwd(), network=network_disk),
        "temporary-folder": lambda: places.check_temporary_folder(environment, network=network_disk),
    }
    setting_checks: _Checks = {
        "variables": lambda: settings.check_own_variables(environment),
        "network": lambda: settings.check_network(environment),
        "pip": lambda: settings.check_pip(
            environment, settings.pip_configuration_files(environment, sys.prefix)
        ),
        "text": lambda: settings.check_text(
            environment, getattr(sys.stdout, "encoding", None), sys.getfilesystemencoding()
        ),
        "python-variables": lambda: _as_list(settings.check_python_variables(environment)),
    }
    groups = {
        "Software": software_checks,
        "Paddle and engines": engine_checks,
        "Machine": machine_checks,
        "Folders": place_checks,
        "Settings": setting_checks,
    }
    inspections = [
        Inspection(group, name, inspect)
        for group, checks in groups.items()
        for name, inspect in checks.items()
    ]
    return run_inspections(inspections, seconds=_SECONDS)


def _as_list(check: Check | None) -> Sequence[Check]:
    return [] if check is None else [check]


def _check_cache(environment: Mapping[str, str]) -> Sequence[Check]:
    problem = places.check_cache_variable(environment)
    if problem is not None:
        return [problem]
    return [places.check_writable(places.CACHE, cache_root(), network=network_disk)]


def _gpus(result: ImportResult | None) -> int:
    return 0 if result is None else int(result.facts.get("gpus", 0))


def _shared_memory() -> int | None:
    if not _SHARED_MEMORY.is_dir() or not hasattr(os, "statvfs"):
        return None
    sizes = os.statvfs(_SHARED_MEMORY)
    return sizes.f_blocks * sizes.f_frsize


def _memory_facts() -> machine.MemoryFacts:
    whole = machine_memory()
    return machine.MemoryFacts(
        free_memory(), whole.get("MemTotal"), memory_limit(), whole.get("SwapTotal", 0), _own_limit()
    )


def _open_files() -> int | None:
    with suppress(ImportError, OSError):  # not on Windows
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return None if most == resource.RLIM_INFINITY else most
    return None


def _own_limit() -> int | None:
    with suppress(ImportError, OSError):  # not on Windows
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if most == resource.RLIM_INFINITY else most
    return None
