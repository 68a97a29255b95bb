"""The option ``--lang``, which may stand anywhere on the command line."""

import os
from collections.abc import Sequence

from hubtune.errors import UsageError
from hubtune.messages.catalogue import LANGUAGES, VARIABLE, language_of

_OPTION = "--lang"


def chosen_language(arguments: Sequence[str]) -> list[str]:
    """Set the language that the arguments choose, and return the others.

    It is set before the arguments are parsed, so that mistakes in them are in it too, and in the environment,
    so that the processes that hubtune starts have it.

    Raises:
        UsageError: the language is not one of :data:`~hubtune.messages.catalogue.LANGUAGES`.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    others: list[str] = []
    options = iter(arguments[:end])
    for argument in options:
        name, equals, value = argument.partition("=")
        if name != _OPTION:
            others.append(argument)
            continue
        wanted = value if equals else next(options, "")
        if (code := language_of(wanted)) is None:
            languages = " or ".join(LANGUAGES)
            raise UsageError(f"{_OPTION} is {languages}, not '{wanted}'")
        os.environ[VARIABLE] = code
    return [*others, *arguments[end:]]
