"""``hubtune data``: its commands and their help."""

import pytest
from support.commands import invoke

from hubtune.cli.data import command


@pytest.mark.parametrize("name", ["preview", "cifar"])
def test_each_command_is_named_and_explains_itself(name):
    assert f"\n  {name}  " in invoke(command, "--help").output
    result = invoke(command, name, "--help")
    assert result.exit_code == 0
    assert f"hubtune data {name} " in result.output


def test_an_unknown_command_is_refused():
    result = invoke(command, "previeww")
    assert result.exit_code == 2
    assert "No such command 'previeww'" in result.output
