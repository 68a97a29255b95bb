"""Runs that are killed, damaged, locked, or go numerically wrong."""

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.faults.children import fork, hubtune, wait
from benchmarks.faults.fixture import at_step, copy_fixture, kill_myself
from benchmarks.faults.imports import replace_everywhere
from benchmarks.faults.outcome import Bench, Outcome


def _digest(run: Path) -> dict[str, str]:
    """Everything that a resumed run must share with the undisturbed one."""
    files = [
        *run.glob("best_model/*"),
        *run.glob("checkpoints/*/*"),
        run / "metrics.jsonl",
        run / "result.json",
    ]
    return {str(f.relative_to(run)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.exists()}


def same_result(bench: Bench) -> Outcome:
    """Kill a run at a step, resume it, and compare every file with the undisturbed run."""
    outcome = Outcome()
    steps = range(12)
    combinations = [(workers, parts) for workers in (1, 2) for parts in (1, 2)]
    for workers, parts in combinations[:: bench.count(1, 3)]:
        work = copy_fixture(bench, f"{workers}-{parts}")
        options = ("-o", f"data.workers={workers}", "-o", f"train.micro_batch={6 // parts}")
        ended = hubtune("finetune", "half.yaml", "-o", "run=runs/whole", *options, cwd=work)
        if not outcome.expect_end("the undisturbed run", ended, 0):
            return outcome
        expected = _digest(work / "runs" / "whole")
        for step in steps[:: bench.count(1, 4)]:
            name = f"killed at step {step}, {workers} workers, {parts} parts a step"
            shutil.rmtree(work / "runs" / "cut", ignore_errors=True)
            words = ("finetune", "half.yaml", "-o", "run=runs/cut", *options)
            ended = hubtune(*words, cwd=work, prepare=lambda step=step: at_step(step, kill_myself))
            if ended.code != -signal.SIGKILL:
                break  # the run has fewer steps
            ended = hubtune("finetune", "runs/cut", "--resume", cwd=work)
            if ended.code == 4 and step == 0:
                ended = hubtune(*words, "--resume", cwd=work)
            if outcome.expect_end(name, ended, 0):
                found = _digest(work / "runs" / "cut")
                changed = [file for file in expected if found.get(file) != expected[file]]
                outcome.expect(not changed, f"{name}: {changed[:2]} differ from the undisturbed run")
                outcome.tried -= 1
    outcome.evidence = "weights, optimizer, metrics and result compared by SHA-256"
    outcome.open.append("on a GPU")
    return outcome


_DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "flipped bit": lambda file: _flip(file),
    "missing": lambda file: file.unlink(),
}


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    # In an odd place of the data: a manifest's is a digit of a checksum.
    at = content.rfind(b"sha256") + 12 if file.name == "manifest.json" else len(content) * 3 // 4
    content[at] ^= 1
    file.write_bytes(content)


def damage(bench: Bench) -> Outcome:
    """Damage each file of the newest checkpoint in each way: named, and the previous one is used."""
    outcome = Outcome()
    names = ("model.safetensors", "optim.safetensors", "state.json", "manifest.json")
    cases = [(name, how) for how in _DAMAGES for name in names]
    if bench.short:
        cases = [
            ("model.safetensors", "flipped bit"),
            ("optim.safetensors", "zeros"),
            ("state.json", "missing"),
        ]
    for name, how in cases:
        work = copy_fixture(bench, f"{name}-{how}".replace(" ", "-"))
        checkpoints = work / "runs" / "half" / "checkpoints"
        newest = max(checkpoints.glob("step-*"), key=_step)
        _DAMAGES[how](newest / name)
        ended = hubtune("finetune", "runs/half", "--resume", cwd=work)
        outcome.expect_end(f"{name}, {how}", ended, 0, f"{newest.name} is skipped")
    work = copy_fixture(bench, "both")
    for checkpoint in (work / "runs" / "half" / "checkpoints").glob("step-*"):
        _flip(checkpoint / "model.safetensors")
    ended = hubtune("finetune", "runs/half", "--resume", cwd=work)
    outcome.expect_end("both checkpoints", ended, 4)
    work = copy_fixture(bench, "named")
    older, newest = sorted((work / "runs" / "half" / "checkpoints").glob("step-*"), key=_step)
    _flip(newest / "optim.safetensors")
    for folder, code in ((newest, 4), (older, 0)):
        words = ("finetune", "runs/half", "--resume", "--checkpoint", _step(folder))
        outcome.expect_end(f"--checkpoint {folder.name}", hubtune(*words, cwd=work), code)
    return outcome


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name[5:])


