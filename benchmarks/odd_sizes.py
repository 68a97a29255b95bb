"""Time and memory of commands on data of odd sizes: many classes, long lists, large archives, look-alikes.

    python benchmarks/odd_sizes.py [CASE …] [--scale 0.1] [--profile]

Each case is made and run at three sizes, each twice the one before, and each command in its own process. The
ratio is that of the processor time to that at the size before: 2 is linear. Images are small, drawn, and
repeated by hard links where a case does not need different ones. CASE is a key of ``CASES``; default: all.
"""

import argparse
import csv
import os
import pstats
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

_CLASSES = 7  # those of digitnet; of cases that are not about classes
_LINKED = 1000  # different images of a case that repeats them; a file has at most 65,000 links
_SETTLING_SECONDS = 3  # files that were changed a moment ago are not kept in the cache

_UNLISTED = """
import sys
from pathlib import Path
from hubtune.data.dataset import ListDataset
from hubtune.data.unlisted import find_unlisted
print(find_unlisted(ListDataset(Path(sys.argv[1])), sys.argv[2]))
"""
_READ = """
import sys
from pathlib import Path
from hubtune.data.dataset import ListDataset
dataset = ListDataset(Path(sys.argv[1]))
dataset.check_files()
print(len(dataset.examples("train")), *dataset.remarks)
"""


class Command(NamedTuple):
    """A command line; ``codes`` are the exit statuses that are expected of it."""

    what: str
    arguments: tuple[str, ...]
    codes: tuple[int, ...] = (0,)
    program: str = ""


Case = Callable[[Path, int], Iterator[Command]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes")
    parser.add_argument("--sizes", type=int, default=3, help="how many sizes: the last one, and its halves")
    parser.add_argument(
        "--work", type=Path, help="a folder for the data, a few gigabytes; default: a temporary one"
    )
    parser.add_argument(
        "--profile", action="store_true", help="print where the time goes, at the largest size"
    )
    given = parser.parse_args()
    print("| n | command | seconds | CPU seconds | ratio | peak MB |\n|-|-|-|-|-|-|", flush=True)
    for name in given.cases or CASES:
        case, most = CASES[name]
        before: dict[str, float] = {}
        for step in reversed(range(given.sizes)):
            count = max(8, round(most * given.scale) >> step)
            with tempfile.TemporaryDirectory(dir=given.work) as folder:
                os.environ["HUBTUNE_HOME"] = str(Path(folder) / "home")
                for command in case(Path(folder), count):
                    before[command.what] = _measure(
                        folder, count, command, before, given.profile and not step
                    )


def _measure(folder: str, count: int, command: Command, before: dict[str, float], profile: bool) -> float:
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile() as calls:
        profiler = ("-m", "cProfile", "-o", calls.name) if profile else ()
        program = ("-c", command.program) if command.program else (*profiler, "-m", "hubtune")
        arguments = [sys.executable, *program, *command.arguments]
        process = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        output.seek(0)
        printed = output.read().decode(errors="replace")
        if profile and not command.program:
            pstats.Stats(calls.name).sort_stats("tottime").print_stats(12)
    if os.waitstatus_to_exitcode(status) not in command.codes:
        sys.exit(f"{command.what}, {count:,}: {printed[-2000:]}")
    busy = used.ru_utime + used.ru_stime
    ratio = f"{busy / before[command.what]:.1f}" if command.what in before else ""
    memory = used.ru_maxrss / 1000 if sys.platform != "darwin" else used.ru_maxrss / 1e6
    print(f"| {count:,} | {command.what} | {seconds:.1f} | {busy:.1f} | {ratio} | {memory:.0f} |", flush=True)
    return busy


def _drawn(number: int, side: int = 16) -> bytes:
    """A PNG file of noise, so that no two are alike."""
    noise = np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)
    return _png(noise)


