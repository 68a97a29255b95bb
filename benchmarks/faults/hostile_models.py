"""Model folders and runs that would run code, write elsewhere, or fill the memory."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.audit import Watch
from benchmarks.faults.children import call, enter, hubtune
from benchmarks.faults.fixture import copy_fixture
from benchmarks.faults.hostile_weights import Calls
from benchmarks.faults.outcome import Bench, Outcome

_MOST_MEBIBYTES = 300.0
Change = Callable[[Path], None]


def with_manifest(folder: Path) -> None:
    """Write a manifest that fits the files, as an attacker would."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != "manifest.json"]
    entries = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in files
    }
    (folder / "manifest.json").write_text(json.dumps(entries))


def _set(path: tuple[Any, ...], value: Any) -> Change:
    """Return a change of one value in ``model.json``."""

    def change(folder: Path) -> None:
        file = folder / "model.json"
        document = json.loads(file.read_bytes())
        target = document
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
        file.write_text(json.dumps(document))

    return change


def _write(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content) and None


def _values() -> Iterator[tuple[str, Change, bool]]:
    """Changed values, and whether a model with this one may load."""
    odd: tuple[Any, ...] = (None, -1, 0, 10**18, 1e308, "7", "../../etc", [], {}, True, "x" * 100_000)
    keys = (
        ("schema_version",), ("architecture",), ("hidden_units",), ("labels",), ("preprocessing",),
        ("further_views",), ("module",), ("strategy",), ("step",), ("metrics",),
    )  # fmt: skip
    for key in keys:
        for number, value in enumerate(odd):
            yield f"{key[0]} {number}", _set(key, value), True
    for number, value in enumerate(odd):
        yield f"preprocessing.size {number}", _set(("preprocessing", "size"), value), True
    for name in ("../../evil", "/etc/passwd", "a/b", "..", "a\0b", "x" * 10_000, "\ud800", "=cmd()"):
        yield f"class {name[:20]!a}", _set(("labels", 0), name), True
    yield "10^5 classes", _set(("labels",), [str(n) for n in range(100_000)]), False
    yield "10^6 classes", _set(("labels",), [str(n) for n in range(1_000_000)]), False
    yield "hidden units", _set(("hidden_units",), [65_536] * 16), False
    yield "huge views", _set(("preprocessing", "size"), 2**31), False


def _files(canary: Path) -> Iterator[tuple[str, Change, bool]]:
    code = f"open({str(canary)!r}, 'w').write('x')\nBACKBONE = None\n".encode()

    def foreign(folder: Path) -> None:
        _set(("architecture",), "module.py")(folder)
        (folder / "module.py").write_bytes(code)

    def foreign_import(folder: Path) -> None:
        _set(("architecture",), "os.system")(folder)
        (folder / "os.py").write_bytes(code)

    evil = pickle.dumps({"w": Calls(os.system, f"echo x > {canary}")})
    yield "module.py", foreign, False
    yield "an architecture to import", foreign_import, False
    yield "pickled weights", _write("model.safetensors", evil), False
    yield "empty weights", _write("model.safetensors", b""), False
    yield "weights with a huge header", _write("model.safetensors", b"\xff\xff\xff\x7f\0\0\0\0{"), False
    yield "sitecustomize.py", _write("sitecustomize.py", code), True
    yield "nested JSON", _write("model.json", b"[" * 200_000), False
    yield "JSON of digits", _write("model.json", b'{"step": ' + b"9" * 10**6 + b"}"), False
    yield "no JSON", _write("model.json", b"\xff\xfe\0"), False
    yield "20 MB of JSON", _write("model.json", b" " * 20_000_000 + b"{}"), False


def _manifests(canary: Path) -> Iterator[tuple[str, Change, bool]]:
    for number, content in enumerate(
        (
            b"", b"[]", b"null", b"{", b"[" * 100_000, b'{"../../x": {"size": 1, "sha256": ""}}',
            b'{"/etc/passwd": {"size": 1, "sha256": ""}}', b'{"model.json": {}}', b'{"model.json": 7}',
            b'{"model.json": {"size": -1, "sha256": null}}', b"{}", b'{"a\\u0000b": {"size": 1}}',
        )
    ):  # fmt: skip
        yield f"manifest {number}", _write("manifest.json", content), False


