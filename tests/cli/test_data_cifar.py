"""``hubtune data cifar`` as a person meets it."""

import json

from support.cifar_files import cifar10, write_archive, write_folder


def test_an_archive_becomes_a_data_set_and_the_next_command_is_named(here, run_here):
    write_archive(here / "cifar-10-python.tar.gz", cifar10())
    done = run_here(*"data cifar cifar-10-python.tar.gz -o datasets/cifar10 --val 2".split())
    assert done.returncode == 0, done.stderr
    assert done.stdout == "CIFAR-10: 3 classes; 54 pictures for training, 6 for validation, 12 for the test\n"
    assert done.stderr == (
        "Written to datasets/cifar10\n"
        "Next: hubtune finetune recipes/cifar10_resnet.yaml -o data.base=datasets/cifar10\n"
    )
    assert sorted(path.name for path in (here / "datasets" / "cifar10").iterdir()) == [
        *("label_list.txt", "split.json", "test", "test_list.txt", "train", "train_list.txt"),
        "validate_list.txt",
    ]


def test_left_out_pictures_are_named_and_mistakes_refused(here, run_here, assert_refused):
    files = cifar10()
    files["data_batch_1"]["data"][:2] = files["test_batch"]["data"][:2]
    # As many values as published CIFAR batches have are within the limit of instructions.
    files["data_batch_1"]["coarse_labels"] = [row % 3 for row in range(4000)] * 50
    write_folder(here / "batches", files)
    assert_refused(
        ("data cifar nowhere -o out", 3, "nowhere"),
        ("data cifar batches -o batches", 2, "batches"),
        ("data cifar batches -o out --val x", 2, "'x'"),
        ("data cifar batches", 2, "--out"),
    )
    assert [path.name for path in here.iterdir()] == ["batches"]
    left_out = "• 2 training pictures left out, as the test list has the same; split.json names them.\n"
    assert left_out in run_here("data", "cifar", "batches", "-o", "out").stderr
    done = run_here("data", "cifar", "batches", "-o", "other", "--val", 0, "--json")
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
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
