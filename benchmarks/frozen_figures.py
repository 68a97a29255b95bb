"""Time and accuracy of strategy `frozen`, compared with an expert's script and a bare Paddle loop.

    python benchmarks/frozen_figures.py PICTURES mobilenet_v2.safetensors --json figures.json
    python benchmarks/frozen_figures.py PICTURES mobilenet_v2.safetensors --part memory --large 6000

PICTURES has a folder of images for each class; the weights are of paddle.vision's mobilenet_v2. Each
measurement is a fresh process, with its start and imports. The programs take turns within a round, and ratios
are computed within a round. Parts:

time      `hubtune finetune` to its saved model, with an empty cache and then with the cache of that run, with
          the default views, with one and with --fast; expert.py; bare_loop.py at Paddle's defaults and its
          best setting, of which a part is measured and the total extrapolated
accuracy  of `hubtune finetune` with the default views, with one, with --fast and with the logistic head of
          earlier versions, and of expert.py, on the test lists of several splits
start     one photo by `hubtune predict`, the first time and then from the stored program
predict   JPEG to CSV by `hubtune predict` and by bare_predict.py; within one process, also decoding alone
          and the engine alone
memory    peak of `hubtune finetune` with few and with many images (hard links)
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hubtune.hardware import cpu

HERE = Path(__file__).parent
MODULE = "paddle.vision:mobilenet_v2"

# In one process: throughput is compared without the time to start the engine.
_PREDICT = """
import json, sys, time
from hubtune.hardware.cpu import prepare
prepare()
from pathlib import Path
from hubtune.cli.prediction_output import PredictionOutput
from hubtune.data.images.preprocessing import preprocess_views
from hubtune.data.loader import load_batches
from hubtune.inference.load_model import load_model
paths = Path(sys.argv[2]).read_text("utf-8").splitlines()
model = load_model(sys.argv[1])
views, files = model.card.views, [Path(path) for path in paths]
output = PredictionOutput(1, Path(sys.argv[3]), False, False, None)
list(model.predict(paths[:32]))
batches = [range(first, min(first + 32, len(files))) for first in range(0, len(files), 32)]
decoded = []
def decode():
    decoded.clear()
    for batch in load_batches(files, batches, lambda index: preprocess_views(files[index], views), workers=2):
        decoded.append([array for arrays in batch.arrays for array in arrays])
def engine():
    for arrays in decoded:
        model._engine.begin(arrays)()
def predict():
    output.predict(model, "", paths, batch_size=32)
found = {}
for work in (decode, engine, predict):
    start, cpu = time.perf_counter(), time.process_time()
    work()
    found[work.__name__] = time.perf_counter() - start
    found["cpu_" + work.__name__] = time.process_time() - cpu
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Ran:
    """A process that has ended well.

    Attributes:
        seconds: from its start to its end.
        cpu: processor time, seconds; what else runs on the machine hardly matters for it.
        peak: most memory that it had, MiB.
        found: the JSON that it printed.
    """

    seconds: float
    cpu: float
    peak: float
    found: dict[str, Any]


def run(command: Sequence[str | Path], home: Path) -> Ran:
    """Run a process in a folder of its own, which also has its cache."""
    environment = {**os.environ, "HUBTUNE_HOME": str(home / "hubtune"), "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdout=out, stderr=err, cwd=home, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} failed:\n{err.read().decode(errors='replace')}")
        lines = out.read().decode().splitlines()
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Ran(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, json.loads(lines[-1]))


