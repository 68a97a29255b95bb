"""Disks that are full, read-only, over their quota or failing, and processes without free handles."""

import errno
import io
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.children import call, hubtune, program
from benchmarks.faults.fixture import at_step, copy_fixture
from benchmarks.faults.outcome import Bench, Outcome

_NO_MOUNT = "this process may not mount a tmpfs"


@contextmanager
def small_disk(folder: Path, size: str, options: str = "") -> Iterator[Path | None]:
    """Mount a tmpfs of a size; yields ``None`` where that is not allowed."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


class _Failing(io.FileIO):
    """A file below a folder that takes a number of bytes in all, and then fails."""

    left = 0
    code = errno.ENOSPC
    root = ""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if isinstance(self.name, str) and os.path.abspath(self.name).startswith(_Failing.root):  # noqa: PTH100
            _Failing.left -= len(data)
            if _Failing.left < 0:
                raise OSError(_Failing.code, os.strerror(_Failing.code), self.name)
        return super().write(data)


def inject(root: Path, code: int, after: int) -> None:
    """In this process, a child: let writes of new files below a folder fail after a number of bytes."""
    _Failing.left, _Failing.code, _Failing.root = after, code, str(root.absolute())
    opened = io.open

    def failing(file: object, mode: str = "r", *arguments: object, **options: object) -> object:
        if not set(mode) & set("wxa") or not isinstance(file, str | os.PathLike):
            return opened(file, mode, *arguments, **options)
        raw = _Failing(os.fspath(file), mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, options.get("encoding") or "utf-8", options.get("errors"))

    io.open = failing


def save_fails(bench: Bench) -> Outcome:
    """Let writing a checkpoint fail at several offsets: the older one is intact, and nothing else is left."""
    outcome = Outcome()
    content = {"model.safetensors": os.urandom(300_000), "state.json": b"{}"}
    number = 0
    for code in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
        for after in [0, 1, 8192, 150_000, 299_999, 300_001, 300_100][: bench.count(7, 5)]:
            number += 1
            folder = bench.folder / str(number) / "step-1"

            def work(folder: Path = folder, code: int = code, after: int = after) -> str:
                from hubtune.errors import MachineError
                from hubtune.storage.checked_folder import integrity_error, write_checked

                write_checked(folder, {"model.safetensors": b"old", "state.json": b"{}"})
                inject(folder.parent, code, after)
                try:
                    write_checked(folder, content)
                except MachineError as error:
                    if error.exit_code != 5:
                        return f"exit code {error.exit_code}"
                else:
                    return "no error"
                if (folder / "model.safetensors").read_bytes() != b"old" or integrity_error(folder):
                    return "the older one is damaged"
                left = sorted(path.name for path in folder.parent.iterdir())
                return "" if left == ["step-1"] else f"left: {left}"

            ended = call(work)
            problem = ended.last_line if ended.value is None else ended.value
            outcome.expect(not problem, f"{errno.errorcode[code]} after {after} bytes: {problem}")
    outcome.evidence = "ENOSPC, EIO and EDQUOT injected"
    return outcome


def training_fails(bench: Bench) -> Outcome:
    """Let a run's disk fail while it trains: exit 5, and the run resumes to the end afterwards."""
    outcome = Outcome()
    for code in (errno.ENOSPC, errno.EIO, errno.EDQUOT)[: bench.count(3, 1)]:
        name = errno.errorcode[code]
        work = copy_fixture(bench, name)
        before = _digests(work)

        def fail(work: Path = work, code: int = code) -> None:
            at_step(9, lambda: inject(work / "runs" / "half" / "checkpoints", code, 10_000))

        ended = hubtune("finetune", "runs/half", "--resume", cwd=work, prepare=fail)
        outcome.expect_end(f"{name} in training", ended, 5, os.strerror(code))
        rests = list((work / "runs/half/checkpoints").glob(".*"))
        outcome.expect(not rests, f"{name}: {[path.name for path in rests]} stay")
        outcome.expect(before, f"{name}: no checkpoint")
        outcome.expect_end(f"{name}, resumed", hubtune("finetune", "runs/half", "--resume", cwd=work), 0)
    _outlive(outcome, copy_fixture(bench, "warn"))
    with small_disk(bench.folder / "small", "900k") as disk:
        if disk is not None:
            work = copy_fixture(bench)
            ended = hubtune("finetune", "m.yaml", "-o", f"run={disk}/run", cwd=work)
            outcome.expect_end("little space", ended, (0, 5), "three checkpoints take about")
    return outcome


def _outlive(outcome: Outcome, work: Path) -> None:
    """Let the disk be full for some steps, in a run that goes on without the checkpoints of these."""
    checkpoints = work / "runs" / "half" / "checkpoints"

    def fill() -> None:
        at_step(7, lambda: inject(checkpoints, errno.ENOSPC, 10_000))
        at_step(9, lambda: inject(checkpoints, errno.ENOSPC, 10**12))

    words = ("finetune", "runs/half", "--resume", "-o", "train.on_disk_full=warn")
    ended = hubtune(*words, cwd=work, prepare=fill)
    outcome.expect_end("on_disk_full: warn", ended, 0, "the checkpoint of step 8 is left out")
    outcome.expect("the checkpoint of step 11" not in ended.text, "the disk has room again, and is not used")


