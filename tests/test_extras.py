"""The command that installs an extra names its packages, wherever hubtune was installed from."""

import sys
import tomllib

import pytest
from support.scripts import ROOT

from hubtune.extras import EXTRAS, install_extra


def test_the_table_agrees_with_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {name: tuple(own) for name, own in extras.items() if name not in ("gpu", "test")} == EXTRAS


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/ann/.venv", "pip install 'optuna>=4.9'"),
        ("/home/ann/.local/share/pipx/venvs/hubtune", "pipx inject hubtune 'optuna>=4.9'"),
        ("/home/ann/.local/share/uv/tools/hubtune", "uv pip install --python /py 'optuna>=4.9'"),
    ],
)
def test_the_command_is_that_of_the_installer(monkeypatch, prefix, command):
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "executable", "/py")
    assert install_extra("tune") == command
