"""Data sets with unreadable, unusual, misplaced or changed files."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.faults.children import call, hubtune, limit_memory
from benchmarks.faults.fixture import copy_fixture, draw
from benchmarks.faults.outcome import Bench, Outcome

_UNREADABLE = {
    "empty.jpg": b"",
    "text.jpg": b"no picture, but a text\n",
    "page.jpg": b"<!doctype html><title>Log in</title>",
    "drawing.svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "print.eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
}


def unreadable(bench: Bench) -> Outcome:
    """Scan, split and train with unreadable images: each is listed with a reason, and left out."""
    outcome = Outcome()
    work = copy_fixture(bench)
    for name, content in _UNREADABLE.items():
        (work / "pics" / "a" / name).write_bytes(content)
    good = (work / "pics" / "a" / "0.png").read_bytes()
    (work / "pics" / "a" / "cut.png").write_bytes(good[: len(good) // 2])
    Image.open(work / "pics" / "a" / "1.png").save(work / "whole.jpg")
    photo = (work / "whole.jpg").read_bytes()
    (work / "pics" / "a" / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    (work / "pics" / "a" / "really_png.jpg").write_bytes(good)
    bad = [*_UNREADABLE, "cut.png", "cut.jpg"]
    split = hubtune("split", "pics", "--val", "2", "--out", "l", cwd=work)
    outcome.expect_end("split", split, 0)
    scan = hubtune("scan", "pics", "--json", cwd=work)
    record = (work / "l" / "split.json").read_text()
    lists = "".join(path.read_text() for path in (work / "l").glob("*_list.txt"))
    for name in bad:
        outcome.expect(name in scan.out, f"scan does not list {name}")
        outcome.expect(name in record, f"split.json does not list {name}")
        outcome.expect(f"/{name} " not in lists, f"{name} is in a list")
    outcome.expect("really_png.jpg" in lists or "really_png.jpg" in record, "a wrong suffix is not used")
    with (work / "train_list.txt").open("a") as file:
        file.writelines(f"pics/a/{name} 0\n" for name in bad)
    outcome.expect_end("finetune", hubtune("finetune", "m.yaml", "-o", "run=runs/s", cwd=work), 3)
    words = ("finetune", "m.yaml", "-o", "run=runs/t", "-o", "data.max_bad=50%")
    outcome.expect_end("finetune with max_bad", hubtune(*words, cwd=work), 0)
    skipped = (work / "runs" / "t" / "skipped.csv").read_text()
    for name in bad:
        outcome.expect(name in skipped, f"skipped.csv does not list {name}")
    return outcome


def unusual(bench: Bench) -> Outcome:
    """Decode unusual, valid images as Pillow itself does, upright and with 8 bits."""
    outcome = Outcome()
    if bench.material is None:
        outcome.skipped = "HUBTUNE_TEST_MATERIAL is not set"
        return outcome
    folder = bench.material / "awkward"
    for line in (folder / "OUTCOMES.tsv").read_text("utf-8").splitlines():
        name = line.partition(" ")[0] if not line.startswith("made/") else ""
        if not name or not (folder / name).is_file():
            continue
        reads = "decode=ok" in line
        ended = call(lambda name=name: _decode(folder / name), seconds=60)
        problem = ended.value if ended.value is not None else f"exit {ended.code}, {ended.last_line}"
        if reads:
            outcome.expect(problem == "", f"{name}: {problem}")
        else:
            outcome.expect(problem == "ImageError", f"{name}: {problem or 'is read'}")
    outcome.evidence = "the corpus of awkward files"
    return outcome


def _decode(path: Path) -> str:
    from hubtune.data.images.decode import ImageError, decode

    try:
        image = decode(path)
    except ImageError:
        return "ImageError"
    pixels = np.asarray(image)
    if image.mode != "RGB" or pixels.dtype != np.uint8:
        return f"{image.mode} instead of RGB"
    from PIL import ImageOps

    with Image.open(path) as opened:
        opened.seek(0)
        if opened.mode != "RGB":
            return ""
        expected = np.asarray(ImageOps.exif_transpose(opened)).astype(int)
    if pixels.shape != expected.shape or np.abs(pixels.astype(int) - expected).max() > 2:
        return "other pixels than Pillow's"
    return ""


def small_classes(bench: Bench) -> Outcome:
    """Split folders with one image or none in a class."""
    outcome = Outcome()
    work = copy_fixture(bench)
    (work / "pics" / "single").mkdir()
    shutil.copy(work / "pics" / "a" / "3.png", work / "x.png")
    Image.fromarray(np.full((20, 20, 3), 99, np.uint8)).save(work / "pics" / "single" / "s.png")
    ended = hubtune("split", "pics", "--val", "2", "--test", "2", "--out", "l", cwd=work)
    outcome.expect_end("a class of one image", ended, 0, "single")
    outcome.expect("s.png" in (work / "l" / "train_list.txt").read_text(), "it is not in training")
    (work / "pics" / "nothing").mkdir()
    ended = hubtune("split", "pics", "--val", "2", "--out", "m", cwd=work)
    outcome.expect_end("an empty class", ended, (0, 3), "nothing")
    return outcome


def odd_folders(bench: Bench) -> Outcome:
    """Split and train on folders without images, and on lists that never end."""
    outcome = Outcome()
    work = copy_fixture(bench)
    (work / "empty").mkdir()
    (work / "nested" / "a" / "b" / "c").mkdir(parents=True)
    (work / "files").mkdir()
    (work / "files" / "notes.txt").write_text("notes")
    for name in ("empty", "nested", "files", "nowhere"):
        outcome.expect_end(name, hubtune("split", name, "--val", "2", "--out", "x", cwd=work), 3)
    for name in (".DS_Store", "Thumbs.db", "__MACOSX/._0.png", "a/.hidden.png", "a/Thumbs.db", "a/notes.txt"):
        file = work / "pics" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    ended = hubtune("split", "pics", "--val", "2", "--out", "y", cwd=work)
    outcome.expect_end("system files", ended, 0)
    outcome.expect("__MACOSX" not in (work / "y" / "label_list.txt").read_text(), "__MACOSX is a class")
    (work / "none.txt").write_text("")
    os.mkfifo(work / "pipe.txt")
    (work / "zero.txt").symlink_to("/dev/zero")
    for name in ("none.txt", "pipe.txt", "zero.txt"):
        words = ("finetune", "m.yaml", "-o", f"run=runs/{name}", "-o", f"data.train={name}")
        ended = hubtune(*words, cwd=work, seconds=20, prepare=lambda: limit_memory(1024))
        outcome.expect_end(f"the list {name}", ended, 3)
    return outcome


def copies(bench: Bench) -> Outcome:
    """Find copies across lists and classes."""
    outcome = Outcome()
    work = copy_fixture(bench)
    draw(work / "large", each=6, side=96)
    soft = np.linspace(0, 255, 96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8)
    Image.fromarray(soft).save(work / "large" / "a" / "soft.png")
    for number in range(6):
        shutil.copy(work / "large" / "a" / "soft.png", work / "large" / "a" / f"copy{number}.png")
    shutil.copy(work / "large" / "b" / "0.png", work / "large" / "c" / "other_class.png")
    ended = hubtune("split", "large", "--val", "3", "--test", "3", "--out", "l", "--json", cwd=work)
    outcome.expect_end("split", ended, 0, "other_class.png")
    lists = [path.read_text() for path in (work / "l").glob("*_list.txt")]
    spread = sum("copy" in text or "soft" in text for text in lists)
    outcome.expect(spread == 1, f"equal images are in {spread} lists")
    (work / "leak").mkdir()
    for name, text in (("train", "../large/a/soft.png 0\n"), ("test", "../large/a/copy1.png 0\n")):
        (work / "leak" / f"{name}_list.txt").write_text(text + "../large/b/1.png 1\n" * (name == "train"))
    (work / "leak" / "label_list.txt").write_text("a\nb\n")
    outcome.expect_end("a leak in lists", hubtune("split", "--from", "leak", cwd=work), 8, "copy1.png")
    return outcome


def changing(bench: Bench) -> Outcome:
    """Use data that is read-only, has a loop of links, or changes between a run and its continuation."""
    outcome = Outcome()
    work = copy_fixture(bench)
    (work / "pics" / "a" / "loop").symlink_to("..")
    before = _names(work / "pics")
    ended = hubtune("split", "pics", "--val", "2", "--out", "l", cwd=work)
    outcome.expect_end("a loop of links", ended, 0)
    text = "".join(path.read_text() for path in (work / "l").glob("*_list.txt"))
    outcome.expect(text.count("a/0.png") == 1, "a file is listed more than once")
    outcome.expect(_names(work / "pics") == before, "the data folder is changed")
    changed = work / "pics" / "b" / "0.png"
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(changed)
    ended = hubtune("finetune", "runs/half", "--resume", cwd=work)
    outcome.expect_end("changed files", ended, 0, "changed")
    shutil.copytree(work, bench.folder / "fixed", symlinks=True)
    fixed = bench.folder / "fixed"
    mount = ["mount", "--bind", "-o", "ro", str(work / "pics"), str(fixed / "pics")]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        outcome.open.append("a read-only data folder: this process may not mount one")
        return outcome
    try:
        for words in (("scan", "pics"), ("finetune", "m.yaml", "-o", "run=runs/f")):
            outcome.expect_end(f"{words[0]} on read-only data", hubtune(*words, cwd=fixed), 0)
    finally:
        subprocess.run(["umount", "-l", str(fixed / "pics")], check=False)
    return outcome


def _names(folder: Path) -> list[str]:
    """All names below a folder, without following links."""
    return sorted(os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)  # noqa: PTH118
