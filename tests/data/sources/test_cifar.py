"""CIFAR's files become pictures and lists: all of them, as they are, or nothing."""

import gzip
import io
import json
import pickle
import tarfile
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cifar_files import NAMES, cifar10, cifar100, pixels, python_2, write_archive, write_folder

from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.sources import cifar
from hubtune.data.sources.cifar import convert
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.storage.pickle_reader import read_plain_pickle

read = partial(read_plain_pickle, most_opcodes=10_000)


def lists(folder):
    """List → its pictures as they stand in it, with their labels."""
    names = {"train": "train_list.txt", "validate": "validate_list.txt", "test": "test_list.txt"}
    return {name: (folder / file).read_text().splitlines() for name, file in names.items()}


def refusal(tmp_path, source, kind=DataError, **options):
    with pytest.raises(kind) as refused:
        convert(source, tmp_path / "out", read=read, **options)
    assert not list(tmp_path.glob("*out*")), "something was left behind"
    assert not list(tmp_path.glob(".*"))
    return str(refused.value).replace(f"{tmp_path}/", "")


@pytest.fixture
def files():
    return cifar10()


@pytest.mark.parametrize("form", [write_folder, write_archive])
def test_every_value_of_every_picture_is_kept(tmp_path, files, form):
    source = form(tmp_path / "cifar", files)
    done = convert(source, tmp_path / "new" / "out", read=read, validate="2")
    assert (done.name, done.classes) == ("CIFAR-10", tuple(NAMES))
    assert done.counts == {"train": 54, "validate": 6, "test": 12}
    assert (done.left_out, done.remarks) == (0, ())
    dataset = ListDataset(tmp_path / "new" / "out")
    assert dataset.label_list == NAMES
    seen = 0
    for name in LIST_NAMES:
        for example in dataset.examples(name):
            batch, row = example.path.stem.rsplit("_", 1)
            assert (batch == "test_batch") == (name == "test")
            assert example.label == files[batch]["labels"][int(row)]
            assert example.path.parent.name == NAMES[example.label]
            planes = files[batch]["data"][int(row)].reshape(3, 32, 32)
            with Image.open(example.path) as image:
                assert image.format == "PNG"
                np.testing.assert_array_equal(np.asarray(image), planes.transpose(1, 2, 0))
            seen += 1
    assert seen == 72


def test_folder_and_archive_give_the_same_lists(tmp_path, files):
    convert(write_folder(tmp_path / "cifar", files), tmp_path / "one", read=read)
    convert(write_archive(tmp_path / "cifar.tar.gz", files), tmp_path / "two", read=read)
    assert lists(tmp_path / "one") == lists(tmp_path / "two")


def test_an_archive_that_a_browser_has_unpacked_is_read(tmp_path, files):
    packed = write_archive(tmp_path / "cifar.tar.gz", files).read_bytes()
    (tmp_path / "cifar.tar").write_bytes(gzip.decompress(packed))
    assert convert(tmp_path / "cifar.tar", tmp_path / "out", read=read).counts["test"] == 12


def test_cifar_100_has_its_fine_classes(tmp_path):
    done = convert(write_folder(tmp_path / "cifar", cifar100()), tmp_path / "out", read=read, validate="25%")
    assert (done.name, done.classes) == ("CIFAR-100", tuple(NAMES))
    assert done.counts == {"train": 9, "validate": 3, "test": 12}
    assert lists(tmp_path / "out")["test"][0] == "test/bird/test_00000.png 0"


def test_validation_pictures_are_drawn_by_the_seed_from_every_class(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)
    for number, seed in enumerate((0, 0, 1)):
        convert(source, tmp_path / str(number), read=read, validate="3", seed=seed)
    first, again, other = (lists(tmp_path / str(number)) for number in range(3))
    assert first == again
    assert first["validate"] != other["validate"]
    assert first["test"] == other["test"]
    assert [line.split()[1] for line in first["validate"]] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3


def test_no_validation_pictures_where_none_are_wanted(tmp_path, files):
    done = convert(write_folder(tmp_path / "cifar", files), tmp_path / "out", read=read, validate="0")
    assert done.counts == {"train": 60, "validate": 0, "test": 12}
    assert not (tmp_path / "out" / "validate_list.txt").exists()


