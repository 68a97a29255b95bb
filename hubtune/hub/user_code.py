"""Running code that is not hubtune's; called only where a person has said that it may run."""

import contextlib
import hashlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from hubtune.errors import HubtuneError, ModelError

_LONGEST = 300


def run(file: Path, code: bytes) -> ModuleType:
    """Run a Python file, inside :func:`told`, and return the module that it makes.

    Args:
        file: where the code is from, for messages and for the code itself.
        code: what is run; not read from the file again, so that it is surely what the caller knows.
    """
    # The name is new for each content: code that was changed is another module.
    module = ModuleType(f"hubtune_foreign_{hashlib.sha256(code).hexdigest()[:16]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses and inspect look their module up there
    # Not an import, which would leave __pycache__ in the folder, and read the file once more.
    exec(compile(code, str(file), "exec"), vars(module))  # noqa: S102
    return module


@contextlib.contextmanager
def told(file: Path, advice: str = "mend it") -> Iterator[None]:
    """Tell whatever foreign code raises in a sentence, with the line in its file.

    Raises:
        ModelError: the code in the block raised something, or ended the process.
    """
    try:
        yield
    except HubtuneError:
        raise
    # It can raise anything, and a script calls exit() where it knows no better.
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(file)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        place = f" in line {line}" if line else ""
        raise ModelError(f"{file} failed{place} ({in_short(error)}): {advice}") from error


def in_short(error: BaseException) -> str:
    """Return an error of any kind as a few words on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST]