def _png(pixels: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _linked(folder: Path, count: int, name_of: Callable[[int], str]) -> list[str]:
    """Write some images, link them under ``count`` names, and return the names."""
    pool = folder / "pool"
    for number in range(min(count, _LINKED)):
        _write(pool / f"{number}.png", _drawn(number))
    names = [name_of(number) for number in range(count)]
    for parent in {(folder / name).parent for name in names}:
        parent.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        os.link(pool / f"{number % _LINKED}.png", folder / name)
    return names


def many_classes(folder: Path, count: int) -> Iterator[Command]:
    """Classes of two to five images, 32 × 32 of noise."""
    for label in range(count):
        for number in range(2 + label % 4):
            _write(folder / "pics" / f"class{label:05}" / f"{number}.png", _drawn(10 * label + number, 32))
    time.sleep(_SETTLING_SECONDS)
    pics, out = str(folder / "pics"), str(folder / "lists")
    yield Command("classes: split", ("split", pics))
    yield Command("classes: split again, --val 1", ("split", pics, "--val", "1", "--out", out))
    yield Command(
        "classes: --test 1 --seed 3", ("split", pics, "--test", "1", "--seed", "3", "--out", f"{out}2")
    )
    yield Command("classes: --train 1", ("split", pics, "--train", "1", "--out", f"{out}3"))
    by_number = ("--group-by", r"(\d+)\.png", "--out", f"{out}4")
    yield Command("classes: --group-by, across all classes", ("split", pics, *by_number))
    halves = ("--group-by", r"(class\d+)\d/", "--test", "20%", "--out", f"{out}6")
    yield Command("classes: --group-by, ten classes a group", ("split", pics, *halves))
    names = folder / "names.txt"
    names.write_text("".join(f"class{label:05} name {label}\n" for label in range(count)))
    yield Command("classes: --labels", ("split", pics, "--labels", str(names), "--out", f"{out}7"))
    yield Command("classes: --folds 2", ("split", pics, "--folds", "2", "--out", f"{out}8"))
    yield Command("classes: split --from", ("split", "--from", out))
    yield Command("classes: scan --json", ("scan", pics, "--json"))


def archive(folder: Path, count: int) -> Iterator[Command]:
    """A zip of images of noise in seven classes, a tenth of them different."""
    with zipfile.ZipFile(folder / "pics.zip", "w") as packed:
        for number in range(count):
            packed.writestr(f"pics/class{number % _CLASSES}/{number:06}.png", _drawn(number % (count // 10)))
    yield Command("zip: split", ("split", str(folder / "pics.zip")))
    yield Command("zip: scan", ("scan", str(folder / "pics.zip")))


def lookalikes(kind: str) -> Case:
    def case(folder: Path, count: int) -> Iterator[Command]:
        for number in range(count):
            _write(
                folder / "pics" / f"class{number % 10}" / f"{number}.png",
                _png(_LOOKALIKES[kind](number, count)),
            )
        time.sleep(_SETTLING_SECONDS)
        yield Command(f"{kind}: split", ("split", str(folder / "pics")))

    return case


def _digit(number: int, count: int, side: int) -> np.ndarray:
    from sklearn.datasets import load_digits

    image = Image.fromarray((load_digits().images[number % 1797] * 15.9).astype(np.uint8))
    moved = image.resize((side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(moved).copy()
    pixels[0, 0] = number // 1797  # beyond the first 1,797: other bytes
    return pixels


def _blank(number: int, count: int) -> np.ndarray:
    pixels = np.full((40, 40), 250, np.uint8)
    pixels[number // 40 % 40, number % 40] = 249 - number // 1600
    return pixels


def _blob(number: int, count: int) -> np.ndarray:
    """A soft spot on a plain ground, as a product on white, or an X-ray."""
    random = np.random.default_rng(number)
    down, right = np.mgrid[:40, :40] / 40 - 0.5
    x, y, width = [*random.uniform(-0.05, 0.05, 2).tolist(), random.uniform(0.15, 0.25)]
    return (250 - 150 * np.exp(-((right - x) ** 2 + (down - y) ** 2) / width**2)).astype(np.uint8)


def _icon(number: int, count: int) -> np.ndarray:
    """A square icon of 32 pixels: a frame with a few cells that differ."""
    cells = np.random.default_rng(number).integers(0, 2, (5, 5), np.uint8) * 200
    icon = np.full((32, 32), 30, np.uint8)
    icon[6:26, 6:26] = np.kron(cells, np.ones((4, 4), np.uint8))
    return icon


_LOOKALIKES: dict[str, Callable[[int, int], np.ndarray]] = {
    "digits of 8 pixels": lambda number, count: _digit(number, count, 8),
    "digits of 32 pixels": lambda number, count: _digit(number, count, 32),
    "nearly blank": _blank,
    "soft spots": _blob,
    "icons": _icon,
}


def long_list(folder: Path, count: int) -> Iterator[Command]:
    """Lists of images that exist, that do not, and that are found elsewhere or in another spelling."""
    names = _linked(folder, count, lambda number: f"lists/pics/{number % 1000:03}/IMG_{number:07}.png")
    names = [name.removeprefix("lists/") for name in names]
    lists = folder / "lists"
    (lists / "label_list.txt").write_text("".join(f"class{label}\n" for label in range(_CLASSES)))
    _write_list(lists / "train_list.txt", names)
    yield Command("list: read", (str(lists),), program=_READ)
    for what, spelled in _SPELLINGS.items():
        _write_list(lists / "train_list.txt", [spelled(name) for name in names])
        yield Command(f"list, {what}: read", (str(lists),), program=_READ)
    _write_list(lists / "train_list.txt", [name.replace("IMG", "gone") for name in names])
    _write_list(lists / "validate_list.txt", [name.replace("IMG", "gone") for name in names[:10]])
    yield Command("list, missing: split --from", ("split", "--from", str(lists)), (3,))
    yield Command("list, missing: split", ("split", str(lists / "train_list.txt")), (3,))
    yield Command("list, missing: finetune", ("finetune", str(lists), "-o", "module.weights=none"), (3,))
    on = ("--on", str(lists / "train_list.txt"))
    yield Command("list, missing: evaluate", ("evaluate", "--module", "digitnet", *on), (3,))


_SPELLINGS: dict[str, Callable[[str], str]] = {
    "other root": lambda name: f"/home/someone/data/{name}",
    "other case": lambda name: name.replace("IMG", "img"),
    "backslashes": lambda name: name.replace("/", "\\"),
    "no suffix": lambda name: name.removesuffix(".png"),
    "folder missing": lambda name: name.removeprefix("pics/"),
}


def _write_list(file: Path, names: list[str]) -> None:
    labels = (number % _CLASSES for number in range(len(names)))
    file.write_text("".join(f"{name} {label}\n" for name, label in zip(names, labels, strict=True)))


def table(folder: Path, count: int) -> Iterator[Command]:
    """A CSV table of images that do not exist, and one of images at another root."""
    for what, name in (("missing", "gone/{:07}.png"), ("one missing", "{:07}.png")):
        file = folder / f"{what}.csv".replace(" ", "_")
        if what == "one missing":
            _linked(folder, count, lambda number: f"{number:07}.png")
        with file.open("w", newline="") as opened:
            rows = csv.writer(opened)
            rows.writerow(("path", "label", "patient"))
            rows.writerows((name.format(n), f"class{n % 10}", f"p{n // 5}") for n in range(count + 1))
        yield Command(f"table, {what}: split", ("split", str(file), "--group-by", "patient"), (3,))


def full_folder(folder: Path, count: int) -> Iterator[Command]:
    """Two folders with half of the images each; then as many more, which are in no list."""
    _linked(folder, count, lambda number: f"pics/class{number % 2}/{number:06}.png")
    time.sleep(_SETTLING_SECONDS)
    yield Command("folder: split", ("split", str(folder / "pics")))
    yield Command("folder: split again", ("split", str(folder / "pics")))
    yield Command("folder: scan --json", ("scan", str(folder / "pics"), "--json"))
    for number in range(count):
        os.link(
            folder / "pool" / f"{number % _LINKED}.png", folder / "pics" / "class0" / f"new{number:06}.png"
        )
    yield Command("folder: images in no list", (str(folder), str(folder / "pics")), program=_UNLISTED)


def masks(folder: Path, count: int) -> Iterator[Command]:
    """A folder per class in which half of the files are masks."""

    def name(number: int) -> str:
        return f"pics/class{number // 2 % _CLASSES}/{number // 2:06}{'_mask' * (number % 2)}.png"

    _linked(folder, count, name)
    time.sleep(_SETTLING_SECONDS)
    yield Command("masks: split", ("split", str(folder / "pics")))


def deep_folders(folder: Path, count: int) -> Iterator[Command]:
    """Each image in a folder of its own, thirty folders deep."""
    deep = "/".join("abcdefghijklmnopqrstuvwxyzabcd")
    _linked(folder, count, lambda number: f"pics/class{number % 2}/{deep}/{number:06}/{number}.png")
    time.sleep(_SETTLING_SECONDS)
    yield Command("deep folders: split", ("split", str(folder / "pics")))


def named_labels(folder: Path, count: int) -> Iterator[Command]:
    """Lists with one class for each two images, in folders that are called otherwise; labels are names."""
    names = _linked(folder, 2 * count, lambda number: f"lists/pics/n{number // 2:05}/{number:06}.png")
    names = [name.removeprefix("lists/") for name in names]
    lists = folder / "lists"
    (lists / "label_list.txt").write_text("".join(f"thing{label}\n" for label in range(count)))
    lines = [f"{name} thing{number // 2}\n" for number, name in enumerate(names)]
    (lists / "train_list.txt").write_text("".join(lines))
    yield Command("named labels: read", (str(lists),), program=_READ)
    (lists / "train_list.txt").write_text("".join([*lines, "pics/x.png thing\n"]))
    yield Command("named labels, one unknown: split --from", ("split", "--from", str(lists)), (3,))
    with (lists / "table.csv").open("w") as file:
        file.write("path,label\n")
        file.writelines(line.replace(" ", ",") for line in lines)
    yield Command(
        "named labels: split TABLE", ("split", str(lists / "table.csv"), "--out", str(folder / "o"))
    )


CASES: dict[str, tuple[Case, int]] = {
    "classes": (many_classes, 10_000),
    "zip": (archive, 100_000),
    **{kind.replace(" ", "_"): (lookalikes(kind), 1800) for kind in _LOOKALIKES},
    "list": (long_list, 1_000_000),
    "table": (table, 1_000_000),
    "folder": (full_folder, 100_000),
    "masks": (masks, 100_000),
    "deep": (deep_folders, 10_000),
    "labels": (named_labels, 10_000),
}


if __name__ == "__main__":
    main()
