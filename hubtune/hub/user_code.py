"""Runs code that is not hubtune's, and explains its errors; called only if the user has allowed it."""

import contextlib
import hashlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from hubtune.errors import HubtuneError, ModelError

_LONGEST = 300  # of an error's description, characters


def run_code(file: Path, code: bytes) -> ModuleType:
    """Run the code of a file, inside :func:`explain_errors`, and return the module that it makes.

    The file is not read again, so that what runs is what the caller has checked.
    """
    # The name depends on the content: changed code is another module.
    module = ModuleType(f"hubtune_foreign_{hashlib.sha256(code).hexdigest()[:16]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses and inspect look their module up there
    # Not an import, which would leave __pycache__ in the folder, and read the file once more.
    exec(compile(code, str(file), "exec"), vars(module))  # noqa: S102
    return module


@contextlib.contextmanager
def explain_errors(file: Path, advice: str = "correct it") -> Iterator[None]:
    """Turn whatever foreign code raises into one sentence, with the line in its file.

    Raises:
        ModelError: the code in the block raised an exception, or tried to end the process.
    """
    try:
        yield
    except HubtuneError:
        raise
    # Foreign code can raise anything, and some scripts call exit().
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(file)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        place = f" in line {line}" if line else ""
        raise ModelError(f"{file} failed{place} ({describe_exception(error)}): {advice}") from error


def describe_exception(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST]
