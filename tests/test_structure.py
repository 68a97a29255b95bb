"""What must not drift: imports point down, and Paddle stays out of what does not need it."""

import ast
import subprocess
import sys
from pathlib import Path

import hubtune

ROOT = Path(hubtune.__file__).parent

# The longest prefix decides. A module imports only from lower levels, or from its own package.
LEVELS = {
    "components": 0,
    "errors": 0,
    "files": 0,
    "log": 0,
    "randomness": 0,
    "recipe": 1,
    "plots": 1,
    "sealed": 1,
    "evaluate": 1,
    "hub.cache": 1,
    "hub.download": 1,
    "train.history": 1,
    "data": 2,
    "data.sources": 3,
    "features": 2,
    "hub.safe_load": 2,
    "machine": 2,
    "models": 2,
    "strategies": 2,
    "hub": 3,
    "features.program": 3,
    "features.engine": 3,
    "train": 3,
    "scores": 4,
    "model": 5,
    "trunk": 5,
    "foreign": 6,
    "frozen": 6,
    "room": 6,
    "training": 6,
    "suspects": 6,
    "session": 7,
    "task": 8,
    "export": 9,
    "report": 9,
    "offers": 9,
    "bench": 10,
    "paddlehub": 9,
    "choices": 8,
    "study": 9,
    "folds": 9,
    "tune": 10,
    "demo": 10,
    "cli": 11,
    "__main__": 12,
}


def _modules() -> dict[str, Path]:
    """Name below ``hubtune`` → file."""
    files = [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}


def _level(name: str) -> int:
    parts = name.split(".")
    return next(
        LEVELS[prefix]
        for length in range(len(parts), 0, -1)
        if (prefix := ".".join(parts[:length])) in LEVELS
    )


def _imports(path: Path) -> set[str]:
    """All modules of hubtune that a file imports anywhere, below ``hubtune``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.removeprefix("hubtune.") for name in names if name and name.startswith("hubtune.")}
    return found & set(_modules())


def test_every_module_has_a_level():
    for name, path in _modules().items():
        if path.name != "__init__.py":
            _level(name)


def test_imports_point_down():
    for name, path in _modules().items():
        for other in _imports(path):
            same_package = "." in name and name.split(".")[0] == other.split(".")[0]
            assert _level(other) < _level(name) or same_package, f"{name} imports {other}"


def test_no_module_imports_itself_through_others():
    graph = {name: _imports(path) for name, path in _modules().items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_package_files_are_empty():
    for name, path in _modules().items():
        if path.name == "__init__.py":
            assert not path.read_bytes(), name


def test_lower_levels_work_without_paddle():
    names = [
        f"hubtune.{name}"
        for name in _modules()
        if "__init__" not in name and (_level(name) <= 1 or name.startswith("data."))
    ]
    assert len(names) > 10
    program = "import sys\nsys.modules['paddle'] = None\nimport hubtune\n" + "".join(
        f"import {n}\n" for n in names
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_public_names_exist_and_are_listed_once():
    assert sorted(hubtune.__all__) == sorted(set(hubtune.__all__))
    for name in hubtune.__all__:
        assert getattr(hubtune, name).__name__ == name