def test_a_training_picture_that_is_tested_too_is_left_out_and_named(tmp_path, files):
    files["data_batch_2"]["data"][4] = files["test_batch"]["data"][7]
    done = convert(write_folder(tmp_path / "cifar", files), tmp_path / "out", read=read, validate="0")
    assert (done.left_out, done.counts["train"]) == (1, 59)
    record = json.loads((tmp_path / "out" / "split.json").read_text())
    assert record["left_out"] == [
        {"path": "train/cat/data_batch_2_00004.png", "reason": "the same picture is in the test folder"}
    ]
    assert "data_batch_2_00004" not in (tmp_path / "out" / "train_list.txt").read_text()


def test_an_empty_folder_is_filled_and_another_left_alone(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)
    (tmp_path / "out").mkdir()
    convert(source, tmp_path / "out", read=read)
    before = lists(tmp_path / "out")
    with pytest.raises(UsageError, match="holds something already: choose a new folder, or empty this one"):
        convert(source, tmp_path / "out", read=read, seed=1)
    assert lists(tmp_path / "out") == before
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="holds something already"):
        convert(source, tmp_path / "file", read=read)


def test_batches_are_in_memory_one_by_one(tmp_path, files):
    arrays = []
    told = []

    def watched(file, size):
        assert not any(array() is not None for array in arrays), "an earlier batch is still there"
        content = read(file, size)
        if "data" in content:
            content["data"] = content["data"].copy()
            arrays.append(weakref.ref(content["data"]))
        return content

    source = write_folder(tmp_path / "cifar", files)
    convert(source, tmp_path / "out", read=watched, advance=lambda *done: told.append(done))
    assert len(arrays) == 6
    assert told == [(done, 6) for done in range(1, 7)]


# What cannot be used


def test_an_amount_that_is_none_is_refused_first(tmp_path):
    assert refusal(tmp_path, tmp_path / "nowhere", UsageError, validate="many").startswith(
        "'many' is no amount"
    )


def test_what_is_no_cifar_is_refused(tmp_path, files):
    assert refusal(tmp_path, tmp_path / "nowhere") == (
        "There is no nowhere: give CIFAR's folder, or its .tar.gz"
    )
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path, tmp_path / "empty") == (
        "empty holds no batches.meta (CIFAR-10) or meta (CIFAR-100): give the folder cifar-10-batches-py or "
        "cifar-100-python, or its .tar.gz"
    )
    both = write_folder(tmp_path / "both", files | cifar100())
    assert refusal(tmp_path, both).startswith("both holds the names of two data sets: ")
    (tmp_path / "page.tar.gz").write_bytes(b"<html>" * 200)
    assert refusal(tmp_path, tmp_path / "page.tar.gz").startswith(
        "page.tar.gz is damaged, cut short or no archive ("
    )


@pytest.mark.parametrize("form", [write_folder, write_archive])
def test_missing_batches_are_named(tmp_path, files, form):
    del files["data_batch_2"], files["test_batch"]
    assert refusal(tmp_path, form(tmp_path / "cifar", files)) == (
        "cifar lacks data_batch_2, test_batch of CIFAR-10: get it again from "
        "https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)"
    )


def break_label(batch):
    batch["labels"][5] = 3


def break_label_type(batch):
    batch["labels"][5] = "1"


def break_length(batch):
    batch["labels"].pop()


def break_shape(batch):
    batch["data"] = batch["data"][:, :3000]


def break_type(batch):
    batch["data"] = batch["data"].astype(np.uint16)


def break_data(batch):
    del batch["data"]


def break_labels(batch):
    batch["fine_labels"] = batch.pop("labels")


def break_rows(batch):
    # Names, as a shape may not be larger than the file.
    batch["data"], batch["labels"], batch["filenames"] = batch["data"][:0], [], ["x" * 250] * 20


@pytest.mark.parametrize(
    ("break_batch", "words"),
    [
        (break_label, "the label of row 5 is none from 0 to 2"),
        (break_label_type, "the label of row 5 is none from 0 to 2"),
        (break_length, "has 12 pictures, but 11 labels"),
        (break_shape, "has the type uint8 and the shape [12, 3000] in place of uint8 and [N, 3072]"),
        (break_type, "has the type uint16 and the shape [12, 3072] in place of uint8 and [N, 3072]"),
        (break_rows, "has the type uint8 and the shape [0, 3072]"),
        (break_data, "has no 'data': it is no batch of CIFAR-10"),
        (break_labels, "has no 'labels': it is no batch of CIFAR-10"),
    ],
)
def test_a_batch_that_is_none_is_refused_and_nothing_is_left(tmp_path, files, break_batch, words):
    break_batch(files["data_batch_5"])
    message = refusal(tmp_path, write_folder(tmp_path / "cifar", files))
    assert message.startswith("cifar/data_batch_5")
    assert words in message


