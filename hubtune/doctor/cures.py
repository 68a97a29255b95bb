"""Commands that cure, as they work in this environment's shell and with its Python."""

import os
import shutil

from hubtune.extras import install_command, pip_command, pipx_environment, quoted_words, uses_uv

GPU_INDEX = "https://www.paddlepaddle.org.cn/packages/stable/{}/"
OTHER_PROCESSOR = "use another machine; in a virtual machine, give it the host's processor (QEMU: -cpu host)"


def pip_install(*requirements: str, options: str = "--upgrade") -> str:
    """Return the command that installs packages into the Python that runs hubtune.

    Packages that hubtune can do without, and that are missing, are better added by
    :func:`hubtune.extras.install_command`.
    """
    return f"{pip_command('install')} {options} {quoted_words(requirements)}".replace("  ", " ")


def install_beside(*requirements: str) -> str:
    """Return the command that adds packages, whatever other commands of this examination are run before."""
    # That of uv tool replaces what was added after it was printed.
    if pipx_environment() or not uses_uv():
        return install_command(*requirements)
    return pip_install(*requirements, options="")


def pip_reinstall(*distributions: str) -> str:
    """Return the command that replaces the files of packages, also where the version is the newest."""
    return pip_install(*distributions, options="--upgrade --force-reinstall --no-deps")


def pip_uninstall(*distributions: str) -> str:
    """Return the command that removes packages."""
    yes = " -y" if pipx_environment() or not uses_uv() else ""
    return f"{pip_command('uninstall')}{yes} {' '.join(distributions)}"


def install_system_package(apt: str, dnf: str) -> str:
    """Return the command that installs a package of the system, by its names; empty on other systems."""
    sudo = "" if not hasattr(os, "geteuid") or os.geteuid() == 0 else "sudo "
    for manager, name in (("apt-get", apt), ("dnf", dnf), ("yum", dnf)):
        if shutil.which(manager):
            update = f"{sudo}apt-get update && " if manager == "apt-get" else ""
            return f"{update}{sudo}{manager} install -y {name}"
    return ""