def other_damage(bench: Bench) -> Outcome:
    """Damage the best model and the record of the images of an interrupted run, and resume it."""
    outcome = Outcome()
    for how in ("damaged", "gone"):
        work = copy_fixture(bench, how)
        run = work / "runs" / "half"
        if how == "gone":
            shutil.rmtree(run / "best_model")
        else:
            _flip(run / "best_model" / "model.safetensors")
        ended = hubtune("finetune", "runs/half", "--resume", cwd=work)
        ok = ended.code == 0 or (ended.code == 4 and "TRAIN" not in ended.text)
        outcome.expect(ok, f"the best model is {how}: exit {ended.code} after training, {ended.last_line}")
    work = copy_fixture(bench)
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776, 2), }"
    header += b" " * (117 - len(header)) + b"\n"
    record = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16)
    (work / "runs" / "half" / ".pictures.npy").write_bytes(record)
    ended = hubtune("finetune", "runs/half", "--resume", cwd=work)
    outcome.expect_end("a record that claims 16 TB", ended, 0)
    return outcome


def two_runs(bench: Bench) -> Outcome:
    """Start a second run in a folder in use: refused with the owner's names; taken over after its death."""
    outcome = Outcome()
    work = copy_fixture(bench)
    note = work / "started"

    def hold() -> None:
        note.touch()
        time.sleep(120)

    def first() -> None:
        hubtune("finetune", "runs/half", "--resume", cwd=work, prepare=lambda: at_step(7, hold))

    child = fork(first)
    deadline = time.monotonic() + 120
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    owner = json.loads(next(f for f in (work / "runs" / "half").glob(".*") if _is_owner(f)).read_bytes())
    ended = hubtune("finetune", "runs/half", "--resume", cwd=work)
    words = (str(owner["pid"]), owner["host"], owner["started"])
    outcome.expect_end("the second run", ended, 7, *words)
    outcome.expect(ended.seconds < 10, f"refused after {ended.seconds:.1f} s")
    outcome.evidence = f"refused after {ended.seconds:.1f} s"
    os.kill(owner["pid"], signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    wait(child, 30)
    time.sleep(0.2)
    ended = hubtune("finetune", "runs/half", "--resume", cwd=work)
    outcome.expect_end("after the first was killed", ended, 0, str(owner["pid"]), "taken over")
    return outcome


def _is_owner(file: Path) -> bool:
    return file.is_file() and b'"pid"' in file.read_bytes()[:2000]


def not_finite(bench: Bench) -> Outcome:
    """Let loss, gradients or moments become infinite: stopped, with a report, and a finite checkpoint."""
    outcome = Outcome()
    decay = "strategy={name: default_finetune, regularization_coeff: 1.0e30}"
    for name, options in {
        "a rate of 1e30": ("-o", "train.learning_rate=1e30"),
        "a decay of 1e30": ("-o", decay),
    }.items():
        work = copy_fixture(bench, name.replace(" ", "-"))
        ended = hubtune("finetune", "half.yaml", "-o", "run=runs/n", *options, cwd=work)
        if ended.code == 2:
            outcome.expect(True, "")
            continue  # refused before it starts
        outcome.expect_end(name, ended, 6)
        report = work / "runs" / "n" / "nan_report.json"
        outcome.expect(report.exists(), f"{name}: no nan_report.json")
        from safetensors.numpy import load_file

        for file in (work / "runs" / "n").rglob("*.safetensors"):
            bad = sum(not np.isfinite(values).all() for values in load_file(file).values())
            outcome.expect(not bad, f"{name}: {bad} tensors in {file.parent.name}/{file.name} are not finite")
    return outcome


def _break_loader(error: type[BaseException] | None, *, once: bool = False) -> None:
    """In this process, a child: let the loading of images raise from the 60th on, or never end."""
    from hubtune.data import loader
    from hubtune.data.images import decode as module

    loader.STALL_SECONDS = 3.0
    opened, count = module.open_image, [0]

    def failing(*arguments: object, **options: object) -> object:
        count[0] += 1
        if count[0] == 60 or (count[0] > 60 and not once):
            if error is None:
                time.sleep(100)
            else:
                raise error("injected")
        return opened(*arguments, **options)

    replace_everywhere(opened, failing)


def loader_dies(bench: Bench) -> Outcome:
    """Let the loading of images raise, or deliver nothing: tried once more, then named, exit 5, no hang."""
    outcome = Outcome()
    for name, error in (
        ("nothing is delivered", None),
        ("a MemoryError", MemoryError),
        ("a RuntimeError", RuntimeError),
    ):
        work = copy_fixture(bench, name.replace(" ", "-"))
        ended = hubtune("finetune", "half.yaml", "-o", "run=runs/l", cwd=work, seconds=90,
                        prepare=lambda error=error: _break_loader(error))  # fmt: skip
        outcome.expect_end(name, ended, (3, 5), ".png")
    work = copy_fixture(bench, "once")
    ended = hubtune("finetune", "half.yaml", "-o", "run=runs/l", cwd=work, seconds=90,
                    prepare=lambda: _break_loader(RuntimeError, once=True))  # fmt: skip
    outcome.expect_end("a RuntimeError, once", ended, 0, ".png", "trying once more")
    return outcome


def other_classes(bench: Bench) -> Outcome:
    """Evaluate on lists with other classes: refused; another order only by name."""
    outcome = Outcome()
    for name, labels, code, more in (
        ("fewer", "a\nb\n", (3, 4), ()),
        ("more", "a\nb\nc\nd\n", 4, ()),
        ("other names", "a\nb\nx\n", 4, ()),
        ("another order", "c\nb\na\n", 4, ()),
        ("another order by name", "c\nb\na\n", 0, ("--remap-by-name",)),
    ):
        work = copy_fixture(bench, name.replace(" ", "-"))
        (work / "label_list.txt").write_text(labels)
        if "order" in name:  # else the labels would contradict the folders of the images
            list_file = work / "test_list.txt"
            rows = [line.rsplit(" ", 1) for line in list_file.read_text().splitlines()]
            list_file.write_text("".join(f"{path} {2 - int(label)}\n" for path, label in rows))
        words = ("evaluate", "runs/m", "--on", "test_list.txt", "--engine", "paddle", *more)
        outcome.expect_end(name, hubtune(*words, cwd=work), code)
    return outcome


def other_weights(bench: Bench) -> Outcome:
    """Fine-tune with weights of another architecture, or damaged: refused with the differences."""
    from safetensors.numpy import load_file, save_file

    outcome = Outcome()
    good = load_file(bench.fixture / "runs" / "m" / "best_model" / "model.safetensors")
    first = next(name for name in good if not name.startswith("head"))
    changes = {
        "another shape": {first: np.ones((1, 2, 3), "f4")},
        "another type": {first: good[first].astype("f8")},
        "not finite": {first: np.full_like(good[first], np.nan)},
        "one more": {"backbone.extra.weight": np.ones(3, "f4")},
    }
    files = {name: {**good, **change} for name, change in changes.items()}
    files["one less"] = {name: value for name, value in good.items() if name != first}
    work = copy_fixture(bench)
    for number, (name, tensors) in enumerate(files.items()):
        save_file(tensors, work / f"{number}.safetensors")
        module = f"module={{name: smallnet, weights: {number}.safetensors}}"
        words = ("finetune", "m.yaml", "-o", f"run=runs/{number}", "-o", module)
        outcome.expect_end(name, hubtune(*words, cwd=work), 4)
    return outcome
