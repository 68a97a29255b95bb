"""Work that grows with the number of images and classes, and not with its square."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from support.work import count_instructions

from hubtune.data.dataset import ListDataset
from hubtune.data.dedup.groups import DuplicateGroup, expected_leaks
from hubtune.data.label_folders import compare_folders
from hubtune.data.list_labels import class_labels
from hubtune.data.listed_paths import find_files
from hubtune.data.listing import ImageEntry
from hubtune.data.sources.layout import read_layout
from hubtune.data.sources.rows import Rows
from hubtune.data.splits.assignment import Assignment
from hubtune.data.splits.class_names import read_display_names
from hubtune.data.splits.files import Split
from hubtune.data.splits.kfold import make_folds
from hubtune.data.splits.leakage import find_leaks
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.unlisted import find_unlisted
from hubtune.errors import DataError

FEW, MANY = 60, 240


def names(count):
    return [f"class{number:05}" for number in range(count)]


def label_folders(folder, count):
    rows = [(f"list:{n}", f"pics/n{n:05}/{n}.png", n) for n in range(count)]
    return lambda: compare_folders(rows, names(count), "")


def layout(folder, count):
    for name in names(count):
        (folder / name).mkdir()
    return lambda: read_layout(folder)


def display_names(folder, count):
    file = folder / "names.txt"
    file.write_text("".join(f"{name} name of {name}\n" for name in names(count)))
    return lambda: read_display_names(file, names(count))


def unknown_label(folder, count):
    written = {**dict.fromkeys(names(count), "list:1"), "other": "list:2"}

    def read():
        with contextlib.suppress(DataError):
            class_labels(written, names(count), folder / "label_list.txt")

    return read


def random_leaks(folder, count):
    lists = {"train": dict.fromkeys(range(count), 3), "test": dict.fromkeys(range(count), 1)}
    return lambda: expected_leaks([dict.fromkeys(range(count), 2)], lists, dict.fromkeys(range(count), 4))


def left_over(folder, count):
    groups = [DuplicateGroup((4 * n, 4 * n + 1), "given") for n in range(count)]
    request = SplitRequest(SplitSize.parse(1), train=1)

    def allocate():
        assignment = Assignment([n // 4 for n in range(4 * count)], count)
        assignment.allocate(groups, lambda unit: unit, request)

    return allocate


def bound_to_training(folder, count):
    def bind():
        assignment = Assignment([*range(count)], count)
        for n in range(count):
            assignment.bind([n])

    return bind


def leaks_of_a_placeholder(folder, count):
    images = [ImageEntry(Path(f"{n}.png"), 0, sha256="same") for n in range(2 * count)]
    parts = ["train", "test"] * count
    leaks = find_leaks(images, parts, [DuplicateGroup(tuple(range(2 * count)), "equal")])
    split = Split(["a"], ["a"], {"train": images[::2], "validate": [], "test": images[1::2]}, leaks=leaks)
    return split.without_leaks


def folds(folder, count):
    labels = np.repeat(np.arange(count), 3)
    return lambda: make_folds(labels, range(3 * count), folds=3, seed=0)


def other_roots(folder, count):
    for name in names(count):
        (folder / name).mkdir()
        for number in range(3):
            (folder / name / f"{number}.png").touch()
    written = [f"/elsewhere/{name}/{number}.png" for name in names(count) for number in range(3)]
    return lambda: find_files(written, folder)


def missing_files(folder, count):
    return lambda: find_files([f"pics/{number}.png" for number in range(count)], folder)


def table_rows(folder, count):
    def add():
        rows = Rows(folder)
        for number in range(count):
            rows.add(f"table:{number}", f"{number}.png", f"{number}.png", f"{number % 2}", None, None)
        rows.listing(folder)

    return add


def unlisted(folder, count):
    (folder / "split.json").write_text(f'{{"options": {{"pictures": "{folder}/pics"}}, "left_out": []}}')
    for number in range(2 * count):
        (folder / "pics" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        (folder / "pics" / f"{number % 2}" / f"{number}.png").touch()
    lines = [f"pics/{number % 2}/{number}.png {number % 2}\n" for number in range(count)]
    (folder / "train_list.txt").write_text("".join(lines))
    return lambda: find_unlisted(ListDataset(folder))


def unlisted_beside(folder, count):
    for number in range(count):
        (folder / "pics" / f"{number}" / "front").mkdir(parents=True)
        (folder / "pics" / f"{number}" / "front" / "0.png").touch()
    lines = [f"pics/{number}/front/0.png {number % 2}\n" for number in range(count)]
    (folder / "train_list.txt").write_text("".join(lines))
    return lambda: find_unlisted(ListDataset(folder))


CASES = (
    label_folders,
    layout,
    display_names,
    unknown_label,
    random_leaks,
    left_over,
    bound_to_training,
    leaks_of_a_placeholder,
    folds,
    other_roots,
    missing_files,
    table_rows,
    unlisted,
    unlisted_beside,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_four_times_as_many_take_little_more_than_four_times_the_work(case, tmp_path):
    work = []
    for count in (FEW, MANY):
        folder = tmp_path / str(count)
        folder.mkdir()
        prepared = case(folder, count)
        prepared()  # what is imported and compiled at first use is not counted
        work.append(count_instructions(prepared))
    assert np.log(work[1] / work[0]) / np.log(MANY / FEW) < 1.25