def models(bench: Bench) -> Outcome:
    """Load hostile model folders under an audit hook: 0 executed, each refused or harmless."""
    outcome = Outcome()
    canary = bench.folder / "canary"
    cases = [(name, change, loads, True) for name, change, loads in (*_values(), *_files(canary))]
    cases += [(name, change, loads, False) for name, change, loads in _manifests(canary)]
    source = bench.fixture / "runs" / "m" / "best_model"
    ended = call(lambda: _load_all(bench.folder, source, canary, cases), seconds=600)
    if ended.value is None:
        outcome.expect(False, f"the reader died: exit {ended.code}, {ended.last_line}")
        return outcome
    loaded = 0
    for name, (problem, did_load) in ended.value.items():
        loaded += did_load
        outcome.expect(problem is None, f"{name}: {problem}")
    executed = sum("executed" in (problem or "") for problem, _ in ended.value.values())
    outcome.expect(ended.growth < _MOST_MEBIBYTES, f"memory grew by {ended.growth:.0f} MiB")
    outcome.evidence = (
        f"{executed} executed, {outcome.tried - loaded} refused, {loaded} harmless; "
        f"memory +{ended.growth:.0f} MiB"
    )
    return outcome


def _load_all(
    folder: Path, source: Path, canary: Path, cases: list[tuple[str, Change, bool, bool]]
) -> dict[str, tuple[str | None, bool]]:
    enter(folder)
    from hubtune.errors import ModelError
    from hubtune.inference.model_folder import read_model

    watch = Watch(folder / "nowhere")
    watch.install()
    read_model(source)
    found = {}
    for name, change, may_load, sealed in cases:
        target = folder / "model"
        shutil.copytree(source, target)
        change(target)
        if sealed:
            with_manifest(target)
        problem, loaded = None, False
        try:
            watch.watch(lambda target=target: read_model(target))
            loaded = True
            problem = None if may_load else "loads"
        except ModelError:
            pass
        except Exception as error:  # noqa: BLE001  # anything else is what the check is after
            problem = f"{type(error).__name__}: {str(error)[:100]}"
        if watch.found or canary.exists():
            problem = f"executed: {', '.join(watch.found[:2]) or 'the canary is there'}"
        canary.unlink(missing_ok=True)
        shutil.rmtree(target)
        found[name] = problem, loaded
    return found


def run_recipes(bench: Bench) -> Outcome:
    """Give a stranger's run to each command that reads one: the code that its recipe names does not run."""
    outcome = Outcome()
    work = copy_fixture(bench)
    canary = work / "canary"
    evil = work / "evil"
    evil.mkdir()
    (evil / "module.yaml").write_text("name: evil\narchitecture: module.py\nlicence: MIT\n")
    (evil / "module.py").write_text(f"open({str(canary)!r}, 'w').write('x')\nBACKBONE = None\n")
    recipe = work / "runs" / "m" / "recipe.yaml"
    text = recipe.read_text().replace("name: digitnet", f"name: {evil}")
    recipe.write_text(text.replace("trust_code: false", "trust_code: true"))
    (work / "runs" / "m" / "result.json").unlink()
    for command in (
        ("recipe", "explain", "runs/m/recipe.yaml"),
        ("finetune", "runs/m", "--resume"),
        ("data", "preview", "runs/m/recipe.yaml"),
    ):
        ended = hubtune(*command, cwd=work)
        name = " ".join(command[:2])
        outcome.expect_end(name, ended, 4)
        outcome.expect(not canary.exists(), f"{name}: the code was executed")
        canary.unlink(missing_ok=True)
    return outcome


def states(bench: Bench) -> Outcome:
    """Resume runs whose state has a fitting manifest and odd values."""
    outcome = Outcome()
    for number, (key, value) in enumerate(
        [
            ("step", -5),
            ("step", "7"),
            ("step", 10**30),
            ("best_accuracy", "x"),
            ("extra", 1),
            ("loss_sum", []),
        ][: bench.count(6, 2)]
    ):
        work = copy_fixture(bench, f"work{number}")
        for checkpoint in (work / "runs" / "half" / "checkpoints").glob("step-*"):
            document = json.loads((checkpoint / "state.json").read_bytes())
            document[key] = value
            (checkpoint / "state.json").write_text(json.dumps(document))
            with_manifest(checkpoint)
        outcome.expect_end(f"{key} = {value!r}", hubtune("finetune", "runs/half", "--resume", cwd=work), 4)
    return outcome


def sparse_manifest(bench: Bench) -> Outcome:
    """Open a model whose manifest is a sparse file of 1 GB."""
    outcome = Outcome()
    work = copy_fixture(bench)
    os.truncate(work / "runs" / "m" / "best_model" / "manifest.json", 2**30)
    ended = hubtune("predict", "pics/a/0.png", "--model", "runs/m", "--engine", "paddle", cwd=work)
    outcome.expect_end("a manifest of 1 GB", ended, 4)
    outcome.expect(ended.growth < _MOST_MEBIBYTES, f"memory grew by {ended.growth:.0f} MiB")
    outcome.evidence = f"memory +{ended.growth:.0f} MiB"
    return outcome
