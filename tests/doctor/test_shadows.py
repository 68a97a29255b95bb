"""Files with the names of packages and of Python's modules are named, with the command that uncovers them."""

import os
import shlex
import subprocess
import sys

import pytest

from hubtune.doctor import shadows


@pytest.fixture
def first(monkeypatch, tmp_path):
    """A folder from which modules are imported first."""
    folder = tmp_path / "first folder"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def test_without_such_a_file_there_is_none(first):
    (first / "notes.txt").touch()
    (first / "json").mkdir()  # without __init__.py, Python's own comes first
    (first / "numpy.py").touch()  # no module of Python
    assert shadows.standard_shadow() is None


@pytest.mark.parametrize("name", ["json.py", "random/__init__.py"])
def test_a_module_of_python_that_is_hidden_is_found(first, name):
    (first / name).parent.mkdir(exist_ok=True)
    (first / name).touch()
    assert shadows.standard_shadow() == str(first / name.partition("/")[0])


def test_what_comes_after_python_s_own_library_hides_nothing(monkeypatch, tmp_path):
    (tmp_path / "json.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path / "gone")])
    assert shadows.standard_shadow() is None


def test_the_cure_takes_the_folder_out_of_pythonpath_or_renames_the_file(first, monkeypatch):
    file = first / "json.py"
    file.touch()
    if os.name != "nt":
        subprocess.run(shlex.split(shadows.shadow_cure(str(file))), check=True)
        assert [path.name for path in first.iterdir()] == ["my_json.py"]
    monkeypatch.setenv("PYTHONPATH", f"{first}{os.pathsep}/other")
    assert shadows.shadow_cure(str(file)) in ("unset PYTHONPATH", "set PYTHONPATH=")


def test_installed_packages_are_told_by_their_folder():
    assert shadows.is_beside_packages("/home/ann/.venv/lib/python3.12/site-packages/numpy/__init__.py")
    assert shadows.is_beside_packages(r"C:\env\Lib\site-packages\numpy\__init__.py")
    assert not shadows.is_beside_packages("/home/ann/my-site-packages/numpy.py")
