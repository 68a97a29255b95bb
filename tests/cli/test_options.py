"""Options that several commands share are the same in all of them."""

from importlib import import_module

import pytest

from hubtune.cli.options import parse_weights


def test_none_means_random_weights():
    assert [parse_weights(text) for text in ("none", "official", "a")] == [None, "official", "a"]


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("--batch-size", "classify embed predict evaluate"),
        ("--engine", "classify embed predict evaluate"),
        ("--device", "classify embed predict evaluate"),
        ("--module", "classify embed"),
        ("--weights", "classify embed evaluate scan split"),
        ("--trust-code", "classify embed predict finetune"),
        ("-o", "finetune tune"),
    ],
)
def test_a_shared_option_has_one_help_and_one_default(name, commands):
    commands = [import_module(f"hubtune.cli.{command}").command for command in commands.split()]
    options = [option for command in commands for option in command.params if name in option.opts]
    assert len(options) == len(commands)
    assert len({(option.help, str(option.default), option.metavar) for option in options}) == 1
