"""A process that writes a run into a bucket until it is killed: ``bucket_writer.py ADDRESS FOLDER``."""

import shutil
import sys
import time
from pathlib import Path

from hubtune.runs import publisher
from hubtune.runs.bucket_run import fetch_run, has_run
from hubtune.runs.publisher import publishing
from hubtune.storage.checked_folder import write_checked

SIZE = 200_000


def content_of(step):
    """Return the files of a checkpoint, which all say its step."""
    return {name: f"{name} {step} ".encode() * (SIZE // 20) for name in ("model", "optim", "state")}


def main(address, folder):
    publisher._POLL_SECONDS = 0.02
    run = Path(folder)
    shutil.rmtree(run, ignore_errors=True)  # another machine each time
    if has_run(address):
        fetch_run(address, run)
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.yaml").write_text("run: x\n", encoding="utf-8")
    steps = [int(path.name[5:]) for path in (run / "checkpoints").glob("step-*")]
    with publishing(address, run):
        for step in range(max(steps, default=0) + 1, 10**6):
            write_checked(run / "checkpoints" / f"step-{step}", content_of(step))
            write_checked(run / "best_model", {"model.json": b'{"step": %d}' % step})
            sys.stdout.write(f"{step}\n")
            sys.stdout.flush()
            time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
