"""Cures are commands that work as they are written, with the Python that runs hubtune."""

import os
import subprocess
import sys

import pytest
from support.scripts import ROOT

from hubtune import extras
from hubtune.doctor import cures
from hubtune.text import set_variable, unset_variable


def test_the_python_of_a_command_is_the_one_that_runs(monkeypatch):
    monkeypatch.setattr(extras.shutil, "which", lambda name: None)
    assert cures.pip_install("pillow>=11.3", "rich") == (
        f'{extras.python_command()} -m pip install --upgrade "pillow>=11.3" rich'
    )
    assert sys.executable in extras.python_command()
    monkeypatch.setattr(extras.shutil, "which", lambda name: sys.executable if name == "python" else None)
    assert cures.pip_reinstall("pillow") == (
        "python -m pip install --upgrade --force-reinstall --no-deps pillow"
    )
    assert cures.pip_uninstall("a", "b") == "python -m pip uninstall -y a b"


def test_paddle_can_be_imported_after_a_cure_was_made():
    program = "from hubtune.doctor import cures; cures.pip_install('rich'); import paddle"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_uv_installs_where_there_is_no_pip(monkeypatch):
    monkeypatch.setattr(extras, "_has_pip", lambda: False)
    monkeypatch.setattr(extras.shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    assert cures.pip_install("rich").startswith("uv pip install --python ")
    assert cures.pip_uninstall("rich").startswith("uv pip uninstall --python ")
    assert " -y" not in cures.pip_uninstall("rich")


def test_pipx_runs_pip_in_its_environment(monkeypatch, tmp_path):
    (tmp_path / "pipx_metadata.json").write_text("{}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    run = f"pipx runpip {tmp_path.name}"
    assert cures.pip_install("rich>=13") == f'{run} install --upgrade "rich>=13"'
    assert cures.pip_reinstall("pillow") == (f"{run} install --upgrade --force-reinstall --no-deps pillow")
    assert cures.pip_uninstall("a", "b") == f"{run} uninstall -y a b"


def test_a_tool_of_uv_gets_packages_beside_others_that_the_same_examination_names(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "_has_pip", lambda: False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "uv-receipt.toml").write_text('[tool]\nrequirements = [{ name = "hubtune" }]\n')
    assert extras.install_command("rich").startswith("uv tool install --with ")
    assert cures.install_beside("rich") == f"uv pip install --python {extras.python_command()} rich"
    (tmp_path / "pipx_metadata.json").touch()
    assert cures.install_beside("rich") == f"pipx inject {tmp_path.name} rich"


def test_system_packages_are_installed_by_the_manager_that_is_there(monkeypatch):
    monkeypatch.setattr(cures.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(cures.shutil, "which", lambda name: name if name == "dnf" else None)
    assert cures.install_system_package("a", "b") == "sudo dnf install -y b"
    monkeypatch.setattr(cures.shutil, "which", lambda name: None)
    assert cures.install_system_package("a", "b") == ""


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_variables_are_set_and_unset_by_the_shell():
    line = f"{set_variable('A', '1')}; {unset_variable('B', 'C')}; echo $A-$B-$C"
    done = subprocess.run(["sh", "-c", line], env={"B": "2", "C": "3"}, capture_output=True, check=True)
    assert done.stdout == b"1--\n"
