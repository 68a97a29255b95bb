"""Commands run in this process, one click function at a time."""

from click import Command
from click.testing import CliRunner, Result

from hubtune.errors import HubtuneError


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
