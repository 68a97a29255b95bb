"""The program as a whole: help that imports little, mistakes that get a sentence and an exit code."""

import json
import os
import subprocess
import sys

import pytest


def test_mistakes_get_a_sentence_and_their_exit_code(
    here, draw_photos, run_here, monkeypatch, assert_refused
):
    draw_photos(here / "pics", {"cat": 12, "dog": 12})
    (here / "empty").mkdir()
    no_module = "Error: There is no module 'resnet5_imagenet'. Did you mean 'resnet50_imagenet'?"
    no_key = "Error: -o train.epoch=3: unknown key 'train.epoch'. Did you mean 'train.epochs'?"
    random = "-o module.name=smallnet -o module.weights=none"
    cases = (
        ("finetune nowhere", 2, "Error: There is no nowhere: give a recipe"),
        ("finetune nowhere.yaml", 2, "Error: nowhere.yaml: there is no such file."),
        ("predict a.jpg", 4, "Error: There is no run here yet: start one with hubtune finetune"),
        ("predict a.jpg --model gone", 4, "Error: There is no run or model gone"),
        ("evaluate", 4, "Error: There is no run here yet"),
        ("tune pics -o module=resnet5_imagenet", 4, no_module),
        ("finetune pics -o train.epoch=3", 2, no_key),
        (f"finetune pics --device gpu:99 {random}", 5, "Error: "),
        ("split empty", 3, "Error: "),
        ("fine", 2, "Usage: "),
    )
    assert_refused(*cases)
    for arguments, code, _ in cases:
        as_json = run_here(*arguments.split(), "--json")
        assert json.loads(as_json.stdout)["error"]["exit_code"] == code
    # Official weights offline: the file to fetch, and its place.
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    weights = "finetune pics -o module=resnet50_imagenet"
    assert_refused((weights, 5, "bj.bcebos.com"), (weights, 5, "-o module.weights=FILE"))


def _python(*arguments):
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_of_every_command_imports_nothing_heavy_and_the_package_runs_as_a_program():
    program = (
        "import sys\n"
        "heavy = 'paddle numpy scipy PIL pydantic yaml rich sqlite3 filelock fsspec optuna'.split()\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"
        "import click; from hubtune.cli.commands import hubtune_command\n"
        "def show(command, name):\n"
        "    context = click.Context(command, info_name=name)\n"
        "    print(name, len(command.get_help(context)))\n"
        "    for inner in command.list_commands(context) if isinstance(command, click.Group) else ():\n"
        "        show(command.get_command(context, inner), f'{name} {inner}')\n"
        "show(hubtune_command, 'hubtune')"
    )
    shown = {line.rpartition(" ")[0] for line in _python("-c", program).splitlines()}
    assert {"hubtune", "hubtune split", "hubtune cache prune", "hubtune data preview"} <= shown
    assert _python("-m", "hubtune", "--version").startswith("hubtune ")


@pytest.mark.parametrize(
    "arguments", ["split pics", "scan pics", "data preview pics --augment strong --count 1", "cache ls"]
)
def test_commands_on_pictures_need_no_paddle(arguments, tmp_path, draw_photos, run_hubtune):
    draw_photos(tmp_path / "pics", {"cat": 10, "dog": 10}, size=8)
    (tmp_path / "paddle.py").write_text("raise AssertionError('Paddle was imported')")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = run_hubtune(*arguments.split(), cwd=tmp_path, PYTHONPATH=paths)
    assert done.returncode == 0, done.stderr


NAMES = """predict NAME.jpg --model NAME | predict NAME/*.jpg | predict NAME.jpg --csv NAME/x.csv
evaluate NAME | classify NAME.jpg --module NAME | embed NAME.jpg --module NAME -o x.csv
split NAME | split NAME.csv | split --from NAME | split table.csv | scan NAME | scan table.csv
finetune NAME | finetune NAME.yaml | tune NAME.yaml | data preview NAME | data cifar NAME --out x
recipe explain NAME.yaml | export NAME --format paddlehub -o x | import paddlehub NAME -o x
import paddleclas NAME.pdparams -o x | hub show NAME | hub pull NAME
hub import NAME.pdparams --as resnet18_imagenet"""


def test_a_name_in_a_message_is_shown_as_it_is_written(here, run_here):
    name = "没有 é 👩‍🔬"
    (here / "table.csv").write_text(f"path,label\n{name}.jpg,cat\n", encoding="utf-8")
    for line in NAMES.replace("\n", " | ").split(" | "):
        done = run_here(*(word.replace("NAME", name) for word in line.split()))
        assert done.returncode in (2, 3, 4), (line, done.stderr)
        assert name in done.stderr and "\\" not in done.stderr, (line, done.stderr)
