"""The packages that hubtune needs, with their smallest versions, and errors of their import as a sentence."""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import TracebackType

from hubtune.doctor.cures import pip_install, pip_reinstall
from hubtune.doctor.shadows import SITES, is_beside_packages, shadow_cure, shadow_sentence, standard_shadow
from hubtune.errors import HubtuneError
from hubtune.extras import EXTRAS, PADDLE_NEEDS, install_command, normal_name, required_name
from hubtune.text import escaped, unset_variable

_LONGEST_REASON = 160
# Module, a word of its error, and the variable whose value it refuses.
_VARIABLES_AT_FAULT = (("matplotlib", "backend", "MPLBACKEND"),)


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


def shadow_of(package: Package) -> str | None:
    """Return the file or folder that is imported in place of an installed package; ``None`` without one."""
    try:
        spec = PathFinder.find_spec(package.module)
    except (ImportError, ValueError):
        return None
    installed = next(iter(distributions(name=package.distribution)), None)
    if spec is None or spec.origin is None or installed is None or is_beside_packages(spec.origin):
        return None
    with suppress(OSError, ValueError):  # a developer's own copy
        if '"editable": true' in (installed.read_text("direct_url.json") or ""):
            return None
    if Path(spec.origin).is_relative_to(str(installed.locate_file(""))):
        return None
    origin = Path(spec.origin)
    return str(origin.parent if origin.name == "__init__.py" else origin)


def find_shadow() -> tuple[str, str] | None:
    """Return the title of what a file hides, a package or a module of Python, and the file."""
    if (path := standard_shadow()) is not None:
        return f"Python's module {Path(path).stem}", path
    found = ((package.title, shadow_of(package)) for package in _BY_MODULE.values())
    return next(((title, path) for title, path in found if path is not None), None)


def shadow_problem() -> str | None:
    """Return the sentence for a file that hides a package or a module of Python; ``None`` without one."""
    found = find_shadow()
    return found and f"{shadow_sentence(*found)}: {shadow_cure(found[1])}"


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
    if (hidden := shadow_problem()) is not None:
        return hidden
    if isinstance(error, ModuleNotFoundError) and error.name == package.module:
        return f"{package.title} is missing: {pip_install(package.distribution)}"
    return f"{package.title} cannot be loaded ({import_reason(error)}): {cure_of_import(package, error)}"


def cure_of_import(package: Package, error: BaseException) -> str:
    """Return the command that mends a package whose import fails."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != package.module:
        return cure_of_lack(package.distribution, error.name or "")
    return reinstall_cure(package, owner_of(error), str(error))


def reinstall_cure(package: Package, owner: str, reason: str) -> str:
    """Return the command that mends a package that is installed, and cannot be loaded.

    Args:
        package: one of hubtune's.
        owner: the requirement of the package to which the broken file belongs, if that is another one.
        reason: the message of the error.
    """
    if (found := find_shadow()) is not None:
        return shadow_cure(found[1])
    for module, word, variable in _VARIABLES_AT_FAULT:
        if package.module == module and word in reason and os.environ.get(variable):
            return unset_variable(variable)
    if owner:
        return pip_install(owner, options="--force-reinstall --no-deps")
    return pip_reinstall(package.distribution)


def owner_of(error: BaseException) -> str:
    """Return the requirement of the package to which the file of an error belongs; empty for hubtune's own.

    Only for errors that name their file: a package that is whole may raise others because of its caller.
    """
    file = error.path if isinstance(error, ImportError) else None
    file = error.filename if isinstance(error, SyntaxError) else file
    parts = Path(file or "").parts
    tops = [number for number, part in enumerate(parts) if part in SITES]
    module = Path(parts[tops[-1] + 1]).stem.partition(".")[0] if tops and tops[-1] + 1 < len(parts) else ""
    if not module or module in _BY_MODULE:
        return ""
    for distribution in distributions():
        with suppress(Exception):  # a damaged record has no files
            if any(each.parts[0].partition(".")[0] == module for each in distribution.files or ()):
                return f"{distribution.metadata['Name']}=={distribution.version}"
    return ""


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
    tops = [number for number, part in enumerate(parts) if part in SITES]
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
