"""CIFAR's files become images and lists that cost no value and no picture; what is not CIFAR is refused."""

import io
import json
import pickle
import tarfile
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cifar_files import NAMES, cifar10, cifar100, pixels, python_2, write_archive, write_folder

from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.prepare import convert_cifar
from hubtune.data.sources import cifar
from hubtune.data.sources.open import open_source
from hubtune.data.splits.files import Split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.errors import DataError, MachineError, UsageError


@pytest.fixture
def files():
    return cifar10()


def convert(source: Path, folder: Path, validate: str = "10%", seed: int = 0, **options) -> Split:
    request = SplitRequest(SplitSize.parse(validate), seed=seed)
    return convert_cifar(source, folder, request, **options)[1]


def sizes(split: Split) -> list[int]:
    return [len(split.lists[name]) for name in LIST_NAMES]


def lists(folder: Path) -> dict[str, list[str]]:
    files = {name: folder / f"{name}_list.txt" for name in LIST_NAMES}
    return {name: file.read_text().splitlines() for name, file in files.items() if file.exists()}


def refusal(tmp_path: Path, source: Path, error: type[Exception] = DataError, **options) -> str:
    """Convert what cannot be converted; nothing is left of it. Returns the message without the path."""
    before = {*tmp_path.iterdir()}
    with pytest.raises(error) as caught:
        convert(source, tmp_path / "out", **options)
    assert {*tmp_path.iterdir()} == before
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_every_value_of_every_image_is_kept(tmp_path, files):
    split = convert(write_archive(tmp_path / "cifar.tar.gz", files), tmp_path / "out", "2")
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


def test_folder_and_archive_give_the_same_lists(tmp_path, files):
    convert(write_folder(tmp_path / "cifar", files), tmp_path / "one")
    convert(write_archive(tmp_path / "cifar.tar.gz", files), tmp_path / "two")
    assert lists(tmp_path / "one") == lists(tmp_path / "two")


def test_cifar_100_has_its_fine_classes(tmp_path):
    split = convert(write_folder(tmp_path / "cifar", cifar100()), tmp_path / "out", "25%")
    assert (split.folders, sizes(split)) == (NAMES, [9, 3, 12])
    assert lists(tmp_path / "out")["test"][0] == "test/bird/test_00000.png 0"


def test_validation_images_are_drawn_by_the_seed_from_every_class(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)
    for number, seed in enumerate((0, 0, 1)):
        convert(source, tmp_path / str(number), "3", seed)
    first, again, other = (lists(tmp_path / str(number)) for number in range(3))
    assert first == again
    assert first["validate"] != other["validate"]
    assert first["test"] == other["test"]
    assert [line.split()[1] for line in first["validate"]] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    assert sizes(convert(source, tmp_path / "without", "0")) == [60, 0, 12]
    assert not (tmp_path / "without" / "validate_list.txt").exists()


def test_a_training_image_that_is_tested_too_is_left_out_and_named(tmp_path, files):
    files["data_batch_2"]["data"][4] = files["test_batch"]["data"][7]
    source = write_folder(tmp_path / "cifar", files)
    split = convert(source, tmp_path / "out", "0")
    assert (len(split.left_out), sizes(split)[0]) == (1, 59)
    record = json.loads((tmp_path / "out" / "split.json").read_text())
    assert record["options"] == {"source": str(source), "validate": "0"}
    assert record["left_out"] == [
        {"path": "train/cat/data_batch_2_00004.png", "reason": "the same picture is in the test folder"}
    ]
    assert "data_batch_2_00004" not in (tmp_path / "out" / "train_list.txt").read_text()
    listing = open_source(source)
    assert len(listing.files) == 71 and listing.labels == NAMES
    assert not any("data_batch_2_00004" in file.name for file in listing.files)


def test_an_empty_folder_is_filled_and_another_left_alone(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)
    (tmp_path / "out").mkdir()
    convert(source, tmp_path / "out")
    before = lists(tmp_path / "out")
    (tmp_path / "file").touch()
    for place in ("out", "file"):
        with pytest.raises(UsageError, match="holds something already: choose a new folder, or empty this"):
            convert(source, tmp_path / place, seed=1)
    assert lists(tmp_path / "out") == before
    with pytest.raises(MachineError, match=r"file/out cannot be (written|opened)"):
        convert(source, tmp_path / "file" / "out")


