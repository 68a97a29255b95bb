"""``hubtune data cifar`` as a person meets it."""

import json
from functools import partial

import pytest
from support.cifar_files import cifar10, write_archive, write_folder
from support.commands import invoke

from hubtune.cli.data_cifar import command
from hubtune.errors import DataError, UsageError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


run = partial(invoke, command)


def test_an_archive_becomes_a_data_set_and_the_next_command_is_named(here):
    write_archive(here / "cifar-10-python.tar.gz", cifar10())
    result = run("cifar-10-python.tar.gz", "-o", "datasets/cifar10", "--val", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "CIFAR-10: 3 classes; 54 pictures for training, 6 for validation, 12 for the test\n"
    )
    assert result.stderr == (
        "Written to datasets/cifar10\n"
        "Next: hubtune finetune recipes/cifar10_resnet.yaml -o data.base=datasets/cifar10\n"
    )
    assert sorted(path.name for path in (here / "datasets" / "cifar10").iterdir()) == [
        *("label_list.txt", "split.json", "test", "test_list.txt", "train", "train_list.txt"),
        "validate_list.txt",
    ]


def test_left_out_pictures_are_named_and_json_has_the_same_figures(here):
    files = cifar10()
    files["data_batch_1"]["data"][:2] = files["test_batch"]["data"][:2]
    # As many values as published CIFAR batches have are within the limit of instructions.
    files["data_batch_1"]["coarse_labels"] = [row % 3 for row in range(4000)] * 50
    write_folder(here / "batches", files)
    result = run("batches", "-o", "out")
    left_out = "• 2 training pictures left out, as the test list has the same; split.json names them.\n"
    assert left_out in result.stderr
    result = run("batches", "-o", "other", "--val", "0", "--json")
    assert json.loads(result.stdout) == {
        "schema_version": 1,
        "folder": "other",
        "name": "CIFAR-10",
        "classes": ["bird", "cat", "frog"],
        "counts": {"train": 58, "validate": 0, "test": 12},
        "left_out": 2,
        "remarks": [
            "2 groups of copies or related pictures (2 byte-equal) with 4 pictures in all; "
            "each group stays in one list."
        ],
    }
    assert result.stderr == ""


def test_refusals_have_their_exit_codes(here):
    write_folder(here / "batches", cifar10())
    for error, arguments in (
        (DataError, ("nowhere", "-o", "out")),
        (UsageError, ("batches", "-o", "batches")),
        (UsageError, ("batches", "-o", "out", "--val", "x")),
    ):
        assert isinstance(run(*arguments).exception, error)
    assert run("batches").exit_code == 2  # no --out
    assert not (here / "out").exists()
