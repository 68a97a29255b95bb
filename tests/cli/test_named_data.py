"""A public data set by name: pulled on first use, unless a folder of that name is there."""

from pathlib import Path

from support.commands import json_of
from support.published_data import SMALL_FILES, published

from hubtune.data.existing_lists import find_lists
from hubtune.data.published.catalog import DATASETS
from hubtune.data.published.pull import dataset_folder


def test_a_name_is_pulled_on_first_use_by_each_command_that_takes_pictures(here, run_here, monkeypatch):
    with published(monkeypatch, "flower_photos", SMALL_FILES["flower_photos"]()) as server:
        first = run_here("scan", "flower_photos")
        assert first.returncode == 0, first.stderr
        for part in (
            "TensorFlow's flower photos: 3,670 pictures of 5 classes",
            "CC BY 2.0",
            server.base,
            "SHA-256",
        ):
            assert part in first.stderr
        assert "flower_photos is the public data set in " in first.stderr
        again = run_here("split", "flower_photos", "--val", 1)
        assert (again.returncode, len(server.requests)) == (0, 1), again.stderr
    # Lists for a source in the cache lie beside the person's own work, where the next command finds them.
    assert (here / "flower_photos-lists" / "train_list.txt").exists()
    run = json_of(
        run_here("finetune", "flower_photos", "-o", "module=smallnet", "-o", "module.weights=none", "--json")
    )
    assert run["taken_for"].startswith("flower_photos-lists has the lists")
    assert (here / "runs" / "flower_photos" / "result.json").exists()


def test_lists_of_ones_own_go_before_the_official_ones(here, run_here, monkeypatch):
    with published(monkeypatch, "dtd", SMALL_FILES["dtd"]()):
        assert run_here("split", "dtd").returncode == 0
    assert find_lists(str(dataset_folder(DATASETS["dtd"]))) == Path("dtd-lists")
    (here / "dtd-lists" / "train_list.txt").unlink()
    assert find_lists(str(dataset_folder(DATASETS["dtd"]))) == dataset_folder(DATASETS["dtd"])


def test_a_folder_of_the_name_goes_first(here, run_here, draw_photos):
    draw_photos(here / "eurosat", {"a": 3, "b": 3})
    done = run_here("scan", "eurosat")
    assert done.returncode == 0, done.stderr
    assert "public data set" not in done.stderr


def test_without_a_network_one_sentence_says_what_to_do(here, assert_refused, monkeypatch):
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert_refused(
        ("finetune cifar10", 5, "Fetch https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz on another"),
        ("tune cifar100", 5, "cifar-100-python.tar.gz"),
        ("finetune cifar11", 2, "`hubtune data list` shows. Did you mean 'cifar10'?"),
        ("data preview dtdd", 2, "Did you mean 'dtd'?"),
    )