def test_batches_are_in_memory_one_by_one(tmp_path, files, monkeypatch):
    arrays, calls = [], []
    read = cifar.read_plain_pickle

    def watched(*arguments, **options):
        assert not any(array() is not None for array in arrays), "an earlier batch is still there"
        content = read(*arguments, **options)
        if "data" in content:
            content["data"] = content["data"].copy()
            arrays.append(weakref.ref(content["data"]))
        return content

    monkeypatch.setattr(cifar, "read_plain_pickle", watched)
    source = write_folder(tmp_path / "cifar", files)
    convert(source, tmp_path / "out", progress=lambda *call: calls.append(call))
    assert len(arrays) == 6
    assert calls == [("writing pictures, by batch", done, 6) for done in range(1, 7)]


def test_an_interrupted_conversion_leaves_nothing(tmp_path, files):
    source = write_folder(tmp_path / "cifar", files)

    def interrupt(*_):
        assert [*Path(tmp_path).glob(".out.*")]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar"]


def test_other_folders_and_archives_are_refused(tmp_path, files):
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
    assert refusal(tmp_path, tmp_path / "page.tar.gz").startswith("page.tar.gz is no zip or tar archive")


@pytest.mark.parametrize("write", [write_folder, write_archive])
def test_missing_batches_are_named(tmp_path, files, write):
    del files["data_batch_2"], files["test_batch"]
    assert refusal(tmp_path, write(tmp_path / "cifar", files)).endswith(
        "cifar lacks data_batch_2, test_batch of CIFAR-10: get it again from "
        "https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)"
        if write is write_folder
        else " lacks data_batch_2, test_batch of CIFAR-10: get it again from "
        "https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": [0] * 5 + [3] + [0] * 6}, "which is not one of 0 to 2"),
        ({"labels": [0] * 5 + ["1"] + [0] * 6}, "which is not one of 0 to 2"),
        ({"labels": [0] * 11}, "has 12 pictures, but 11 labels"),
        (
            {"data": pixels(12, 0)[:, :3000]},
            "has data of uint8 and shape [12, 3000] in place of uint8 and [N, 3072]",
        ),
        (
            {"data": pixels(12, 0).astype(np.uint16)},
            "has data of uint16 and shape [12, 3072] in place of uint8 and [N, 3072]",
        ),
        # With names, as a shape may not be larger than the file.
        (
            {"data": pixels(12, 0)[:0], "labels": [], "filenames": ["x" * 250] * 20},
            "has data of uint8 and shape [0, 3072]",
        ),
        ({"data": []}, "has no 'data': it is not a batch of CIFAR-10"),
        ({"labels": "0"}, "has no 'labels': it is not a batch of CIFAR-10"),
    ],
)
def test_a_malformed_batch_is_refused(tmp_path, files, changes, words):
    files["data_batch_5"] |= changes
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
        ([*NAMES, "deer"], "holds no training picture of class 'deer'"),
    ],
)
def test_names_that_cannot_be_classes_are_refused(tmp_path, files, names, words):
    files["batches.meta"]["label_names"] = names
    message = refusal(tmp_path, write_folder(tmp_path / "cifar", files))
    assert message.startswith("cifar")
    assert words in message


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_download_that_was_cut_short_is_refused(tmp_path, files, share):
    path = write_archive(tmp_path / "cifar.tar.gz", files)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert refusal(tmp_path, path).startswith("cifar.tar.gz")


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
    assert " lacks data_batch_1, data_batch_2," in refusal(tmp_path, tmp_path / "cifar.tar")


def test_a_file_larger_than_any_of_cifar_is_refused(tmp_path, files, monkeypatch):
    monkeypatch.setattr(cifar, "_MOST_BYTES", 2**20)
    files["data_batch_1"]["data"] = pixels(400, 0)
    assert refusal(tmp_path, write_folder(tmp_path / "cifar", files)).startswith("cifar/data_batch_1 has 1,2")
