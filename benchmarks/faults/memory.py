"""Memory that ends, in training and in commands that run a network or decode images."""

import re
from pathlib import Path

from PIL import Image

from benchmarks.faults.children import Ended, hubtune, limit_memory
from benchmarks.faults.fixture import copy_fixture
from benchmarks.faults.outcome import Bench, Outcome

_FACTS = ("a batch of", "are free", "close other programs")


def _limited(work: Path, mebibytes: int, *words: object) -> Ended:
    return hubtune(*words, cwd=work, prepare=lambda: limit_memory(mebibytes))


def training(bench: Bench) -> Outcome:
    """Train with too little memory: exit 5 before the first step, and the values that it names do fit."""
    outcome = Outcome()
    work = copy_fixture(bench)
    start = ("finetune", "m.yaml", "-o", "train.epochs=1")
    cases = (
        (500, 1024, "size", r"such as (\d+) pixels", "data.size"),
        (1200, 384, "batch", r"batch size of (\d+)", "train.batch_size"),
    )
    for mebibytes, size, name, pattern, option in cases[: bench.count(2, 1)]:
        words = (*start, "-o", f"data.size={size}", "-o", "train.batch_size=18")
        ended = _limited(work, mebibytes, *words, "-o", f"run=runs/{name}")
        outcome.expect_end(
            f"training in {mebibytes} MB", ended, 5, *_FACTS, f"{size} pixels", "needs at least"
        )
        outcome.expect("step 1" not in ended.text, f"training in {mebibytes} MB: refused after a step")
        found = re.search(pattern, ended.text)
        if not outcome.expect(found, f"no {name} to try: {ended.last_line}") or not found:
            continue
        ended = _limited(work, mebibytes, *words, "-o", f"run=runs/{name}-fits", "-o", f"{option}={found[1]}")
        outcome.expect_end(f"the {name} that it names, {found[1]}", ended, 0)
    outcome.open.append("on a GPU")
    return outcome


def container(bench: Bench) -> Outcome:
    """Train and predict in a container with too little memory, which would kill the process."""
    outcome = Outcome()
    work = copy_fixture(bench)
    _enlarge(work / "runs" / "m" / "best_model", 512)
    group = work / "groups" / "app"
    group.mkdir(parents=True)
    for name, content in {"max": 10**8, "current": 4 * 10**7, "stat": "active_file 1000"}.items():
        (group / f"memory.{name}").write_text(f"{content}\n")
    (work / "groups" / "own").write_text("0::/app\n")

    def enter() -> None:
        from hubtune.hardware import memory

        memory._OWN_GROUPS, memory._GROUPS = work / "groups" / "own", work / "groups"

    for words in (
        ("finetune", "m.yaml", "-o", "run=runs/c", "-o", "data.size=512", "-o", "train.epochs=1"),
        ("predict", "pics", "--model", "runs/m", "--engine", "paddle", "--batch-size", "10"),
        ("evaluate", "runs/m", "--engine", "paddle"),
    ):
        ended = hubtune(*words, cwd=work, prepare=enter)
        outcome.expect_end(f"{words[0]} in a container of 100 MB", ended, 5, *_FACTS, "60 MB are free")
    return outcome


def other_commands(bench: Bench) -> Outcome:
    """Predict, evaluate and split with too little memory."""
    outcome = Outcome()
    work = copy_fixture(bench)
    _enlarge(work / "runs" / "m" / "best_model", 1024)
    for engine in ("paddle", "openvino"):
        words = ("predict", "pics", "--model", "runs/m", "--engine", engine)
        ended = _limited(work, 300, *words, "--batch-size", 30)
        outcome.expect_end(f"prediction by {engine}", ended, 5, *_FACTS)
    words = ("evaluate", "runs/m", "--engine", "paddle")
    outcome.expect_end("evaluation", _limited(work, 100, *words), 5, *_FACTS)
    words = ("finetune", "m.yaml", "-o", "run=runs/f", "-o", "strategy=frozen", "-o", "data.size=1024")
    outcome.expect_end("features", _limited(work, 600, *words), 5, *_FACTS)
    Image.new("RGB", (6000, 6000)).save(work / "pics" / "a" / "large.png")
    words = ("split", "pics", "--val", 2, "--out", "l")
    outcome.expect_end("split", _limited(work, 120, *words), 5, "memory", "close other programs")
    return outcome


def _enlarge(folder: Path, size: int) -> None:
    """Let a model take larger images."""
    from hubtune.inference.model_folder import read_model, write_model

    classifier, card = read_model(folder)
    preprocessing = card.preprocessing.model_copy(update={"size": size, "resize": size})
    # Without the features of training images, which would be those of smaller ones.
    changed = {"preprocessing": preprocessing, "similarity_threshold": None}
    write_model(folder, classifier, card.model_copy(update=changed))
