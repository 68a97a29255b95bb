"""Options that several commands share are the same in all of them."""

from importlib import import_module

import click
import pytest

import hubtune
from hubtune.cli.commands import hubtune_command
from hubtune.cli.options import parse_weights
from hubtune.data.splits.files import Split
from hubtune.errors import UsageError

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


def _parameters(command, name="hubtune"):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            yield from _parameters(command.get_command(context, each), f"{name} {each}")
    else:
        yield from ((f"{name} {parameter.name}", parameter) for parameter in command.params)


def test_every_path_of_every_command_refuses_addresses_or_is_a_run_that_may_be_in_a_bucket():
    paths = {name: each for name, each in _parameters(hubtune_command) if isinstance(each.type, click.Path)}
    assert len(paths) > 25
    runs = set()
    for name, parameter in paths.items():
        for address in ("s3://b/x", "gs://b/x", "https://h/x", "s3:/b/x"):
            try:
                assert parameter.type.convert(address, parameter, None) == address == "s3://b/x"
                runs.add(name.removeprefix("hubtune "))
            except UsageError as error:
                assert "is an address, and this must be a path on this machine" in str(error)
    assert runs == {
        *("data pack out", "split out"),
        *("compare runs", "evaluate run", "explain model", "export run"),
        *("model edit model", "predict model", "report run", "serve runs", "suggest model"),
    }


def test_python_refuses_addresses_where_it_writes_and_reads_paths(tmp_path):
    address = "s3://b/x"
    calls = [
        lambda: hubtune.Module(address),
        lambda: hubtune.Module("smallnet", weights=address),
        lambda: hubtune.ListDataset(address),
        lambda: hubtune.export_model(None, address, "onnx"),
        lambda: Split([], []).write(address),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="is an address"):
            call()
