"""hubtune installed by pipx and uv, in an empty folder: commands in its messages work as printed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.images import draw_tree
from support.scripts import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="runs the commands in a POSIX shell"),
]
# Read now: the tests have a home of their own, without the caches of pip and uv.
_HOME = os.environ.get("HOME", "")
_INSTALL = {"pipx": ("pipx", "install"), "uv": ("uv", "tool", "install")}
_SECONDS = 600
_FIND_RICH = "find '{}' -path '*/site-packages/rich' -type d"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: the build must not write into the sources.
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("hubtune", "recipes", "datasets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source]
    made = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": _HOME}
    )
    if made.returncode:
        pytest.skip(f"no wheel can be built: {made.stderr.strip().splitlines()[-1:]}")
    return next(folder.glob("*.whl"))


@pytest.fixture(params=_INSTALL)
def tool(request, wheel, tmp_path):
    """hubtune as installed; ``sh(line)`` runs a line in an empty folder, with hubtune on the path."""
    program = request.param
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program}: pip install {program}")
    variables = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PIPX_HOME": tmp_path / "pipx",
        "PIPX_BIN_DIR": tmp_path / "bin",
        "PIPX_MAN_DIR": tmp_path / "man",
        "UV_TOOL_DIR": tmp_path / "uv",
        "UV_TOOL_BIN_DIR": tmp_path / "bin",
        "HOME": _HOME,
        "NO_COLOR": "1",
        "PYTHONPATH": "",
    }
    empty = tmp_path / "empty"
    empty.mkdir()

    def sh(line):
        return subprocess.run(
            ["sh", "-c", line],
            cwd=empty,
            env={**os.environ, **{name: str(value) for name, value in variables.items()}},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
        )

    installed = sh(f"{' '.join(_INSTALL[program])} '{wheel}'")
    assert installed.returncode == 0, installed.stderr
    return SimpleNamespace(sh=sh, empty=empty, program=program)


def _command_in(done, pattern):
    """Run what fails for lack of a package, and return the command in its message."""
    assert done.returncode == 5, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    found = re.search(pattern, done.stderr)
    assert found, done.stderr
    return found[1]


def _works(done):
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_everything_that_is_missing_is_added_by_the_commands_that_are_printed(tool, wheel):
    start = {"pipx": "pipx inject hubtune ", "uv": "uv tool install --with "}[tool.program]
    assert _works(tool.sh("hubtune --version")) == f"hubtune {wheel.name.split('-')[1]}\n"
    _works(tool.sh("hubtune recipe copy idol5"))
    assert (tool.empty / "recipes" / "idol5.yaml").is_file()
    examined = tool.sh("hubtune doctor --json")
    checks = {check["name"]: check for check in json.loads(examined.stdout)["checks"]}
    assert examined.returncode == 8
    assert [name for name, check in checks.items() if check["state"] == "bad"] == ["paddle"]
    assert checks["paddle"]["cure"].startswith(start)

    demo = tool.sh("hubtune demo")
    command = _command_in(demo, r"PaddlePaddle is not installed: (.*); for a GPU")
    assert command == checks["paddle"]["cure"]
    _works(tool.sh(command))
    _works(tool.sh("hubtune doctor"))
    assert "hubtune-demo/predictions.png" in _works(tool.sh("hubtune demo"))

    command = _command_in(tool.sh("hubtune tune recipes/idol5.yaml"), r"needs optuna \(.*\): (.*)$")
    assert command.startswith(start)
    _works(tool.sh(command))
    draw_tree(tool.empty / "pics", {"a": 4, "b": 4})
    done = tool.sh("hubtune finetune pics --log tensorboard -o module=digitnet -o module.weights=none")
    command = _command_in(done, r"tensorboardX cannot be used here \(.*\): (.*)$")
    _works(tool.sh(command))
    # Nothing that was added before has been lost.
    done = tool.sh("hubtune tune recipes/idol5.yaml")
    assert "optuna" not in done.stderr and "PaddlePaddle" not in done.stderr
    _works(tool.sh("hubtune doctor"))


def test_a_broken_package_is_mended_by_the_command_of_the_doctor(tool):
    [package] = (Path(path) for path in _works(tool.sh(_FIND_RICH.format(tool.empty.parent))).split())
    (package / "__init__.py").unlink()  # which may be a link into the cache of uv
    (package / "__init__.py").write_text("(")
    done = tool.sh("hubtune doctor --json")
    assert done.returncode == 8, done.stderr
    broken = {check["name"]: check for check in json.loads(done.stdout)["checks"]}["rich"]
    assert broken["state"] == "bad" and "rich" in broken["cure"]
    _works(tool.sh(broken["cure"]))
    checks = json.loads(tool.sh("hubtune doctor --json").stdout)["checks"]
    assert [check["name"] for check in checks if check["state"] == "bad"] == ["paddle"]
