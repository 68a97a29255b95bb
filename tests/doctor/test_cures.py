"""Cures are commands that work as they are written, with the Python that runs hubtune."""

import os
import subprocess
import sys

import pytest
from support.scripts import ROOT

from hubtune.doctor import cures


def test_the_python_of_a_command_is_the_one_that_runs(monkeypatch):
    monkeypatch.setattr(cures.shutil, "which", lambda name: None)
    assert cures.pip_install("pillow>=11.3", "rich") == (
        f'{cures.python_command()} -m pip install --upgrade "pillow>=11.3" rich'
    )
    assert sys.executable in cures.python_command()
    monkeypatch.setattr(cures.shutil, "which", lambda name: sys.executable if name == "python" else None)
    assert cures.pip_reinstall("pillow") == (
        "python -m pip install --upgrade --force-reinstall --no-deps pillow"
    )
    assert cures.pip_uninstall("a", "b") == "python -m pip uninstall -y a b"


def test_paddle_can_be_imported_after_a_cure_was_made():
    program = "from hubtune.doctor import cures; cures.pip_install('rich'); import paddle"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_uv_installs_where_there_is_no_pip(monkeypatch):
    monkeypatch.setattr(cures, "distributions", lambda **name: [])
    monkeypatch.setattr(cures.shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    assert cures.pip_install("rich").startswith("uv pip install --python ")
    assert cures.pip_uninstall("rich").startswith("uv pip uninstall --python ")


def test_system_packages_are_installed_by_the_manager_that_is_there(monkeypatch):
    monkeypatch.setattr(cures.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(cures.shutil, "which", lambda name: name if name == "dnf" else None)
    assert cures.install_system_package("a", "b") == "sudo dnf install -y b"
    monkeypatch.setattr(cures.shutil, "which", lambda name: None)
    assert cures.install_system_package("a", "b") == ""


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_variables_are_set_and_unset_by_the_shell():
    line = f"{cures.set_variable('A', '1')}; {cures.unset_variable('B', 'C')}; echo $A-$B-$C"
    done = subprocess.run(["sh", "-c", line], env={"B": "2", "C": "3"}, capture_output=True, check=True)
    assert done.stdout == b"1--\n"
