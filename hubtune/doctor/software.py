"""Checks of Python, hubtune and the packages beside Paddle."""

import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.doctor.cures import install_beside, install_system_package, pip_install, pip_reinstall
from hubtune.doctor.import_probe import FONT_MODULE, ImportResult
from hubtune.doctor.packages import (
    OPENVINO,
    PILLOW,
    REQUIRED,
    Package,
    cure_of_lack,
    is_older,
    missing_extras,
    package_named,
    reinstall_cure,
    shadow_of,
)
from hubtune.doctor.shadows import shadow_cure, shadow_sentence
from hubtune.extras import EXTRAS, python_command, quoted_words

Imports = Mapping[str, ImportResult]

_OLDEST, _NEWEST = (3, 11), (3, 13)
_NEW_ENVIRONMENT = (
    "python3.13 -m venv .venv && . .venv/bin/activate"
    if os.name != "nt"
    else r"py -3.13 -m venv .venv && .venv\Scripts\activate"
)


@dataclass(frozen=True)
class PythonFacts:
    """The Python that runs hubtune.

    Attributes:
        is_isolated: whether it is a virtual or conda environment.
        is_managed: whether the system forbids pip to change it (PEP 668).
        is_musl: whether it is of a system such as Alpine, for which there is no wheel of Paddle.
    """

    version: tuple[int, int, int]
    prefix: str
    bits: int = 64
    implementation: str = "CPython"
    is_isolated: bool = True
    is_managed: bool = False
    is_musl: bool = False

    @classmethod
    def of_this_process(cls) -> "PythonFacts":
        """Return the facts of the running Python."""
        standard = Path(sysconfig.get_path("stdlib"))
        return cls(
            sys.version_info[:3],
            sys.prefix,
            8 * struct.calcsize("P"),
            platform.python_implementation(),
            sys.prefix != sys.base_prefix or Path(sys.prefix, "conda-meta").is_dir(),
            (standard / "EXTERNALLY-MANAGED").is_file(),
            "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""),
        )


def check_python(facts: PythonFacts) -> Check:
    """Check the version of Python, its build, and whether packages can be installed into it."""
    what = f"Python {'.'.join(map(str, facts.version))}, {facts.bits}-bit"
    supported = f"{'.'.join(map(str, _OLDEST))} to {'.'.join(map(str, _NEWEST))}"
    if not _OLDEST <= facts.version[:2] <= _NEWEST:
        return Check("python", BAD, f"{what}: hubtune needs Python {supported}", _NEW_ENVIRONMENT)
    if facts.bits != 64:
        return Check("python", BAD, f"{what}: Paddle needs a 64-bit Python", _NEW_ENVIRONMENT)
    if facts.implementation != "CPython":
        return Check("python", BAD, f"{what}, {facts.implementation}: Paddle needs CPython", _NEW_ENVIRONMENT)
    if facts.is_musl:
        finding = f"{what}, on a system with musl (Alpine), for which there is no build of Paddle"
        return Check("python", BAD, finding, "docker run -it python:3.13-slim bash")
    if facts.is_isolated:
        return Check("python", GOOD, f"{what}, in the environment {facts.prefix}")
    where = f"{what}, the system's own ({facts.prefix}), not a virtual environment"
    if facts.is_managed:
        return Check("python", NOTE, f"{where}: pip refuses to install into it", _NEW_ENVIRONMENT)
    return Check("python", NOTE, f"{where}: other programs share its packages", _NEW_ENVIRONMENT)


def check_hubtune(versions: Mapping[str, str], folder: Path) -> Check:
    """Check that hubtune is installed; ``folder`` is the package that runs."""
    version = versions.get("hubtune")
    if version is None:
        finding = f"hubtune runs from {folder}, but is not installed: hubtune --version fails"
        project = folder.parent
        cure = "run pip install . in a clone of hubtune's repository"
        if (project / "pyproject.toml").is_file():
            cure = pip_install(str(project))
        return Check("hubtune", NOTE, finding, cure)
    return Check("hubtune", GOOD, f"hubtune {version} in {folder}")


def check_packages(versions: Mapping[str, str], imports: Imports) -> list[Check]:
    """Check the packages that hubtune cannot do without; those that are well share a line."""
    packages = [package for package in REQUIRED if package is not PILLOW]
    checks = [_check_package(package, versions, imports) for package in packages]
    bad = [check for check in checks if check is not None]
    well = len(checks) - len(bad)
    # NumPy first: where it is broken, so are others.
    bad.sort(key=lambda check: check.name != "numpy")
    if not well:
        return bad
    names = "required packages" if not bad else "of the required packages"
    return [*bad, Check("packages", GOOD, f"{well} {names}: present, new enough, and they can be loaded")]


