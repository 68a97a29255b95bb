"""The benchmarks import only what exists, also in the programs that they run in other processes."""

import ast
from importlib import import_module
from importlib.util import find_spec

import pytest
from support.scripts import ROOT


def _imports(source):
    tree = ast.parse(source)
    # What is imported where another import has failed is of older versions.
    old = {id(n) for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) for n in ast.walk(node)}
    for node in (node for node in ast.walk(tree) if id(node) not in old):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hubtune"):
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nfrom hubtune" in node.value:
            yield from _imports(node.value)


@pytest.mark.parametrize("script", sorted(path.name for path in ROOT.glob("benchmarks/*.py")))
def test_imported_names_exist(script):
    for module, name in _imports((ROOT / "benchmarks" / script).read_text("utf-8")):
        is_there = hasattr(import_module(module), name) or find_spec(f"{module}.{name}")
        assert is_there, f"{module} has no {name}"
