"""What must not drift: imports point down, and Paddle stays out of what does not need it."""

import ast
import subprocess
import sys
from pathlib import Path

import hubtune

ROOT = Path(hubtune.__file__).parent

# A package, or a file of the root, imports only from earlier bands, and from itself.
BANDS = (
    ("errors", "log", "text", "rng"),
    ("storage", "models"),
    ("recipe", "hardware"),
    ("data",),
    ("hub", "evaluation"),
    ("runs",),
    ("inference",),
    ("report", "compat", "export"),
    ("train",),
    ("task",),
    ("tuning", "demo", "paddlehub"),
    ("cli",),
    ("__main__",),
)
WITHOUT_PADDLE = ("errors", "log", "text", "rng", "storage", "recipe", "data")
BAND_OF = {name: number for number, names in enumerate(BANDS) for name in names}


def _modules() -> dict[str, Path]:
    """Name below ``hubtune`` → file."""
    files = [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}


def _band(name: str) -> int:
    return BAND_OF[name.partition(".")[0]]


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


def test_every_package_has_a_band():
    assert {name.partition(".")[0] for name in _modules()} == set(BAND_OF)


def test_packages_import_from_earlier_bands_only():
    for name, path in _modules().items():
        for other in _imports(path):
            same = name.partition(".")[0] == other.partition(".")[0]
            assert same or _band(other) < _band(name), f"{name} imports {other}"


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


def test_storage_recipes_and_data_work_without_paddle():
    names = [
        f"hubtune.{name}"
        for name in _modules()
        if "__init__" not in name and name.partition(".")[0] in WITHOUT_PADDLE
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
