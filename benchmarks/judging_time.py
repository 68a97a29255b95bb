"""Time of `hubtune finetune` with and without its report, and of the commands that judge a model.

    python benchmarks/judging_time.py PICTURES mobilenet_v2.safetensors

PICTURES has a folder of images for each class; the weights are of paddle.vision's mobilenet_v2. Each command
is a process of its own, with its start and imports. The commands take turns within a round. `finetune` is
timed with an empty cache, which has only what was measured of the machine, and then with the cache of that
run; each way has its own cache.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from frozen_figures import MODULE, run

from hubtune.hardware import cpu


class Timer:
    """Runs commands, each way in a folder of its own."""

    def __init__(self, pictures: Path, weights: Path, work: Path) -> None:
        """Split the pictures; measure the machine once."""
        self._weights, self._work = weights.resolve(), work
        self._pictures = sorted(path for path in pictures.resolve().glob("*/*") if path.is_file())
        self._lists = work / "lists"
        self._measured = work / "measured"
        self._measured.mkdir()
        options = ("--val", "10", "--test", "20", "--out", self._lists, "--json")
        self._run(["split", pictures.resolve(), *options], self._measured)
        self._finetune(self._measured, "on")
        self.rows: list[dict[str, float]] = []

    def round(self) -> None:
        """Time each command once."""
        row = {"load": os.getloadavg()[0]}
        homes = {report: self._work / f"report {report}" for report in ("off", "on")}
        for report, home in homes.items():
            shutil.rmtree(home, ignore_errors=True)
            (home / "hubtune").mkdir(parents=True)
            shutil.copy(self._measured / "hubtune" / "machine.json", home / "hubtune")
            row[f"finetune, report {report}, empty cache"] = self._finetune(home, report)
        for report, home in homes.items():
            row[f"finetune, report {report}, again"] = self._finetune(home, report)
        model, home = homes["on"] / "run", homes["on"]
        explain = ["explain", *self._pictures[:: len(self._pictures) // 10][:10], "--model", model]
        commands = {
            "evaluate": ["evaluate", model, "--json"],
            "explain 10 pictures, first": [*explain, "--out", home / "looked", "--json"],
            "explain 10 pictures, again": [*explain, "--out", home / "again", "--json"],
            "report": ["report", model, "--json"],
        }
        for name, command in commands.items():
            row[name] = self._run(command, home)
        self.rows.append(row)
        click.echo(", ".join(f"{name} {value:.1f}" for name, value in row.items()), err=True)

    def _finetune(self, home: Path, report: str) -> float:
        shutil.rmtree(home / "run", ignore_errors=True)
        options = [f"run={home / 'run'}", f"module={MODULE}", f"module.weights={self._weights}"]
        options += ["strategy=frozen", f"report={report}"]
        chosen = [text for option in options for text in ("-o", option)]
        return self._run(["finetune", self._lists, *chosen, "--json"], home)

    def _run(self, command: Sequence[str | Path], home: Path) -> float:
        return run([sys.executable, "-m", "hubtune", *command], home).seconds


def main() -> None:
    """Time all commands, print the medians, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="a folder of pictures for each class")
    parser.add_argument("weights", type=Path, help="of paddle.vision's mobilenet_v2, safetensors")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubtune-time-") as work:
        timer = Timer(given.pictures, given.weights, Path(work))
        for _ in range(given.rounds):
            timer.round()
    rows = timer.rows
    click.echo(
        f"{cpu.processor().identity}, {cpu.cores()} cores; medians of {len(rows)} rounds, and the range"
    )
    for name in rows[0]:
        values = [row[name] for row in rows]
        click.echo(f"  {name:36}{statistics.median(values):8.2f}  {min(values):.2f}–{max(values):.2f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
