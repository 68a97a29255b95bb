"""CIFAR's files become images and lists that cost no value and no picture; what is not CIFAR is refused."""

import pickle

import numpy as np
import pytest
from PIL import Image
from support.cifar_files import NAMES, cifar10, cifar100, pixels, write_archive, write_folder

from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.prepare import convert_cifar
from hubtune.data.sources import cifar
from hubtune.data.sources.open import open_source
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.errors import DataError, MachineError, UsageError

ADVICE = "get it again from https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)"


@pytest.fixture
def files():
    return cifar10()


@pytest.fixture
def source(tmp_path, files):
    return write_folder(tmp_path / "cifar", files)


def convert(source, folder, validate="10%", seed=0, **options):
    request = SplitRequest(SplitSize.parse(validate), seed=seed)
    return convert_cifar(source, folder, request, **options)[1]


def sizes(split):
    return [len(split.lists[name]) for name in LIST_NAMES]


def lists(folder):
    files = {name: folder / f"{name}_list.txt" for name in LIST_NAMES}
    return {name: file.read_text().splitlines() for name, file in files.items() if file.exists()}


def refusal(source):
    """Convert what cannot be converted; nothing is left of it. Returns the message without the path."""
    before = {*source.parent.iterdir()}
    with pytest.raises(DataError) as caught:
        convert(source, source.parent / "out")
    assert {*source.parent.iterdir()} == before
    return str(caught.value).replace(f"{source.parent}/", "")


def test_every_value_of_every_image_is_kept(tmp_path, files, source):
    archive = write_archive(tmp_path / "cifar.tar.gz", files)
    split = convert(archive, tmp_path / "out", "2")
    assert (split.labels, sizes(split)) == (NAMES, [54, 6, 12])
    dataset = ListDataset(tmp_path / "out")
    assert dataset.label_list == NAMES
    examples = [example for name in LIST_NAMES for example in dataset.examples(name)]
    assert len({example.path for example in examples}) == 72
    for example in examples:
        batch, row = example.path.stem.rsplit("_", 1)
        assert example.path.parent.name == NAMES[example.label]
        assert files[batch]["labels"][int(row)] == example.label
        planes = files[batch]["data"][int(row)].reshape(3, 32, 32)
        with Image.open(example.path) as image:
            assert image.format == "PNG"
            np.testing.assert_array_equal(np.asarray(image), planes.transpose(1, 2, 0))
    convert(source, tmp_path / "from_folder", "2")
    assert lists(tmp_path / "from_folder") == lists(tmp_path / "out")
    fine = convert(write_folder(tmp_path / "cifar100", cifar100()), tmp_path / "fine", "25%")
    assert (fine.folders, sizes(fine)) == (NAMES, [9, 3, 12])
    assert lists(tmp_path / "fine")["test"][0] == "test/bird/test_00000.png 0"


