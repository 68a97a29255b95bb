"""The rules of the code's structure: bands of packages, names, sizes, and where some words may stand."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from support.strategies import STRATEGY_NAMES

import hubtune

ROOT = Path(hubtune.__file__).parent
PROJECT = Path(__file__).parents[1]
TESTS = Path(__file__).parent

# A package, or a file of the root, imports only from earlier bands, and from itself.
BANDS = (
    ("text", "rng"),
    ("messages", "extras"),
    ("errors", "log"),
    ("notebook",),
    ("ranks",),
    ("storage", "models"),
    ("recipe", "hardware"),
    ("data",),
    ("hub", "evaluation"),
    ("runs",),
    ("inference",),
    ("report", "compat"),
    ("train",),
    ("task",),
    ("tuning", "demo", "doctor", "estimator", "export", "serve"),
    ("paddlehub",),
    ("cli",),
    ("__main__",),
)
BAND_OF = {name: number for number, names in enumerate(BANDS) for name in names}
WITHOUT_PADDLE = ("errors", "log", "text", "rng", "notebook", "storage", "recipe", "data")

MOST_ROOT_FILES = 12
MOST_PARAMETERS = 8

# PaddleHub 1.x's names for hubtune's own things.
PADDLEHUB_NAMES = {
    *("Module", "RunConfig", "ImageClassifierTask", "BaseCVDataset", "DefaultStrategy", "CombinedStrategy"),
    *("DefaultFinetuneStrategy", "L2SPFinetuneStrategy", "AdamWeightDecayStrategy", "ULMFiTStrategy"),
}
# Identifiers that are keys in recipes and in files, or parts of PaddleHub's interface.
PUBLISHED_IDENTIFIERS = {"bad_pictures", "observer"}
# The other files of models/ are networks, which tests/models/test_catalog.py walks.
TESTED_MODELS = {
    f"models.{name}"
    for name in (
        *("backbone", "catalog", "classifier", "input_channels", "other_modules", "paddle_book"),
        *("second_order", "taps"),
    )
}
# Folders of tests that are not of a module: of the whole way, of the networks, and of files outside hubtune/.
OTHER_TESTS = {"end_to_end", "recorded", "models", "tools", "benchmarks"}
# The one place that runs a person's code.
EXEC_MODULES = {"hub.user_code"}


@cache
def _modules():
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    return {name: path for name, path in files.items() if name != "__init__"}


@cache
def _trees():
    """Name below ``hubtune`` → syntax tree; also of ``hubtune`` itself, whose name is empty."""
    files = {"": ROOT / "__init__.py", **_modules()}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}


def _package(name):
    return name.partition(".")[0]


@cache
def _imports(name):
    imported = set()
    for node in ast.walk(_trees()[name]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return {each.removeprefix("hubtune.") for each in imported if each[:8] == "hubtune."} & set(_modules())


def test_the_root_has_few_files_every_package_a_band_and_package_files_are_empty():
    assert len(list(ROOT.glob("*.py"))) <= MOST_ROOT_FILES
    assert {_package(name) for name in _modules()} == set(BAND_OF)
    packages = {name: path for name, path in _modules().items() if path.name == "__init__.py"}
    assert [name for name, path in packages.items() if path.read_bytes()] == ["paddlehub.__init__"]


def test_packages_import_from_earlier_bands_only():
    for name in _modules():
        for other in _imports(name):
            same = _package(name) == _package(other)
            assert same or BAND_OF[_package(other)] < BAND_OF[_package(name)], f"{name} imports {other}"


def test_no_module_imports_itself_through_others():
    done = set()

    def visit(name, above):
        assert name not in above, " → ".join((*above, name))
        if name not in done:
            for other in _imports(name):
                visit(other, (*above, name))
            done.add(name)

    for name in _modules():
        visit(name, ())


def test_storage_recipes_and_data_work_without_paddle():
    names = [name for name in _modules() if "__init__" not in name and _package(name) in WITHOUT_PADDLE]
    assert len(names) > 10
    imports = "".join(f"import hubtune.{name}\n" for name in names)
    program = f"import sys\nsys.modules['paddle'] = None\nimport hubtune\n{imports}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_public_names_exist_and_are_listed_once():
    assert sorted(hubtune.__all__) == sorted({name for names in hubtune._HOMES.values() for name in names})
    for module, names in hubtune._HOMES.items():
        defined = {getattr(node, "name", None) for node in _trees()[module.removeprefix("hubtune.")].body}
        assert set(names) <= defined, module
    assert hubtune.UsageError.__name__ == "UsageError"


def _functions(tree, above=""):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not isinstance(node, ast.ClassDef):
                yield above + node.name, node
            yield from _functions(node, f"{above}{node.name}.")
        else:
            yield from _functions(node, above)


def test_no_function_takes_many_parameters():
    # The network builders of models/ and the click commands of cli/ have one parameter an option.
    public = {f"{module}.{name}" for module, names in hubtune._HOMES.items() for name in names}
    trees = [item for item in _trees().items() if _package(item[0]) not in ("cli", "models", "paddlehub")]
    for name, tree in trees:
        for qualified, node in _functions(tree):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(argument.arg not in ("self", "cls") for argument in arguments)
            full = f"hubtune.{name}.{qualified}"
            assert count <= MOST_PARAMETERS or full.removesuffix(".__init__") in public, full


def test_no_public_name_is_defined_twice():
    nodes = [node for name, tree in _trees().items() if _package(name) != "models" for node in tree.body]
    homes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef))
    twice = {name for name, count in homes.items() if count > 1 and not name.startswith("_")}
    # A command's file has its click command as ``command``.
    assert twice <= {*PADDLEHUB_NAMES, "command"}


def test_every_module_has_its_test_at_the_same_path_and_other_tests_folders_of_their_own():
    for name, path in _modules().items():
        test = TESTS / path.relative_to(ROOT).with_name(f"test_{path.name}")
        walked = (_package(name) == "models" and name not in TESTED_MODELS) or name.startswith("hub.modules.")
        assert path.name in ("__init__.py", "__main__.py") or walked or test.exists(), name
    for path in TESTS.rglob("test_*.py"):
        inner = path.relative_to(TESTS)
        module = ROOT / inner.with_name(inner.name.removeprefix("test_"))
        assert inner.parts[0] in OTHER_TESTS or path == Path(__file__) or module.exists(), inner


def _strategy_tests(tree):
    names = STRATEGY_NAMES.split(", ")
    for node in ast.walk(tree):
        inner = [*ast.walk(node)]
        named = any(isinstance(child, ast.Constant) and child.value in names for child in inner)
        kinds = {child.id for child in inner if isinstance(child, ast.Name)}
        kind = any(name.endswith(("Strategy", "HeadSettings")) for name in kinds)
        if (
            (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance" and kind)
            or (isinstance(node, ast.Compare) and named)
            or (isinstance(node, ast.MatchValue | ast.MatchClass) and (named or kind))
        ):
            yield node.lineno


def test_strategies_are_told_apart_in_one_table_only():
    for name, tree in _trees().items():
        if _package(name) != "recipe" and name != "train.strategies":
            assert not [*_strategy_tests(tree)], name


def test_only_the_command_line_prints_and_only_user_code_is_executed():
    for name, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                allowed = {"print": _package(name) == "cli", "eval": False, "exec": name in EXEC_MODULES}
                assert allowed.get(node.func.id, True), f"{name}:{node.lineno}: {node.func.id}"


def _glossary():
    """The rows of the table in CONTRIBUTING.md: words to avoid, term, where."""
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("\n## Glossary\n")[2].partition("\n## ")[0]
    rows = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            assert cells[2] in ("identifiers", "prose", "both"), line
            words = tuple(word.lower() for word in re.findall(r"`([^`]+)`", cells[0]))
            rows.append((words, cells[1], cells[2]))
    return rows


def _identifiers(name, tree):
    names = set(name.split("."))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return names - PUBLISHED_IDENTIFIERS


def _words(identifier):
    """``_LabelIssue_of`` → ``label issue of``."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", identifier)).lower()


@pytest.mark.parametrize("where", ["identifiers", "prose"])
def test_words_of_the_glossary_are_avoided(where):
    patterns = [
        (re.compile(r"\b" + r"\s+".join(map(re.escape, word.replace("_", " ").split())) + r"s?\b"), term)
        for words, term, place in _glossary()
        if place in (where, "both")
        for word in words
    ]
    assert len(_glossary()) > 10
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for name, tree in _trees().items():
        texts = [_words(identifier) for identifier in _identifiers(name, tree)]
        if where == "prose":
            nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
            texts = [(ast.get_docstring(node) or "").lower() for node in nodes]
        for text in texts:
            for pattern, term in patterns:
                assert not pattern.search(text), f"{name}: {text[:110]}: {pattern.pattern}: use {term}"