def _digests(work: Path) -> list[str]:
    return sorted(path.name for path in (work / "runs" / "half" / "checkpoints").glob("step-*"))


def full_disks(bench: Bench) -> Outcome:
    """Start and run on small disks: one sentence and exit 5."""
    outcome = Outcome()
    work = copy_fixture(bench)
    for size in ("4k", "200k", "700k", "1200k", "2m")[: bench.count(5, 3)]:
        with small_disk(work / size, size) as disk:
            if disk is None:
                outcome.skipped = _NO_MOUNT
                return outcome
            ended = hubtune("finetune", "half.yaml", "-o", f"run={size}/run", cwd=work)
            outcome.expect_end(f"a run on a disk of {size}", ended, (0, 5) if size == "2m" else 5)
    with small_disk(work / "cache", "60k") as disk:
        more = {"HUBTUNE_HOME": str(disk)}
        shutil.make_archive(str(work / "pics"), "zip", work / "pics")
        ended = hubtune("split", "pics.zip", "--val", "2", "--out", "z", cwd=work, environment=more)
        outcome.expect_end("unpacking on a disk of 60k", ended, 5)
    with small_disk(work / "lists", "4k") as disk:
        ended = hubtune("split", "pics", "--val", "2", "--out", disk, cwd=work)
        outcome.expect_end("lists on a disk of 4k", ended, 5)
    return outcome


def full_output(bench: Bench) -> Outcome:
    """Write standard output to a full disk."""
    outcome = Outcome()
    work = copy_fixture(bench)
    with Path("/dev/full").open("wb") as full, (work / "err").open("wb") as err:
        words = ("split", "pics", "--val", "2", "--out", "l", "--json")
        code = program(*words, cwd=work, stdout=full, stderr=err).wait(300)
    text = (work / "err").read_text()
    outcome.expect(code == 5, f"standard output on a full disk: exit {code}")
    outcome.expect("Traceback" not in text, "standard output on a full disk: a traceback")
    return outcome


def closed_output(bench: Bench) -> Outcome:
    """Close the pipe that a command prints into."""
    outcome = Outcome()
    work = copy_fixture(bench)
    for words in (("scan", "pics", "--json"), ("hub", "list")):
        reader, writer = os.pipe()
        os.close(reader)
        with (work / "err").open("wb") as err:
            process = program(*words, cwd=work, stdout=writer, stderr=err)
        os.close(writer)
        code = process.wait(300)
        outcome.expect(code == 141, f"{words[0]} into a closed pipe: exit {code}")
        outcome.expect("Traceback" not in (work / "err").read_text(), f"{words[0]}: a traceback")
    return outcome


def read_only(bench: Bench) -> Outcome:
    """Run into a folder that cannot be written: noticed before the first step."""
    outcome = Outcome()
    work = copy_fixture(bench)
    with small_disk(work / "fixed", "4m", ",ro") as disk:
        if disk is None:
            outcome.skipped = _NO_MOUNT
            return outcome
        for words in (
            ("finetune", "m.yaml", "-o", "run=fixed/run"),
            ("split", "pics", "--val", "2", "--out", "fixed/l"),
            ("scan", "pics", "--page", "fixed/page.html"),
        ):
            ended = hubtune(*words, cwd=work)
            outcome.expect_end(f"{words[0]} into a read-only folder", ended, 5)
            outcome.expect("step 1" not in ended.text, f"{words[0]}: noticed after the first step")
        more = {"HUBTUNE_HOME": "fixed"}
        ended = hubtune("finetune", "m.yaml", "-o", "run=runs/c", cwd=work, environment=more)
        outcome.expect_end("a read-only cache", ended, (0, 5))
    return outcome


def moved(bench: Bench) -> Outcome:
    """Move a run's folder away while it trains, as a network drive that is gone."""
    outcome = Outcome()
    work = copy_fixture(bench)

    def move() -> None:
        at_step(4, lambda: os.rename(work / "runs" / "v", work / "elsewhere"))  # noqa: PTH104

    ended = hubtune("finetune", "half.yaml", "-o", "run=runs/v", cwd=work, prepare=move)
    outcome.expect_end("a run that is moved", ended, 5)
    outcome.expect(not (work / "runs" / "v" / "result.json").exists(), "half a run is made at its old place")
    return outcome


def few_handles(bench: Bench) -> Outcome:
    """Run with 256 handles, as on macOS."""
    outcome = Outcome()
    work = copy_fixture(bench)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    for words in (
        ("split", "pics", "--val", "2", "--out", "l"),
        ("finetune", "m.yaml", "-o", "run=runs/h", "-o", "data.workers=4"),
        ("predict", "pics", "--model", "runs/m", "--engine", "paddle"),
    ):
        ended = hubtune(*words, cwd=work, prepare=limit)
        outcome.expect_end(f"{words[0]} with 256 handles", ended, 0)
    return outcome
