"""Commands run in this process: one click function at a time, or a whole command line."""

import json
import os

import pytest
from click.testing import CliRunner

from hubtune.cli.language import chosen_language
from hubtune.errors import HubtuneError
from hubtune.messages.catalogue import VARIABLE


def json_of(done):
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    return document


def options(*overrides):
    """Return ``-o`` options: ``options("a=1", "b=2")`` → ``("-o", "a=1", "-o", "b=2")``."""
    return tuple(word for override in overrides for word in ("-o", override))


def invoke(command, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, os.environ.get(VARIABLE, "en"))  # put back where --lang sets it
        return CliRunner().invoke(command, chosen_language([str(argument) for argument in arguments]))


def output_of(command, *arguments):
    result = invoke(command, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refusal(code, command, *arguments):
    result = invoke(command, *arguments)
    assert isinstance(result.exception, HubtuneError), result.output
    assert result.exception.exit_code == code
    return str(result.exception)
