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
