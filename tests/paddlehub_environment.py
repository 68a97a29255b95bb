"""The Python that runs real PaddleHub 2.4, for the tests that need it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from functools import cache
from pathlib import Path

import pytest

_PROJECT = Path(__file__).parent.parent / "pyproject.toml"
# Read now: the tests have a home of their own.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hubtune-tests"


@cache
def paddlehub_python() -> Path:
    """Return the Python that ``HUBTUNE_PADDLEHUB_PYTHON`` names, or make an environment (about 2 GB) once.

    Skips the test, with the reason, where PaddleHub cannot be installed.
    """
    named = os.environ.get("HUBTUNE_PADDLEHUB_PYTHON")
    if named:
        return Path(named)
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    cpu = [requirement for requirement in extras["cpu"] if requirement.startswith("paddlepaddle")]
    wanted = [*project["dependencies"], *cpu, *extras["paddlehub"]]
    digest = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = _CACHE / f"paddlehub-{digest}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        made = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True, check=False
        )
        if made.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            reason = made.stderr.strip().splitlines()[-1:]
            pytest.skip(f"HUBTUNE_PADDLEHUB_PYTHON is not set, and PaddleHub cannot be installed: {reason}")
        (folder / "complete").touch()
    return python
