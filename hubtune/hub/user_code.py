"""Runs code that is not hubtune's, and explains its errors; called only if the user has allowed it."""

import ast
import contextlib
import hashlib
import importlib
import os
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from hubtune.errors import HubtuneError, ModelError
from hubtune.storage.regular_file import read_regular

_LONGEST = 300  # of an error's description, characters


@dataclass(frozen=True)
class UserCode:
    """The code of a module, which was read once, so that what runs is what was checked.

    Attributes:
        start: the file that runs first.
        files: name → content of this file, and of the files of its folder that it imports.
    """

    start: Path
    files: Mapping[str, bytes]

    @property
    def content(self) -> bytes:
        """What identifies the code: the first file alone, or names, sizes and contents of all."""
        if len(self.files) == 1:
            return self.files[self.start.name]
        parts = (f"{name}\0{len(text)}\0".encode() + text for name, text in sorted(self.files.items()))
        return b"".join(parts)


def read_code(start: Path, names: Collection[str] | None = None) -> UserCode:
    """Read a file of code, and the ``.py`` files of its folder that it imports, directly or by others.

    ``names`` are the files of the folder that may be used; default: all.

    Raises:
        ModelError: a file cannot be read.
    """
    files: dict[str, bytes] = {}
    waiting = [start.name]
    while waiting:
        name = waiting.pop()
        try:
            files[name] = read_regular(start.parent / name)
        except OSError as error:
            raise ModelError(f"{start.parent / name} cannot be read: {error.strerror}") from error
        for imported in _imported_names(files[name]):
            sibling = f"{imported}.py"
            known = (start.parent / sibling).is_file() if names is None else sibling in names
            if known and sibling not in files and imported not in sys.stdlib_module_names:
                waiting.append(sibling)
    return UserCode(start, files)


def run_code(code: UserCode) -> ModuleType:
    """Run code inside :func:`explain_errors`, and return the module that its first file makes.

    No file is read again. Imports of its other files work as in a script and as in a package: ``import
    layers``, ``from layers import Block``, ``from .layers import Block``.
    """
    # The name depends on the content: changed code is another module, and other modules' files of the same
    # names do not meet.
    name = f"hubtune_foreign_{hashlib.sha256(code.content).hexdigest()[:16]}"
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        del sys.modules[known]
    package = ModuleType(name)
    package.__path__ = []
    sys.modules[name] = package
    _FINDER.sources[name] = code
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    return importlib.import_module(f"{name}.{code.start.stem}")


class _Finder(MetaPathFinder, Loader):
    """Imports code that was read, under the name of its package.

    Not Python's own loader, which would leave ``__pycache__`` in the folder, and read the files once more.
    """

    def __init__(self) -> None:
        self.sources: dict[str, UserCode] = {}

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, stem = fullname.rpartition(".")
        code = self.sources.get(package)
        if code is None or f"{stem}.py" not in code.files:
            return None
        spec = ModuleSpec(fullname, self, origin=str(code.start.parent / f"{stem}.py"))
        spec.has_location = True  # sets __file__
        return spec

    def exec_module(self, module: ModuleType) -> None:
        package, _, stem = module.__name__.rpartition(".")
        code = self.sources[package]
        tree = ast.parse(code.files[f"{stem}.py"], str(module.__file__))
        siblings = {name.removesuffix(".py") for name in code.files}
        relative = ast.fix_missing_locations(_RelativeImports(siblings).visit(tree))
        exec(compile(relative, str(module.__file__), "exec"), vars(module))  # noqa: S102


_FINDER = _Finder()


class _RelativeImports(ast.NodeTransformer):
    """Turns imports of files of the same folder into those of a package, which keep their lines."""

    def __init__(self, siblings: Collection[str]) -> None:
        self._siblings = siblings

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        own = [alias for alias in node.names if alias.name in self._siblings]
        others = [alias for alias in node.names if alias not in own]
        statements: list[ast.stmt] = []
        if own:
            statements.append(ast.copy_location(ast.ImportFrom(None, own, 1), node))
        if others:
            statements.append(ast.copy_location(ast.Import(others), node))
        return statements

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if not node.level and node.module in self._siblings:
            node.level = 1
        return node


def _imported_names(code: bytes) -> set[str]:
    """Return the first parts of the names that code imports; none if it is not Python, which running says."""
    try:
        nodes = [*ast.walk(ast.parse(code))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level <= 1:
            names |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.partition(".")[0] for name in names}


@contextlib.contextmanager
def explain_errors(file: Path, advice: str = "correct it") -> Iterator[None]:
    """Turn whatever foreign code raises into one sentence, with the line in its file, or in one beside it.

    Raises:
        ModelError: the code in the block raised an exception, or tried to end the process.
    """
    try:
        yield
    except HubtuneError:
        raise
    # Foreign code can raise anything, and some scripts call exit().
    except (Exception, SystemExit) as error:
        place, line = str(file), None
        for frame in traceback.extract_tb(error.__traceback__):
            if os.path.dirname(frame.filename) == str(file.parent):  # noqa: PTH120
                place, line = frame.filename, frame.lineno
        if isinstance(error, SyntaxError):
            place, line = error.filename or place, error.lineno
        where = f" in line {line}" if line else ""
        raise ModelError(f"{place} failed{where} ({describe_exception(error)}): {advice}") from error


def describe_exception(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST]
