"""The packages that hubtune needs, with their smallest versions, and errors of their import as a sentence."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import TracebackType

from hubtune.doctor.cures import pip_install, pip_reinstall
from hubtune.errors import HubtuneError
from hubtune.extras import EXTRAS, PADDLE_NEEDS, install_command, normal_name, required_name
from hubtune.text import escaped

_LONGEST_REASON = 160


@dataclass(frozen=True)
class Package:
    """A package that hubtune imports.

    Attributes:
        module: its name in Python.
        distribution: its name for pip.
        minimum: smallest version.
        title: its name in messages.
        tried: the module whose import shows that the package works; ``module`` if empty.
    """

    module: str
    distribution: str
    minimum: str
    title: str
    tried: str = ""


PILLOW = Package("PIL", "pillow", "11.3", "Pillow", "PIL.Image")
PADDLE = Package("paddle", "paddlepaddle", "3.1", "PaddlePaddle")
OPENVINO = Package("openvino", "openvino", "2025.0", "OpenVINO")
REQUIRED = (
    Package("click", "click", "8.1", "click"),
    Package("filelock", "filelock", "3.12", "filelock"),
    Package("jinja2", "jinja2", "3.1", "Jinja2"),
    Package("matplotlib", "matplotlib", "3.8", "Matplotlib", "matplotlib.ft2font"),
    Package("numpy", "numpy", "1.26", "NumPy"),
    PILLOW,
    Package("pydantic", "pydantic", "2.7", "pydantic"),
    Package("yaml", "pyyaml", "6.0", "PyYAML"),
    Package("rich", "rich", "13.7", "rich"),
    Package("safetensors", "safetensors", "0.4.3", "safetensors"),
    Package("sklearn", "scikit-learn", "1.5", "scikit-learn"),
    Package("scipy", "scipy", "1.11", "SciPy", "scipy.linalg"),
    Package("threadpoolctl", "threadpoolctl", "3.1", "threadpoolctl"),
)
"""The dependencies of ``pyproject.toml``, with which a test compares this table."""

GPU_WHEEL = "paddlepaddle-gpu"

_BY_MODULE = {package.module: package for package in (*REQUIRED, PADDLE, OPENVINO)}


def installed_versions(found: Iterable[Distribution] | None = None) -> dict[str, str]:
    """Return the installed distributions: name as pip compares it → version."""
    versions: dict[str, str] = {}
    for distribution in distributions() if found is None else found:
        with suppress(Exception):  # a damaged record counts as none
            name, version = distribution.metadata["Name"], distribution.version
            if name and version:
                versions.setdefault(normal_name(name), version)
    return versions


def is_older(version: str, minimum: str) -> bool:
    """Whether a version is below another one, by the numbers at its start."""
    return _numbers(version) < _numbers(minimum)


def missing_extras(versions: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the extras that are not complete, with the packages that are missing."""
    missing = {
        extra: [name for name in map(required_name, requirements) if name not in versions]
        for extra, requirements in EXTRAS.items()
        if extra != "cpu"  # Paddle and OpenVINO have checks of their own
    }
    return {extra: names for extra, names in missing.items() if names}


def import_problem(error: BaseException) -> str | None:
    """Return the sentence for an error that a missing or broken package causes; ``None`` for any other.

    Besides an ``ImportError`` this is whatever a package raises while it is imported: a ``SyntaxError`` of a
    file that is cut off, a ``ValueError`` of a package that was built for another NumPy.
    """
    if not isinstance(error, Exception) or isinstance(error, HubtuneError | MemoryError):
        return None
    if isinstance(error, OSError) and error.errno is not None:  # of a disk, not of the system's loader
        return None
    package = package_at_fault(error)
    if package is None:
        return None
    if isinstance(error, ModuleNotFoundError) and error.name == package.module:
        return f"{package.title} is missing: {pip_install(package.distribution)}"
    return f"{package.title} cannot be loaded ({import_reason(error)}): {cure_of_import(package, error)}"


def cure_of_import(package: Package, error: BaseException) -> str:
    """Return the command that mends a package whose import fails."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != package.module:
        return cure_of_lack(package.distribution, error.name or "")
    return pip_reinstall(package.distribution)


def cure_of_lack(distribution: str, missing: str) -> str:
    """Return the command that mends a package that lacks a module of another one."""
    # pip also installs what an installed package requires, which is not all that Paddle imports.
    return install_command(missing) if missing == PADDLE_NEEDS else pip_install(distribution)


def package_at_fault(error: BaseException) -> Package | None:
    """Return the package that is missing, or was being imported when the error was raised; else ``None``."""
    by_frame = _importing_package(error.__traceback__)
    if isinstance(error, ImportError) and error.name:
        return _BY_MODULE.get(error.name.partition(".")[0]) or by_frame
    if isinstance(error, SyntaxError) and error.filename:
        return package_of_file(error.filename) or by_frame
    return by_frame


def package_of_file(file: str) -> Package | None:
    """Return the package that a file belongs to."""
    parts = [*Path(file).parts[:-1], Path(file).stem]
    # Folders above may have the name of a package by chance.
    tops = [number for number, part in enumerate(parts) if part in ("site-packages", "dist-packages")]
    within = parts[tops[-1] + 1 :][:1] if tops else parts
    named = [_BY_MODULE[part] for part in within if part in _BY_MODULE]
    return named[-1] if named else None


def package_named(module: str) -> Package | None:
    """Return the package with a module of this name."""
    return _BY_MODULE.get(module)


def _importing_package(traceback: TracebackType | None) -> Package | None:
    """Return the innermost package a module of which was being imported when the error was raised."""
    package = None
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_name == "<module>":
            name = str(frame.f_globals.get("__name__", ""))
            package = _BY_MODULE.get(name.partition(".")[0], package)
        traceback = traceback.tb_next
    return package


def import_reason(error: BaseException) -> str:
    """Return the line of an error that says why an import failed."""
    # NumPy puts a page of advice before the reason, which is the cause.
    text = str(error.__cause__ or error)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return escaped(line[:_LONGEST_REASON]) or type(error).__name__


def _numbers(version: str) -> tuple[int, ...]:
    start = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in start[0].split(".")] if start else []
    return tuple([*numbers, 0, 0, 0, 0][:4])