@pytest.mark.parametrize("cut", [1, 20, 5000])
def test_a_batch_that_is_cut_short_is_refused(tmp_path, files, cut):
    source = write_folder(tmp_path / "cifar", files)
    whole = (source / "data_batch_3").read_bytes()
    (source / "data_batch_3").write_bytes(whole[:-cut])
    assert refusal(tmp_path, source).startswith("cifar/data_batch_3 is damaged (")


def test_a_hostile_batch_is_refused_and_nothing_in_it_runs(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)
    command = f"echo x > {tmp_path / 'canary'}"
    hostile = b"\x80\x02}U\x04data" + b"cos\nsystem\n(U" + bytes([len(command)]) + command.encode() + b"tRs."
    (source / "test_batch").write_bytes(hostile)
    assert refusal(tmp_path, source).startswith(
        "cifar/test_batch is refused (it asks for 'os.system', which arrays never need); get it again from "
    )
    assert not (tmp_path / "canary").exists()
    pickle.loads(hostile)
    assert (tmp_path / "canary").exists(), "the file is not as hostile as it should be"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["bird", "../../cat", "frog"], "the class name '../../cat' cannot be a folder's"),
        (["bird", "", "frog"], "the class name '' cannot be a folder's"),
        (["bird", "c\x1b[2Jat", "frog"], r"the class name 'c\x1b[2Jat' cannot be a folder's"),
        (["bird", "cat", "Cat"], "does not name two or more different classes"),
        (["bird"], "does not name two or more different classes"),
        (["bird", 7, "frog"], "has no list 'label_names'"),
        ("bird", "has no list 'label_names'"),
    ],
)
def test_names_that_cannot_be_classes_are_refused(tmp_path, files, names, words):
    files["batches.meta"]["label_names"] = names
    message = refusal(tmp_path, write_folder(tmp_path / "cifar", files))
    assert message.startswith("cifar/batches.meta")
    assert words in message


def test_a_class_without_training_pictures_is_refused(tmp_path, files):
    files["batches.meta"]["label_names"] = [*NAMES, "deer"]
    source = write_folder(tmp_path / "cifar", files)
    assert refusal(tmp_path, source).startswith("cifar holds no training picture of class 'deer'")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_download_that_was_cut_short_is_refused(tmp_path, files, share):
    path = write_archive(tmp_path / "cifar.tar.gz", files)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert refusal(tmp_path, path).startswith("cifar.tar.gz")


def add(path, *members):
    """Write an archive of members (name, content), or ready-made ones."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_with_a_file_twice_is_refused(tmp_path, files):
    members = [(f"a/{name}", python_2(content)) for name, content in files.items()]
    path = add(tmp_path / "cifar.tar.gz", *members, ("b/test_batch", python_2(files["test_batch"])))
    assert refusal(tmp_path, path).startswith("cifar.tar.gz holds two files called test_batch")


def test_links_in_an_archive_lead_nowhere(tmp_path, files):
    meta = python_2(files["batches.meta"])
    (tmp_path / "secret").write_bytes(python_2(files["test_batch"]))
    with tarfile.open(tmp_path / "cifar.tar", "w") as archive:
        member = tarfile.TarInfo("x/batches.meta")
        member.size = len(meta)
        archive.addfile(member, io.BytesIO(meta))
        for name in set(files) - {"batches.meta"}:
            link = tarfile.TarInfo(f"x/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            archive.addfile(link)
    assert refusal(tmp_path, tmp_path / "cifar.tar").startswith("cifar.tar lacks data_batch_1, data_batch_2,")


def test_what_unpacks_to_more_than_cifar_is_refused(tmp_path, files, monkeypatch):
    monkeypatch.setattr(cifar, "_MOST_BYTES", 2**20)
    bomb = add(tmp_path / "bomb.tar.gz", ("x", bytes(2**21)))
    assert bomb.stat().st_size < 2**14
    assert refusal(tmp_path, bomb).startswith("bomb.tar.gz unpacks to more than any archive of CIFAR")
    files["data_batch_1"]["data"] = pixels(400, 0)
    source = write_folder(tmp_path / "cifar", files)
    assert refusal(tmp_path, source).startswith("cifar/data_batch_1 has 1,2")


def test_a_folder_that_cannot_be_made_is_named(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"file/out cannot be (written|opened)"):
        convert(source, tmp_path / "file" / "out", read=read)


def test_an_interrupted_conversion_leaves_nothing(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)

    def interrupt(done, total):
        assert [*Path(tmp_path).glob(".out.*")]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out", read=read, advance=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar"]
