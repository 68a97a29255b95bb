"""Models and exports for tests: small, but with everything that a format has to hold."""

import json
import os
import runpy
import subprocess
import sys

import hubtune
from support.split_folder import draw_faint_split
from support.tiny_task import train_frozen
from support.waiting import HANG_SECONDS


def trained_run(folder, **options):
    """Return a run of strategy `frozen` with two views, second-order features and similarities."""
    settings = {"views": 2, **options.pop("settings", {})}
    data = draw_faint_split(folder, difference=25)
    return train_frozen(hubtune.Module("digitnet"), data, folder / "run", settings=settings, **options)


def run_script(folder, *images, **variables):
    """Run ``predict.py`` of an export as a person would, and return its rows."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
    done = subprocess.run(
        [sys.executable, folder / "predict.py", *images],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def import_script(folder, name):
    """Return the names that a script of an export defines."""
    return runpy.run_path(str(folder / f"{name}.py"), run_name=name)
