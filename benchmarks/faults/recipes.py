"""Recipes with mistakes, and with paths that lead elsewhere."""

from pathlib import Path

import numpy as np

from benchmarks.faults.children import call, enter, hubtune
from benchmarks.faults.fixture import copy_fixture
from benchmarks.faults.outcome import Bench, Outcome

_BASE = """data:
  base: .
  size: 32
module: digitnet
train:
  epochs: 2
  batch_size: 6
  learning_rate: 0.001
  device: cpu
strategy:
  name: default_finetune
run: runs/x
"""
_WRONG = {
    "a typo": ("learning_rate: 0.001", "lerning_rate: 0.001", "learning_rate"),
    "another type": ("epochs: 2", "epochs: two", "epochs"),
    "out of range": ("epochs: 2", "epochs: -2", "epochs"),
    "a key twice": ("epochs: 2", "epochs: 2\n  epochs: 3", "epochs"),
    "a tag": ("epochs: 2", "epochs: !!python/object/apply:os.system ['touch canary']", ""),
    "an alias": ("base: .", "base: &a .\n  test: *a", ""),
    "an alias bomb": ("base: .", "base: &a [" + "x, " * 9 + "x]\n  b: &b [*a, *a, *a]\n  c: [*b, *b]", ""),
    "no YAML": ("data:", "data: [", ""),
    "two documents": ("run: runs/x", "---\nrun: runs/x", ""),
    "a zero byte": ("base: .", "base: a\0b", ""),
    "2 MB": ("run: runs/x", "run: runs/x\n# " + "x" * 2_000_000, ""),
    "deep": ("base: .", "base: " + "[" * 5000 + "]" * 5000, ""),
}


def mistakes(bench: Bench) -> Outcome:
    """Read recipes with mistakes: exit 2, with the key, and nothing is executed."""
    outcome = Outcome()
    work = copy_fixture(bench)
    for number, (name, (old, new, word)) in enumerate(_WRONG.items()):
        (work / f"{number}.yaml").write_text(_BASE.replace(old, new))
        ended = hubtune("recipe", "explain", f"{number}.yaml", cwd=work)
        outcome.expect_end(name, ended, 2, *([word] if word else []))
    both = _BASE.replace("epochs: 2", "epochs: -2").replace("size: 32", "sise: 32")
    (work / "both.yaml").write_text(both)
    ended = hubtune("finetune", "both.yaml", "--json", cwd=work)
    outcome.expect_end("two mistakes at once", ended, 2, "sise", "epochs")
    outcome.expect(not (work / "canary").exists(), "a tag was executed")
    return outcome


def mutated(bench: Bench) -> Outcome:
    """Read recipes with changed characters and lines: an error of recipes, or a recipe."""
    outcome = Outcome()
    count = bench.count(2000, 200)
    ended = call(lambda: _read_all(bench.folder, count), seconds=600)
    if ended.value is None:
        outcome.expect(False, f"the reader died: exit {ended.code}, {ended.last_line}")
        return outcome
    refused, problems = ended.value
    outcome.tried, outcome.failures = count, problems
    outcome.evidence = f"{refused} refused, {count - refused - len(problems)} read"
    return outcome


def _read_all(folder: Path, count: int) -> tuple[int, list[str]]:
    enter(folder)
    from hubtune.errors import RecipeError
    from hubtune.recipe.load import load_recipe

    random = np.random.default_rng(8)
    alphabet = list(":{}[]&*!|>-#'\"%@`,? \n\t0129.eE~ax\u00e9\u2028\ud83d")
    refused, problems = 0, []
    path = folder / "r.yaml"
    for number in range(count):
        lines = _BASE.splitlines()
        for _ in range(1 + number % 4):
            at = int(random.integers(len(lines)))
            how = int(random.integers(4))
            if how == 0:
                lines[at] = lines[int(random.integers(len(lines)))]
            elif how == 1:
                del lines[at]
            else:
                place = int(random.integers(len(lines[at]) + 1))
                text = "".join(random.choice(alphabet, 1 + number % 3))
                lines[at] = lines[at][:place] + text + lines[at][place + how % 2 :]
            lines = lines or [""]
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        try:
            load_recipe(path)
        except RecipeError:
            refused += 1
        except Exception as error:  # noqa: BLE001  # anything else is what the check is after
            problems.append(f"recipe {number}: {type(error).__name__}: {str(error)[:100]}")
    return refused, problems


def places(bench: Bench) -> Outcome:
    """Name places for a run that lie in the data, in the cache, or in a folder of something else."""
    outcome = Outcome()
    work = copy_fixture(bench)
    (work / "other").mkdir()
    (work / "other" / "thesis.txt").write_text("x")
    (work / "link").symlink_to(work / "pics")
    for place in ("pics/run", "pics/a/run", ".hubtune_home/run", "other", "link/run", "pics/../pics/a/run"):
        ended = hubtune("finetune", "m.yaml", "-o", f"run={place}", cwd=work)
        outcome.expect_end(f"a run in {place}", ended, 2)
    outcome.expect((work / "other" / "thesis.txt").exists(), "a file is gone")
    outcome.expect(len(list((work / "pics").rglob("*"))) == 33, "the data folder is changed")
    return outcome