def check_pillow(versions: Mapping[str, str], imports: Imports) -> Check:
    """Check Pillow and the formats of pictures that it reads."""
    broken = _check_package(PILLOW, versions, imports)
    if broken is not None:
        return broken
    facts = imports[PILLOW.tried].facts if PILLOW.tried in imports else {}
    what = f"Pillow {versions.get('pillow', '')}".strip()
    lacking = [name.upper() for name in ("webp", "avif") if facts.get(name) is False]
    if lacking:
        finding = f"{what} does not read {' and '.join(lacking)}: a build without these formats"
        return Check("pillow", NOTE, finding, pip_reinstall("pillow"))
    if facts.get("heic") is False:
        finding = f"{what} reads JPEG, PNG, WebP and AVIF; HEIC, of iPhones, needs one more package"
        return Check("pillow", NOTE, finding, install_beside(*EXTRAS["heic"]))
    return Check("pillow", GOOD, f"{what} reads JPEG, PNG, WebP, AVIF and HEIC")


def check_openvino(versions: Mapping[str, str], imports: Imports) -> Check:
    """Check OpenVINO, without which features on a CPU are computed by Paddle."""
    requirement = f"openvino>={OPENVINO.minimum}"
    if "openvino" not in versions and is_absent(OPENVINO, imports):
        finding = (
            "OpenVINO is not installed: Paddle runs networks on the CPU, several times slower (finetune with "
            "the strategy frozen, predict, evaluate)"
        )
        return Check("openvino", NOTE, finding, install_beside(requirement))
    broken = _check_package(OPENVINO, versions, imports)
    if broken is not None:
        return broken
    return Check("openvino", GOOD, f"OpenVINO {versions.get('openvino', '')} runs networks on the CPU")


def check_extras(versions: Mapping[str, str]) -> Check:
    """Name the optional extras that are complete, and those that are not."""
    missing = missing_extras(versions)
    there = [extra for extra in EXTRAS if extra not in (*missing, "cpu")]
    finding = f"Extras installed: {', '.join(there) or 'none'}"
    if missing:
        finding += f"; not installed: {', '.join(missing)}"
    return Check("extras", GOOD, finding)


def check_fonts(imports: Imports) -> Check:
    """Check for a font with Chinese characters, for class names in pictures."""
    result = imports.get(FONT_MODULE)
    if result is None or result.problem or "chinese" not in result.facts:
        reason = "" if result is None else result.problem or str(result.facts.get("error", ""))
        if result is not None and (other := package_named(result.fault)) is not None:
            reason = f"{other.title} cannot be loaded"
        return Check("fonts", NOTE, f"Fonts could not be checked: {reason or 'no answer in time'}")
    if result.facts["chinese"]:
        return Check("fonts", GOOD, "Fonts: Chinese class names can be drawn")
    finding = "No font has Chinese characters: pictures with labels would have the classes' numbers"
    cure = install_system_package("fonts-noto-cjk", "google-noto-sans-cjk-fonts")
    cure = cure or "install the font Noto Sans CJK"
    return Check("fonts", NOTE, finding, cure)


def check_cause(name: str, what: str, package: Package, result: ImportResult) -> Check | None:
    """Return the check of a package whose import fails because of another one; ``None`` for any other."""
    other = package_named(result.fault) if result.problem else None
    if other is None or other is package:
        return None
    is_missing = result.missing.partition(".")[0] == other.module
    requirement = f"{other.distribution}>={other.minimum}"
    cure = pip_install(requirement)
    if not is_missing:
        cure = reinstall_cure(other, result.owner, result.problem)
    verb = "is missing" if is_missing else "cannot be loaded"
    return Check(name, BAD, f"{what} cannot be loaded, because {other.title} {verb}", cure)


def is_absent(package: Package, imports: Imports) -> bool:
    result = imports.get(package.tried or package.module)
    return result is None or result.missing.partition(".")[0] == package.module


def import_command(package: Package) -> str:
    """Return the command that imports a package, however long it takes; the next time is quicker."""
    return f"{python_command()} -c {quoted_words([f'import {package.module}'])}"


def _check_package(package: Package, versions: Mapping[str, str], imports: Imports) -> Check | None:
    """Return what is wrong with a package; ``None`` if it is present, new enough, and can be loaded."""
    name, title = package.distribution, package.title
    version = versions.get(name)
    what = f"{title} {version}" if version else title
    result = imports.get(package.tried or package.module)
    if (path := shadow_of(package)) is not None:
        return Check(name, BAD, shadow_sentence(title, path), shadow_cure(path))
    if version is None and is_absent(package, imports):
        return Check(name, BAD, f"{title} is missing", pip_install(f"{name}>={package.minimum}"))
    if result is not None and (caused := check_cause(name, title, package, result)) is not None:
        return caused
    if result is not None and result.is_late:
        return Check(name, NOTE, f"{what} could not be checked: {result.problem}", import_command(package))
    if result is not None and result.problem:
        root = result.missing.partition(".")[0]
        lacks = root and root != package.module
        own_cure = reinstall_cure(package, result.owner, result.problem)
        cure = cure_of_lack(name, root) if lacks else own_cure
        return Check(name, BAD, f"{what} cannot be loaded: {result.problem}", cure)
    if version is not None and is_older(version, package.minimum):
        finding = f"{what} is older than {package.minimum}, which hubtune needs"
        return Check(name, BAD, finding, pip_install(f"{name}>={package.minimum}"))
    if result is None:
        return Check(name, NOTE, f"{title} could not be checked: no answer in time")
    return None