def test_validation_images_are_drawn_by_the_seed_into_an_empty_folder(tmp_path, source):
    (tmp_path / "first").mkdir()
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        convert(source, tmp_path / name, "3", seed)
    first, again, other = (lists(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first["validate"] != other["validate"]
    assert first["test"] == other["test"]
    assert [line.split()[1] for line in first["validate"]] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    assert sizes(convert(source, tmp_path / "without", "0")) == [60, 0, 12]
    assert not (tmp_path / "without" / "validate_list.txt").exists()
    (tmp_path / "file").touch()
    for place in ("first", "file"):
        with pytest.raises(UsageError, match="holds something already: choose a new folder, or empty this"):
            convert(source, tmp_path / place, seed=1)
    assert lists(tmp_path / "first") == first
    with pytest.raises(MachineError, match=r"file/out cannot be (written|opened)"):
        convert(source, tmp_path / "file" / "out")


def test_a_training_image_that_is_tested_too_is_left_out_and_named(tmp_path, files):
    files["data_batch_2"]["data"][4] = files["test_batch"]["data"][7]
    source = write_folder(tmp_path / "cifar", files)
    split = convert(source, tmp_path / "out", "0")
    assert sizes(split)[0] == 59
    assert [(image.path.name, image.reason) for image in split.left_out] == [
        ("data_batch_2_00004.png", "the same picture is in the test folder")
    ]
    listing = open_source(source)
    assert len(listing.files) == 71
    assert not any("data_batch_2_00004" in file.name for file in listing.files)


def test_an_interrupted_conversion_leaves_nothing(tmp_path, source):
    def interrupt(*_):
        assert [*tmp_path.glob(".out.*")]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out", progress=interrupt)
    assert [*tmp_path.iterdir()] == [source]


def test_other_folders_and_archives_are_refused(tmp_path, files, source, monkeypatch):
    assert refusal(tmp_path / "nowhere") == "There is no nowhere: give CIFAR's folder, or its .tar.gz"
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty") == (
        "empty holds no batches.meta (CIFAR-10) or meta (CIFAR-100): give the folder cifar-10-batches-py or "
        "cifar-100-python, or its .tar.gz"
    )
    both = write_folder(tmp_path / "both", files | cifar100())
    assert refusal(both).startswith("both holds the names of two data sets: ")
    archive = write_archive(tmp_path / "cifar.tar.gz", files)
    whole = archive.read_bytes()
    for content in (b"<html>" * 200, *(whole[: int(share * len(whole))] for share in (0.02, 0.5, 0.99))):
        archive.write_bytes(content)
        assert refusal(archive).startswith("cifar.tar.gz")
    whole = (source / "data_batch_3").read_bytes()
    for cut in (1, 20, 5000):
        (source / "data_batch_3").write_bytes(whole[:-cut])
        assert refusal(source).startswith("cifar/data_batch_3 is damaged (")
    del files["data_batch_2"], files["test_batch"]
    for incomplete in (write_folder(tmp_path / "part", files), write_archive(tmp_path / "part.tar", files)):
        assert refusal(incomplete).endswith(f" lacks data_batch_2, test_batch of CIFAR-10: {ADVICE}")
    monkeypatch.setattr(cifar, "_MOST_BYTES", 20_000)
    assert refusal(source) == "cifar/data_batch_1 cannot be read (it has more than 20,000 bytes)"


NO_FOLDER = "cannot be a folder's"
MALFORMED = [
    ({"labels": [0] * 5 + [3] + [0] * 6}, "has the label 3, which is not one of 0 to 2"),
    ({"labels": [0] * 11}, "has 12 pictures, but 11 labels"),
    ({"data": pixels(12, 0)[:, :3000]}, "has data of uint8 and shape [12, 3000] in place of uint8 and ["),
    ({"data": pixels(12, 0).astype(np.uint16)}, "has data of uint16 and shape [12, 3072] in place of ui"),
    # With names, as a shape may not be larger than the file.
    ({"data": pixels(0, 0), "labels": [], "filenames": ["x" * 250] * 20}, "data of uint8 and shape [0,"),
    ({"data": []}, "has no 'data': it is not a batch of CIFAR-10"),
    ({"labels": "0"}, "has no 'labels': it is not a batch of CIFAR-10"),
    ({"label_names": ["bird", "../../cat", "frog"]}, f"the class name '../../cat' {NO_FOLDER}"),
    ({"label_names": ["bird", "", "frog"]}, f"the class name '' {NO_FOLDER}"),
    ({"label_names": ["bird", "c\x1b[2Jat", "frog"]}, rf"the class name 'c\x1b[2Jat' {NO_FOLDER}"),
    ({"label_names": ["bird", "cat", "Cat"]}, "does not name two or more different classes"),
    ({"label_names": ["bird", 7, "frog"]}, "has no list 'label_names'"),
    ({"label_names": [*NAMES, "deer"]}, "holds no training picture of class 'deer'"),
]


@pytest.mark.parametrize(("changes", "words"), MALFORMED)
def test_malformed_batches_and_names_are_refused(tmp_path, files, changes, words):
    files["batches.meta" if "label_names" in changes else "data_batch_5"] |= changes
    message = refusal(write_folder(tmp_path / "cifar", files))
    assert message.startswith("cifar" if "label_names" in changes else "cifar/data_batch_5")
    assert words in message


def test_a_hostile_batch_is_refused_and_nothing_in_it_runs(tmp_path, source):
    command = f"echo x > {tmp_path / 'canary'}"
    hostile = b"\x80\x02}U\x04data" + b"cos\nsystem\n(U" + bytes([len(command)]) + command.encode() + b"tRs."
    (source / "test_batch").write_bytes(hostile)
    assert refusal(source).startswith(
        "cifar/test_batch is refused (it asks for 'os.system', which arrays never need); get it again from "
    )
    assert not (tmp_path / "canary").exists()
    pickle.loads(hostile)
    assert (tmp_path / "canary").exists(), "the file is not as hostile as it should be"
