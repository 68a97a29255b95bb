"""Commands that cure, as they work in this environment's shell and with its Python."""

import os
import shlex
import shutil
import sys
from importlib.metadata import distributions

GPU_INDEX = "https://www.paddlepaddle.org.cn/packages/stable/{}/"
OTHER_PROCESSOR = "use another machine; in a virtual machine, give it the host's processor (QEMU: -cpu host)"


def pip_install(*requirements: str, options: str = "--upgrade") -> str:
    """Return the command that installs packages into the Python that runs hubtune."""
    words = " ".join(f'"{each}"' if set(each) & set("<>[]; ") else each for each in requirements)
    return f"{_pip('install')} {options} {words}".replace("  ", " ")


def pip_reinstall(*distributions: str) -> str:
    """Return the command that replaces the files of packages, also where the version is the newest."""
    return pip_install(*distributions, options="--upgrade --force-reinstall --no-deps")


def pip_uninstall(*distributions: str) -> str:
    """Return the command that removes packages."""
    yes = "" if _uses_uv() else " -y"
    return f"{_pip('uninstall')}{yes} {' '.join(distributions)}"


def unset_variable(*names: str) -> str:
    """Return the command that removes environment variables."""
    if os.name == "nt":
        return " & ".join(f"set {name}=" for name in names)
    return f"unset {' '.join(names)}"


def set_variable(name: str, value: str) -> str:
    """Return the command that sets an environment variable for what is run afterwards."""
    return f"set {name}={value}" if os.name == "nt" else f"export {name}={value}"


def python_command() -> str:
    """Return how this Python is started: ``python`` if that is the same one, or else its path."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        # Not by the file that links lead to: an environment's Python is a link to the system's.
        if found and os.path.abspath(found) == os.path.abspath(sys.executable):  # noqa: PTH100
            return name
    return f'"{sys.executable}"' if os.name == "nt" else shlex.quote(sys.executable)


def _uses_uv() -> bool:
    # Not by find_spec("pip"): setuptools takes that for pip at work, and gives up its place of distutils,
    # without which Paddle cannot be imported any more.
    has_pip = next(iter(distributions(name="pip")), None) is not None
    return not has_pip and shutil.which("uv") is not None


def _pip(verb: str) -> str:
    if _uses_uv():
        return f"uv pip {verb} --python {python_command()}"
    return f"{python_command()} -m pip {verb}"


def install_system_package(apt: str, dnf: str) -> str:
    """Return the command that installs a package of the system, by its names; empty on other systems."""
    sudo = "" if not hasattr(os, "geteuid") or os.geteuid() == 0 else "sudo "
    for manager, name in (("apt-get", apt), ("dnf", dnf), ("yum", dnf)):
        if shutil.which(manager):
            update = f"{sudo}apt-get update && " if manager == "apt-get" else ""
            return f"{update}{sudo}{manager} install -y {name}"
    return ""