class Figures:
    """What is measured, and how it is shown."""

    def __init__(self, given: argparse.Namespace, work: Path) -> None:
        """Take the arguments, and a folder to work in."""
        self.images, self.weights = given.pictures.resolve(), given.weights.resolve()
        self.rounds, self.seeds, self.steps = given.rounds, given.seeds, given.steps
        self.few, self.many, self.tiny = given.small, given.large, given.memory_module
        self.batch_size = given.batch_size
        self.work = work
        self.loads: list[float] = []
        home = work / "measuring"
        home.mkdir()
        # Once a machine, and not a part of a run.
        run([sys.executable, "-c", "from hubtune.hardware.cpu import prepare; prepare(); print({})"], home)
        self.measured = home / "hubtune" / "machine.json"

    def time(self) -> dict[str, Any]:
        """Seconds of each way to a classifier, and the ratios that matter."""
        lists = self._split(0)
        homes: dict[str, Path] = {}

        def finetune(name: str, views: str, *, cold: bool) -> Callable[[], Ran]:
            def start() -> Ran:
                if cold:
                    homes[name] = self._home()
                return self._finetune(lists, homes[name], views)

            return start

        ways: dict[str, Callable[[], Ran]] = {
            "frozen, empty cache": finetune("auto", "auto", cold=True),
            "frozen, from the cache": finetune("auto", "auto", cold=False),
            "one view, empty cache": finetune("one", "1", cold=True),
            "one view, from the cache": finetune("one", "1", cold=False),
            "--fast, empty cache": finetune("fast", "fast", cold=True),
            "expert": lambda: self._script("expert.py", lists, self.weights),
            "bare loop, defaults": lambda: self._bare_loop(lists, "defaults"),
            "bare loop, best": lambda: self._bare_loop(lists, "best"),
        }
        rounds = self._in_turn(ways)
        seconds = {
            name: [ran.found["seconds"] if name.startswith("bare") else ran.seconds for ran in rans]
            for name, rans in rounds.items()
        }
        accuracies = {name: rans[-1].found.get("accuracy") for name, rans in rounds.items()}
        accuracies |= {name: _tested(rans[-1]) for name, rans in rounds.items() if "cache" in name}
        cold, warm, one = (
            seconds[name]
            for name in ("frozen, empty cache", "frozen, from the cache", "one view, empty cache")
        )
        slow, best, expert = (seconds[name] for name in ("bare loop, defaults", "bare loop, best", "expert"))
        ratios = {
            "bare loop at defaults / frozen, empty cache (target ≥ 20)": _ratio(slow, cold),
            "bare loop at its best / frozen, empty cache": _ratio(best, cold),
            "bare loop at defaults / frozen, from the cache (target ≥ 60)": _ratio(slow, warm),
            "bare loop at its best / frozen, from the cache": _ratio(best, warm),
            "one view, empty cache / expert (target ≤ 1.2)": _ratio(one, expert),
            "--fast, empty cache / expert": _ratio(seconds["--fast, empty cache"], expert),
            "frozen, empty cache / expert (target ≤ 2.4)": _ratio(cold, expert),
        }
        processor = {name: [ran.cpu for ran in rans] for name, rans in rounds.items() if "bare" not in name}
        _table("seconds", {name: (values, accuracies[name]) for name, values in seconds.items()})
        _table("processor seconds", {name: (values, None) for name, values in processor.items()})
        click.echo(f"bare loop: reckoned from {self.steps} steps of {self.batch_size} for 5 epochs")
        _show(ratios)
        return {"seconds": seconds, "cpu": processor, "accuracy": accuracies, "ratios": ratios}

    def accuracy(self) -> dict[str, Any]:
        """Accuracy on the test lists of several splits."""
        home = self._home()
        ways = {"frozen": ("auto", ""), "one view": ("1", ""), "--fast": ("fast", "")}
        ways["logistic"] = ("auto", "logistic")
        found: dict[str, list[float]] = {name: [] for name in (*ways, "expert")}
        for seed in range(self.seeds):
            lists = self._split(seed)
            for name, (views, head) in ways.items():
                found[name].append(_tested(self._finetune(lists, home, views, head=head)))
            found["expert"].append(self._script("expert.py", lists, self.weights).found["accuracy"])
            click.echo(f"split {seed}: " + ", ".join(f"{k} {v[-1]:.4f}" for k, v in found.items()), err=True)
        ahead = {
            f"{name} − {other}, points": _difference(found[name], found[other])
            for name in ("frozen", "one view", "--fast")
            for other in ("logistic", "expert")
        }
        click.echo(f"\naccuracy on the test list, mean of {self.seeds} splits")
        for name, values in found.items():
            click.echo(f"  {name:28}{statistics.fmean(values):8.4f}")
        for name, (mean, error) in ahead.items():
            click.echo(f"  {name:44}{mean:+6.2f} ± {error:.2f} (standard error)")
        return {"accuracy": found, "ahead": ahead}

    def predict(self) -> dict[str, Any]:
        """JPEG to CSV."""
        lists, home = self._split(0), self._home()
        self._finetune(lists, home, "1")
        model = home / "run"
        paths = sorted(path for path in self.images.glob("*/*") if path.is_file())
        listed, answers = home / "pictures.txt", home / "answers.csv"
        listed.write_text("".join(f"{path}\n" for path in paths), "utf-8")
        bare = ("bare_predict.py", listed, self.weights, answers, "--setting")
        rounds = self._in_turn(
            {
                "hubtune predict": lambda: self._run(
                    [
                        *(sys.executable, "-m", "hubtune", "predict", listed, "--model", model),
                        *("--csv", answers, "--json"),
                    ],
                    home,
                ),
                "bare loop, defaults": lambda: self._script(*bare, "defaults"),
                "bare loop, best": lambda: self._script(*bare, "best"),
                "within a process": lambda: self._run(
                    [sys.executable, "-c", _PREDICT, model, listed, answers], home
                ),
            }
        )
        inside = rounds.pop("within a process")
        seconds = {name: [ran.seconds for ran in rans] for name, rans in rounds.items()}
        for setting in ("defaults", "best"):
            loops = [ran.found["loop_seconds"] for ran in rounds[f"bare loop, {setting}"]]
            seconds[f"within: bare loop, {setting}"] = loops
        for name in ("decode", "engine", "predict"):
            seconds[f"within: {name}"] = [ran.found[name] for ran in inside]
        processor = {
            name: [ran.found[f"cpu_{name}"] for ran in inside] for name in ("decode", "engine", "predict")
        }
        parts = [*map(sum, zip(processor["decode"], processor["engine"], strict=True))]
        capacity = [cpu.cores() * spent for spent in seconds["within: predict"]]
        slower = [*map(max, seconds["within: decode"], seconds["within: engine"])]
        ratios = {
            "process: bare loop at defaults / hubtune": _ratio(
                seconds["bare loop, defaults"], seconds["hubtune predict"]
            ),
            "loop alone: bare loop at defaults / hubtune (target ≥ 4)": _ratio(
                seconds["within: bare loop, defaults"], seconds["within: predict"]
            ),
            "loop alone: bare loop at its best / hubtune": _ratio(
                seconds["within: bare loop, best"], seconds["within: predict"]
            ),
            "slower of decoding and engine / hubtune (target ≥ 0.8)": _ratio(
                slower, seconds["within: predict"]
            ),
            "processor time: hubtune / decoding and engine (target ≤ 1.08)": _ratio(
                processor["predict"], parts
            ),
            "share of the cores in use (target ≥ 0.95)": _ratio(processor["predict"], capacity),
        }
        _table(f"seconds for {len(paths)} pictures", {name: (times, None) for name, times in seconds.items()})
        _table("processor seconds", {name: (times, None) for name, times in processor.items()})
        _show(ratios)
        return {"pictures": len(paths), "seconds": seconds, "cpu": processor, "ratios": ratios}

    def start(self) -> dict[str, Any]:
        """One photo, in a process of its own."""
        lists, home = self._split(0), self._home()
        self._finetune(lists, home, "auto")
        photo = next(path for path in sorted(self.images.glob("*/*")) if path.is_file())
        command = [sys.executable, "-m", "hubtune", "predict", photo, "--model", home / "run", "--json"]

        def cold() -> Ran:
            shutil.rmtree(home / "hubtune" / "programs", ignore_errors=True)
            return self._run(command, home)

        rounds = self._in_turn({"first": cold, "from the stored program": lambda: self._run(command, home)})
        seconds = {name: [ran.seconds for ran in rans] for name, rans in rounds.items()}
        _table("seconds for one photo", {name: (times, None) for name, times in seconds.items()})
        return {"seconds": seconds}

    def memory(self) -> dict[str, Any]:
        """Peak memory with few and with many pictures."""
        found: dict[str, dict[str, float]] = {}
        click.echo(f"\nhubtune finetune with {self.tiny}: peak memory, MiB")
        for count in (self.few, self.many):
            lists, home = self._linked(count), self._home()
            ran = self._finetune(lists, home, "1", module=self.tiny)
            found[str(count)] = {"peak": ran.peak, "seconds": ran.seconds}
            click.echo(f"  {count:>8,} pictures{ran.peak:>10,.0f}  ({ran.seconds:.0f} s)")
        few, many = (entry["peak"] for entry in found.values())
        click.echo(f"  {1024 * (many - few) / (self.many - self.few):.2f} KiB for each further picture")
        return {"module": self.tiny, "peaks": found}

    def _in_turn(self, ways: Mapping[str, Callable[[], Ran]]) -> dict[str, list[Ran]]:
        rounds: dict[str, list[Ran]] = {name: [] for name in ways}
        for number in range(self.rounds):
            for name, start in ways.items():
                rounds[name].append(start())
                click.echo(f"round {number + 1}, {name}: {rounds[name][-1].seconds:.1f} s", err=True)
        return rounds

    def _run(self, command: Sequence[str | Path], home: Path) -> Ran:
        self.loads.append(os.getloadavg()[0])
        return run(command, home)

    def _home(self) -> Path:
        """A new folder: an empty cache, but with what was measured of the machine."""
        home = Path(tempfile.mkdtemp(prefix="home-", dir=self.work))
        (home / "hubtune").mkdir()
        if self.measured.exists():
            shutil.copy(self.measured, home / "hubtune")
        return home

    def _split(self, seed: int) -> Path:
        lists = self.work / f"split-{seed}"
        if not lists.exists():
            options = ("--val", "10", "--test", "20", "--seed", str(seed), "--out", lists, "--json")
            self._run([sys.executable, "-m", "hubtune", "split", self.images, *options], self._home())
        return lists

    def _finetune(self, lists: Path, home: Path, views: str, module: str = MODULE, head: str = "") -> Ran:
        folder = home / "run"
        shutil.rmtree(folder, ignore_errors=True)
        options = [f"run={folder}", f"module={module}", "strategy=frozen", f"strategy.views={views}"]
        options += [f"module.weights={self.weights}"] if module == MODULE else []
        options += [f"strategy.head={head}"] if head else []
        chosen = [text for option in options for text in ("-o", option)]
        return self._run([sys.executable, "-m", "hubtune", "finetune", lists, *chosen, "--json"], home)

    def _script(self, name: str, *arguments: str | Path) -> Ran:
        return self._run([sys.executable, HERE / name, *arguments], self._home())

    def _bare_loop(self, lists: Path, setting: str) -> Ran:
        sizes = ("--steps", str(self.steps), "--batch-size", str(self.batch_size))
        return self._script("bare_loop.py", lists, self.weights, "--setting", setting, *sizes)

    def _linked(self, count: int) -> Path:
        """Lists of so many pictures: hard links to copies of those there are."""
        base = self.work / f"linked-{count}"
        classes = sorted(path for path in self.images.iterdir() if path.is_dir())
        lists: dict[str, list[str]] = {"train": [], "validate": [], "test": []}
        for label, folder in enumerate(classes):
            (base / folder.name).mkdir(parents=True)
            files = sorted(folder.iterdir())
            for number in range(count // len(classes)):
                file = files[number % len(files)]
                copy = base / folder.name / f"{number}{file.suffix}"
                if number < len(files):
                    shutil.copyfile(file, copy)
                else:
                    first = base / folder.name / f"{number % len(files)}{file.suffix}"
                    copy.hardlink_to(first)
                name = ("train", "train", "train", "train", "validate")[number % 5]
                lists[name].append(f"{folder.name}/{copy.name} {label}\n")
        for name, lines in lists.items():
            if lines:
                (base / f"{name}_list.txt").write_text("".join(lines), "utf-8")
        (base / "label_list.txt").write_text("".join(f"{folder.name}\n" for folder in classes), "utf-8")
        return base


def _tested(ran: Ran) -> float:
    accuracy: float = ran.found["test"]["accuracy"]
    return accuracy


def _ratio(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(above, below, strict=True)]


def _difference(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Mean of the paired differences in points, and its standard error."""
    points = [100 * (a - b) for a, b in zip(one, other, strict=True)]
    error = statistics.stdev(points) / len(points) ** 0.5 if len(points) > 1 else float("nan")
    return statistics.fmean(points), error


def _table(title: str, rows: Mapping[str, tuple[Sequence[float], float | None]]) -> None:
    click.echo(f"\n{title:34}{'median':>9}{'least':>9}{'most':>9}{'test':>9}")
    for name, (values, accuracy) in rows.items():
        shown = "" if accuracy is None else f"{accuracy:.4f}"
        figures = "".join(f"{value:9.2f}" for value in (statistics.median(values), min(values), max(values)))
        click.echo(f"  {name:32}{figures}{shown:>9}")


def _show(ratios: Mapping[str, Sequence[float]]) -> None:
    for name, values in ratios.items():
        spread = f"({min(values):.2f}–{max(values):.2f})"
        click.echo(f"  {name:62}{statistics.median(values):8.2f} {spread}")


def main() -> None:
    """Measure the parts that are asked for, print the tables, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("time", "accuracy", "start", "predict", "memory")
    parser.add_argument("pictures", type=Path, help="a folder of pictures for each class")
    parser.add_argument("weights", type=Path, help="of paddle.vision's mobilenet_v2, safetensors")
    parser.add_argument("--part", action="append", choices=parts, help="may be repeated; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10, help="splits for the accuracy")
    parser.add_argument("--steps", type=int, default=3, help="of the bare loop that are measured")
    parser.add_argument("--batch-size", type=int, default=32, help="of the bare loop")
    parser.add_argument("--small", type=int, default=600, help="pictures for the memory")
    parser.add_argument("--large", type=int, default=60_000)
    parser.add_argument("--memory-module", default="digitnet", help="a small one is quicker")
    parser.add_argument("--beside", default="", help="what else runs on the machine, for the JSON")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hubtune-figures-") as work:
        figures = Figures(given, Path(work))
        found = {part: getattr(figures, part)() for part in given.part or parts}
    facts = {
        "processor": cpu.processor().identity,
        "cores": cpu.cores(),
        "python": platform.python_version(),
        "load": [min(figures.loads), max(figures.loads)],
        "beside": given.beside,
        "seconds": time.perf_counter() - start,
    }
    click.echo(f"\n{json.dumps(facts)}")
    if given.json:
        given.json.write_text(json.dumps({**facts, **found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
