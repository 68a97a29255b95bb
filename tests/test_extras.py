"""The command that installs an extra names its packages, as the program that installed hubtune does it."""

import json
import os
import subprocess
import sys
import tomllib

import pytest
from support.scripts import ROOT

from hubtune import extras
from hubtune.extras import EXTRAS, install_command, install_extra, paddle_missing, update_command

WHEEL = "hubtune-0.2.0-py3-none-any.whl"


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """An environment with ``pip``, whose Python runs hubtune, first on the path; returns its folder."""
    folder = tmp_path / "venvs" / "hubtune"
    programs = folder / "bin"
    (folder / "lib" / "pip").mkdir(parents=True)
    (folder / "lib" / "pip" / "__init__.py").touch()
    programs.mkdir()
    for name in ("python", "pip"):
        file = programs / (f"{name}.exe" if os.name == "nt" else name)
        file.touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(folder))
    monkeypatch.setattr(sys, "executable", str(programs / ("python.exe" if os.name == "nt" else "python")))
    monkeypatch.setattr(sys, "path", [str(folder / "lib")])
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("PIPX_GLOBAL_HOME", raising=False)
    return folder


@pytest.fixture
def uv_receipt(environment):
    """Writes the receipt of ``uv tool``, whose environments have no pip."""
    (environment / "lib" / "pip" / "__init__.py").unlink()
    (environment / "bin" / ("pip.exe" if os.name == "nt" else "pip")).unlink()

    def write(*requirements, more=""):
        text = f"[tool]\nrequirements = [{', '.join(requirements)}]\n{more}\nentrypoints = []\n"
        (environment / "uv-receipt.toml").write_text(text, encoding="utf-8")
        return environment

    return write


def test_the_table_agrees_with_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {name: tuple(own) for name, own in extras.items() if name not in ("gpu", "test")} == EXTRAS


@pytest.mark.usefixtures("environment")
def test_in_an_environment_that_is_active_it_is_pip():
    assert install_extra("tune") == 'pip install "optuna>=4.9"'
    assert update_command("pillow") == "pip install --upgrade pillow"
    install = 'pip install "paddlepaddle>=3.1" "openvino>=2025.0" setuptools'
    assert paddle_missing().startswith(f"PaddlePaddle is not installed: {install}; for a GPU, ")


def test_in_another_one_it_names_the_python(environment, monkeypatch):
    monkeypatch.setenv("PATH", "")
    python = extras.python_command()
    assert str(environment) in python
    assert install_command("a", "b>=1") == f'{python} -m pip install a "b>=1"'


def test_pip_itself_is_installed_where_there_is_none(environment):
    (environment / "lib" / "pip" / "__init__.py").unlink()
    assert install_command("a") == "python -m ensurepip && python -m pip install a"


def test_an_environment_of_uv_has_uv(environment):
    (environment / "lib" / "pip" / "__init__.py").unlink()
    (environment / "bin" / ("uv.exe" if os.name == "nt" else "uv")).touch(mode=0o755)
    assert install_command("a[b]") == 'uv pip install --python python "a[b]"'


def test_pipx_injects_into_its_environment_and_runs_pip_there(environment, monkeypatch):
    (environment / "pipx_metadata.json").write_text("{}")
    assert install_extra("tune") == 'pipx inject hubtune "optuna>=4.9"'
    assert update_command("pillow") == "pipx runpip hubtune install --upgrade pillow"
    monkeypatch.setenv("PIPX_GLOBAL_HOME", str(environment.parents[1]))
    assert install_command("a") == "pipx inject --global hubtune a"


def test_uv_tool_names_what_was_installed_before(uv_receipt, tmp_path):
    (tmp_path / WHEEL).touch()
    wheel = json.dumps(str(tmp_path / WHEEL))
    uv_receipt('{ name = "hubtune" }')
    assert install_extra("tune") == 'uv tool install --with "optuna>=4.9" hubtune'
    uv_receipt(
        f'{{ name = "hubtune", extras = ["cpu", "serve"], path = {wheel} }}',
        '{ name = "fsspec", extras = ["s3"], specifier = ">=2024.2" }',
        '{ name = "optuna", specifier = ">=4.9" }',
        more='python = "3.12"',
    )
    assert install_extra("tune") == (
        'uv tool install --with "fsspec[s3]>=2024.2" --with "optuna>=4.9" --python 3.12 '
        f'"{tmp_path / WHEEL}[cpu,serve]"'
    )


def test_uv_tool_names_what_was_added_by_pip(uv_receipt):
    folder = uv_receipt('{ name = "hubtune", extras = ["serve"] }')
    for name in ("paddlepaddle-3.3.1", "pillow_heif-1.0", "starlette-0.40", "protobuf-7.0"):
        (folder / "lib" / f"{name}.dist-info").mkdir()
        text = f"Metadata-Version: 2.1\nName: {name.partition('-')[0]}\nVersion: {name.partition('-')[2]}\n"
        (folder / "lib" / f"{name}.dist-info" / "METADATA").write_text(text)
    assert install_extra("tune") == (
        'uv tool install --with "paddlepaddle>=3.1" --with "pillow-heif>=0.20" --with "optuna>=4.9" '
        '"hubtune[serve]"'
    )


def test_uv_installs_beside_a_tool_whose_source_cannot_be_named(uv_receipt, tmp_path):
    for entry, more in (
        (f'{{ name = "hubtune", path = {json.dumps(str(tmp_path / "gone.whl"))} }}', ""),
        ('{ name = "hubtune", git = "https://example.com/hubtune" }', ""),
        ('{ name = "hubtune", editable = "/work" }', ""),
        ('{ name = "hubtune" }, { name = "a", url = "https://example.com/a.whl" }', ""),
        ('{ name = "hubtune" }', 'options = { index-url = "https://example.com" }'),
        ("", ""),
    ):
        uv_receipt(entry, more=more)
        assert install_command("a") == f"uv pip install --python {extras.python_command()} a"
        assert update_command("a") == f"uv pip install --python {extras.python_command()} --upgrade a"


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_words_reach_a_program_as_they_are():
    words = ["a", "b>=1,<2", "c[d]", "/a b/c", "$HOME", "it's", 'say "x"', "`ls`", "x!y", "c; os_name > '3'"]
    line = extras.quoted_words([sys.executable, "-c", "import sys; print(sys.argv[1:])", *words])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(words)
