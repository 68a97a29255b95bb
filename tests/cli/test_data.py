"""``hubtune data``: its commands and their help."""

from support.commands import invoke

from hubtune.cli.data import command


def test_each_command_is_named_and_explains_itself():
    for name in ("preview", "cifar"):
        assert f"\n  {name}  " in invoke(command, "--help").output
        assert f"hubtune data {name} " in invoke(command, name, "--help").output
    assert "No such command 'previeww'" in invoke(command, "previeww").output
