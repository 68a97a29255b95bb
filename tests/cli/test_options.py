"""Options that several commands share are the same in all of them."""

from importlib import import_module

from hubtune.cli.options import parse_weights

ENGINES = "classify embed predict evaluate"
SHARED = {
    **dict.fromkeys(("--batch-size", "--engine", "--device"), ENGINES),
    "--module": "classify embed",
    "--weights": "classify embed evaluate scan split",
    "--trust-code": "classify embed predict finetune",
    "-o": "finetune tune",
}


def test_a_shared_option_has_one_help_and_one_default():
    for name, modules in SHARED.items():
        commands = [import_module(f"hubtune.cli.{module}").command for module in modules.split()]
        options = [option for command in commands for option in command.params if name in option.opts]
        assert len(options) == len(commands), name
        assert len({(option.help, str(option.default), option.metavar) for option in options}) == 1, name
    # None is random weights.
    assert [parse_weights(text) for text in ("none", "official", "a")] == [None, "official", "a"]
