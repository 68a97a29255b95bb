"""Checks of PaddlePaddle, and of the GPU that it would use."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.doctor.cures import (
    GPU_INDEX,
    OTHER_PROCESSOR,
    install_system_package,
    pip_install,
    pip_uninstall,
)
from hubtune.doctor.import_probe import ImportResult
from hubtune.doctor.packages import (
    GPU_WHEEL,
    PADDLE,
    cure_of_lack,
    find_shadow,
    is_older,
    reinstall_cure,
    shadow_of,
)
from hubtune.doctor.shadows import shadow_cure, shadow_sentence
from hubtune.doctor.software import check_cause, import_command
from hubtune.extras import install_extra
from hubtune.text import escaped, unset_variable

_REQUIREMENT = f"paddlepaddle>={PADDLE.minimum}"
_DRIVER_FILE = Path("/proc/driver/nvidia/version")
_SMI_SECONDS = 8.0
# Libraries of the system that Paddle's wheel needs: part of the message → packages of Debian and of Red Hat.
_LIBRARIES = {"libgomp": ("libgomp1", "libgomp"), "libstdc++": ("libstdc++6", "libstdc++")}
# Smallest CUDA version of the driver, directory of Paddle's index, and what to install from it.
_INDEXES = (((12, 0), "cu126", "paddlepaddle-gpu==3.3.1"), ((0, 0), "cu118", "paddlepaddle-gpu>=3.1"))


@dataclass(frozen=True)
class Driver:
    """The driver of NVIDIA's GPUs on this machine.

    Attributes:
        version: such as ``550.54.15``; empty if there is no driver.
        cuda: the newest CUDA that it supports, such as ``12.4``; empty if that is not known.
        problem: what ``nvidia-smi`` says if it fails although there is a driver.
    """

    version: str = ""
    cuda: str = ""
    problem: str = ""


def read_driver(file: Path = _DRIVER_FILE, command: str = "nvidia-smi") -> Driver:
    """Ask ``nvidia-smi``, or else the kernel's module, for the driver."""
    loaded = ""
    with suppress(OSError):
        found = re.search(r"Kernel Module\S*(?: for \S+)?\s+([\d.]+)", file.read_text("utf-8", "replace"))
        loaded = found[1] if found else ""
    program = shutil.which(command)
    if program is None:
        return Driver(loaded)
    try:
        done = subprocess.run(
            [program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SMI_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Driver(loaded, problem=f"{command} does not answer ({type(error).__name__})")
    return parse_driver(done.stdout, done.returncode, loaded)


def parse_driver(output: str, code: int, loaded: str = "") -> Driver:
    """Return the driver by the output of ``nvidia-smi``."""
    if code:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        return Driver(loaded, problem=f"nvidia-smi fails: {lines[0] if lines else f'exit code {code}'}")
    version = re.search(r"Driver Version:\s*([\d.]+)", output)
    cuda = re.search(r"CUDA(?: UMD)? Version:\s*([\d.]+)", output)
    return Driver(version[1] if version else loaded, cuda[1] if cuda else "")


def check_paddle_build(
    versions: Mapping[str, str], result: ImportResult | None, *, has_avx: bool, driver: Driver
) -> Check:
    """Check that one build of Paddle is installed, new enough, and can be loaded."""
    cpu, gpu = versions.get("paddlepaddle"), versions.get(GPU_WHEEL)
    if cpu and gpu:
        finding = (
            f"paddlepaddle {cpu} and paddlepaddle-gpu {gpu} are both installed: the files of one overwrite "
            "the other's"
        )
        one = install_gpu_build(driver) if driver.version else pip_install(_REQUIREMENT)
        return Check("paddle", BAD, finding, f"{pip_uninstall('paddlepaddle', GPU_WHEEL)} && {one}")
    is_missing = result is None or result.missing.partition(".")[0] == "paddle"
    if not (cpu or gpu) and is_missing:
        install = install_gpu_build(driver) if driver.version else install_extra("cpu")
        return Check("paddle", BAD, "PaddlePaddle is not installed: nothing can be trained", install)
    if (path := shadow_of(PADDLE)) is not None:
        return Check("paddle", BAD, shadow_sentence(PADDLE.title, path), shadow_cure(path))
    what = f"PaddlePaddle {cpu or gpu or ''}".strip() + " for GPUs" * bool(gpu)
    if result is not None and (caused := check_cause("paddle", what, PADDLE, result)) is not None:
        return caused
    if result is not None and result.is_late:
        finding = f"{what} could not be checked: {result.problem}"
        return Check("paddle", NOTE, finding, import_command(PADDLE))
    if result is not None and result.problem:
        return _broken(what, result, has_avx, GPU_WHEEL if gpu else "paddlepaddle", driver)
    version = cpu or gpu or str((result.facts if result else {}).get("version", ""))
    if version and version != "0.0.0" and is_older(version, PADDLE.minimum):
        cure = install_gpu_build(driver) if gpu else pip_install(_REQUIREMENT)
        return Check("paddle", BAD, f"{what} is older than {PADDLE.minimum}, which hubtune needs", cure)
    if result is None:
        return Check("paddle", NOTE, f"{what} could not be checked: its import did not end in time")
    return Check("paddle", GOOD, f"{what} can be loaded")


def check_gpu(
    versions: Mapping[str, str],
    result: ImportResult | None,
    driver: Driver,
    environment: Mapping[str, str],
) -> Check:
    """Check that Paddle's build suits the GPUs: those that are here, and those that it may see."""
    facts = result.facts if result is not None else {}
    is_gpu_build = bool(facts.get("cuda")) or (GPU_WHEEL in versions and "paddlepaddle" not in versions)
    if not is_gpu_build:
        numbers = environment.get("CUDA_VISIBLE_DEVICES", "").strip()
        if not (driver.version or driver.problem) and numbers not in ("", "-1"):
            named = f"CUDA_VISIBLE_DEVICES={escaped(numbers)}"
            finding = f"{named} is set, but there is no NVIDIA driver: computes on the CPU"
            return Check("gpu", NOTE, finding, unset_variable("CUDA_VISIBLE_DEVICES"))
        if not (driver.version or driver.problem):
            return Check("gpu", GOOD, "No NVIDIA driver: computes on the CPU")
        if not driver.version:
            return Check("gpu", NOTE, f"Computes on the CPU; {driver.problem}")
        finding = f"There is an NVIDIA driver {driver.version}, but Paddle's build is one for CPUs"
        cure = f"{pip_uninstall('paddlepaddle')} && {install_gpu_build(driver)}"
        return Check("gpu", NOTE, finding, cure)
    build = f"Paddle's build for {f'CUDA {cuda}' if (cuda := facts.get('cuda')) else 'GPUs'}"
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        finding = f"CUDA_VISIBLE_DEVICES='{visible}' hides all GPUs: computes on the CPU"
        return Check("gpu", NOTE, finding, unset_variable("CUDA_VISIBLE_DEVICES"))
    if not driver.version:
        reason = driver.problem or "there is no NVIDIA driver; in a container, it is that of the host"
        cure = "docker run --gpus all …" if Path("/.dockerenv").exists() else ""
        if not cure:
            cure = f"{pip_uninstall(GPU_WHEEL)} && {pip_install(_REQUIREMENT)}"
        return Check("gpu", NOTE, f"{build}, but {reason}: computes on the CPU", cure)
    if driver.cuda and facts.get("cuda") and _major(str(facts["cuda"])) > _major(driver.cuda):
        finding = (
            f"{build} needs a newer driver than {driver.version}, which supports CUDA up to {driver.cuda}"
        )
        cure = f"{pip_uninstall(GPU_WHEEL)} && {install_gpu_build(driver)}"
        return Check("gpu", BAD, finding, cure)
    if result is not None and result.problem:
        return Check("gpu", NOTE, f"{build} could not be asked for GPUs: it cannot be loaded")
    count = int(facts.get("gpus", 0))
    if result is None:
        return Check("gpu", NOTE, f"{build} could not be asked for GPUs: no answer in time")
    if not count:
        finding = f"{build} sees no GPU, although there is a driver {driver.version}: computes on the CPU"
        return Check("gpu", BAD, finding, unset_variable("CUDA_VISIBLE_DEVICES") if visible else "nvidia-smi")
    gpus = f"{count} GPU{'s' * (count > 1)}"
    return Check("gpu", GOOD, f"{build} sees {gpus}: {facts.get('gpu', '')}, driver {driver.version}")


def install_gpu_build(driver: Driver) -> str:
    """Return the command that installs Paddle's build for GPUs, from the index for the driver's CUDA."""
    newest = _numbers(driver.cuda) if driver.cuda else (12, 0)
    _, index, requirement = next(row for row in _INDEXES if newest >= row[0])
    return pip_install(requirement, options=f"-i {GPU_INDEX.format(index)}")


def _broken(what: str, result: ImportResult, has_avx: bool, distribution: str, driver: Driver) -> Check:
    if not has_avx and result.crash in ("SIGILL", "SIGSEGV", "SIGABRT", ""):
        return Check(
            "paddle", BAD, f"{what} needs a processor with AVX, which this one lacks", OTHER_PROCESSOR
        )
    if result.crash == "SIGILL":
        finding = (
            f"{what} uses an instruction that this processor lacks ({result.crash}): its build, or a "
            "setting of MKL, is for another processor"
        )
        cure = unset_variable("MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE")
        return Check("paddle", BAD, finding, cure)
    finding = f"{what} cannot be loaded: {result.problem}"
    for library, (apt, dnf) in _LIBRARIES.items():
        if library in result.problem and (cure := install_system_package(apt, dnf)):
            return Check("paddle", BAD, finding, cure)
    if (root := result.missing.partition(".")[0]) not in ("", "paddle"):
        return Check("paddle", BAD, finding, cure_of_lack(distribution, root))
    if distribution == GPU_WHEEL and not result.owner and find_shadow() is None:
        uninstall = pip_uninstall(GPU_WHEEL)
        return Check("paddle", BAD, finding, f"{uninstall} && {install_gpu_build(driver)}")
    package = replace(PADDLE, distribution=distribution)
    return Check("paddle", BAD, finding, reinstall_cure(package, result.owner, result.problem))


def _major(version: str) -> int:
    return _numbers(version)[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2]) or (0,)
