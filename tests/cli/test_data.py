"""``hubtune data``: its commands and their help."""

import subprocess
import sys

import pytest
from support.commands import invoke

from hubtune.cli.data import command


def test_help_names_the_commands_without_importing_them():
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom hubtune.cli.data import command\n"
        "print(CliRunner().invoke(command, ['--help']).output)\n"
        "assert not [name for name in sys.modules if name.startswith('hubtune.cli.data_')]\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    lines = output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines if line] == ["preview", "cifar"]


@pytest.mark.parametrize("name", ["preview", "cifar"])
def test_each_command_explains_itself(name):
    result = invoke(command, name, "--help")
    assert result.exit_code == 0
    assert f"hubtune data {name} " in result.output


def test_an_unknown_command_is_refused():
    result = invoke(command, "previeww")
    assert result.exit_code == 2
    assert "No such command 'previeww'" in result.output
