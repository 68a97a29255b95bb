"""Commands run in this process: one click function at a time, or a whole command line."""

import json
from typing import Any, Protocol

from click import Command
from click.testing import CliRunner, Result

from hubtune.errors import HubtuneError


class Finished(Protocol):
    """What is known of a command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def json_of(done: Finished) -> dict[str, Any]:
    """Return the document that a successful command printed under ``--json``."""
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    return document


def options(*overrides: str) -> tuple[str, ...]:
    """Return ``-o`` options: ``options("a=1", "b=2")`` → ``("-o", "a=1", "-o", "b=2")``."""
    return tuple(word for override in overrides for word in ("-o", override))


def invoke(command: Command, *arguments: object) -> Result:
    """Run a command; what it raises is in the result's ``exception``."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def output_of(command: Command, *arguments: object) -> Result:
    """Run a command that succeeds."""
    result = invoke(command, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refusal(code: int, command: Command, *arguments: object) -> str:
    """Run a command that hubtune refuses with an exit code, and return the message."""
    result = invoke(command, *arguments)
    assert isinstance(result.exception, HubtuneError), result.output
    assert result.exception.exit_code == code
    return str(result.exception)
