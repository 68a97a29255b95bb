<<<<<<< HEAD
"""Options that several commands have mean the same in each of them."""

import json

import click
import pytest
from click.testing import CliRunner

from hubtune.cli import options
from hubtune.recipe.choices import ENGINES


@click.command()
@options.batch_size_option
@options.device_option
@options.engine_option
@options.overrides_option
@options.trust_option
@options.module_option
@options.weights_option
def show(**values):
    click.echo(json.dumps(values))


def test_defaults():
    values = json.loads(CliRunner().invoke(show, ["--module", "m"]).output)
    assert [values[name] for name in ("batch_size", "device", "engine", "module")] == [
        32,
        "auto",
        "auto",
        "m",
    ]
    assert (values["overrides"], values["trust_code"], values["weights"]) == ([], False, "official")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_of_a_recipe_is_an_option(engine):
    assert CliRunner().invoke(show, ["--module", "m", "--engine", engine]).exit_code == 0


def test_weights_are_named_official_or_none():
    assert [options.parse_weights(text) for text in ("official", "w.pdparams", "none")] == [
        *("official", "w.pdparams", None),
    ]
=======
"""Options that several commands share are the same in all of them."""

import click
import pytest

from hubtune.cli.classify import command as classify
from hubtune.cli.embed import command as embed
from hubtune.cli.finetune import command as finetune
from hubtune.cli.options import parse_weights
from hubtune.cli.predict import command as predict
from hubtune.cli.tune import command as tune


@pytest.mark.parametrize(
    ("text", "weights"), [("none", None), ("official", "official"), ("a.pdparams", "a.pdparams")]
)
def test_none_means_random_weights(text, weights):
    assert parse_weights(text) == weights


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("--batch-size", (classify, embed, predict)),
        ("--engine", (classify, embed, predict)),
        ("--device", (classify, embed, predict)),
        ("--module", (classify, embed)),
        ("--weights", (classify, embed)),
        ("--trust-code", (classify, embed, predict, finetune)),
        ("-o", (finetune, tune)),
    ],
)
def test_a_shared_option_has_one_help_and_one_default(name: str, commands: tuple[click.Command, ...]):
    options = [option for command in commands for option in command.params if name in option.opts]
    assert len(options) == len(commands)
    assert len({(option.help, str(option.default), option.metavar) for option in options}) == 1
>>>>>>> main
