"""Public data sets: from a server or a file to a folder that every command takes, or a sentence."""

import hashlib

import pytest
from support.download_server import status
from support.published_data import SMALL_FILES, cifar, paddlehub_flowers, published

from hubtune.data.dataset import ListDataset
from hubtune.data.published.catalog import DATASETS
from hubtune.data.published.pull import dataset_folder, file_path, pull_dataset
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError, MachineError, UsageError

WITHOUT_LISTS = ("flower_photos", "caltech101", "eurosat")


@pytest.mark.parametrize("name", SMALL_FILES)
def test_each_layout_becomes_a_source_with_the_official_lists(name, monkeypatch):
    with published(monkeypatch, name, SMALL_FILES[name]()) as server:
        pulled = pull_dataset(DATASETS[name])
        requests = len(server.requests)
        assert pull_dataset(DATASETS[name]) == (pulled.folder, [])
        assert len(server.requests) == requests == len(DATASETS[name].files)
    assert pulled.folder == dataset_folder(DATASETS[name])
    assert not [path for path in pulled.folder.iterdir() if path.name.startswith(".")]
    listing = open_source(pulled.folder)
    if name in WITHOUT_LISTS:
        assert (len({file.label for file in listing.files}), len(listing.files)) == (2, 6)
        assert not (pulled.folder / "train_list.txt").exists()
        return
    dataset = ListDataset(pulled.folder)
    dataset.check_files()
    counts = {part: len(dataset.examples(part)) for part in ("train", "validate", "test")}
    assert all(counts.values()), counts
    assert len(listing.files) == sum(counts.values())
    assert {example.label for example in dataset.examples("test")} == {*range(dataset.num_labels)}


def test_a_tenth_of_the_training_pictures_becomes_the_missing_validation_list(monkeypatch):
    with published(monkeypatch, "oxford_pets", SMALL_FILES["oxford_pets"]()):
        dataset = ListDataset(pull_dataset(DATASETS["oxford_pets"]).folder)
    assert dataset.label_list == ["Abyssinian", "boxer dog"]
    assert [len(dataset.examples(part)) for part in ("train", "validate", "test")] == [18, 2, 4]
    assert dataset.examples("test")[0].path.name == "Abyssinian_0.jpg"


def test_cifar_is_converted_into_a_folder_of_choice(monkeypatch, tmp_path):
    with published(monkeypatch, "cifar10", cifar(tmp_path)):
        pulled = pull_dataset(DATASETS["cifar10"], tmp_path / "new" / "cifar")
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["cifar"]
        with pytest.raises(UsageError, match="holds something already"):
            pull_dataset(DATASETS["cifar10"], pulled.folder)
    dataset = ListDataset(pulled.folder)
    assert [len(dataset.examples(part)) for part in ("train", "validate", "test")] == [54, 6, 12]


def test_without_a_network_the_message_names_address_file_and_place_and_putting_it_there_works(monkeypatch):
    files = SMALL_FILES["eurosat"]()
    with published(monkeypatch, "eurosat", files):
        dataset = DATASETS["eurosat"]
        path = file_path(dataset, dataset.files[0])
        monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
        with pytest.raises(MachineError) as refusal:
            pull_dataset(dataset)
        assert str(refusal.value) == (
            "The data set eurosat cannot be had: the file EuroSAT.zip is not in the cache, and "
            f"HUBTUNE_OFFLINE forbids fetching it. Fetch {dataset.files[0].urls[0]} on another machine, and "
            f"put it at {path}, or name it: hubtune data pull eurosat --from FILE."
        )
        path.parent.mkdir(parents=True)
        path.write_bytes(files["EuroSAT.zip"])
        assert len(open_source(pull_dataset(dataset).folder).files) == 6


def test_a_file_that_was_fetched_by_other_means_is_verified(monkeypatch, tmp_path):
    files = SMALL_FILES["oxford_pets"]()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with published(monkeypatch, "oxford_pets", files) as server:
        dataset = DATASETS["oxford_pets"]
        with pytest.raises(UsageError, match=r"several files: name a folder that has images\.tar\.gz, ann"):
            pull_dataset(dataset, given=tmp_path / "images.tar.gz")
        (tmp_path / "images.tar.gz").write_bytes(b"other")
        with pytest.raises(DataError, match=r"is not the published images\.tar\.gz: it has the sha256 "):
            pull_dataset(dataset, given=tmp_path)
        (tmp_path / "images.tar.gz").unlink()
        with pytest.raises(DataError, match=r"There is no .*images\.tar\.gz: it is http://127"):
            pull_dataset(dataset, given=tmp_path)
        (tmp_path / "images.tar.gz").write_bytes(files["images.tar.gz"])
        assert pull_dataset(dataset, tmp_path / "pets", given=tmp_path).folder == tmp_path / "pets"
        assert not server.requests


def test_damage_leaves_no_folder_behind(monkeypatch, tmp_path):
    files = paddlehub_flowers()
    files["flower_photos.tar.gz"] = files["flower_photos.tar.gz"][:-2000]
    with published(monkeypatch, "paddlehub_flowers", files):
        dataset = DATASETS["paddlehub_flowers"]
        with pytest.raises(DataError, match=r"flower_photos\.tar\.gz is damaged or cut short"):
            pull_dataset(dataset)
        with pytest.raises(DataError, match="damaged"):
            pull_dataset(dataset, tmp_path / "flowers")
    assert not dataset_folder(dataset).exists()
    assert not [*tmp_path.iterdir()]
    with published(monkeypatch, "eurosat", SMALL_FILES["eurosat"]()) as server:
        server.plan = [status(503)]
        with pytest.raises(MachineError, match="the server answers 503"):
            pull_dataset(DATASETS["eurosat"])


def test_another_archive_and_lists_that_lead_out_of_it_are_refused(monkeypatch):
    [other] = paddlehub_flowers().values()
    refused = pytest.raises(DataError, match="has no folder dog-cat, as paddlehub_dogcat has")
    with published(monkeypatch, "paddlehub_dogcat", {"dog-cat.tar.gz": other}), refused:
        pull_dataset(DATASETS["paddlehub_dogcat"])
    refused = pytest.raises(DataError, match=r"train_list\.txt of the data set names .*outside of it")
    with published(monkeypatch, "paddlehub_flowers", paddlehub_flowers("../../../")), refused:
        pull_dataset(DATASETS["paddlehub_flowers"])


def test_an_unverified_file_must_stay_the_one_that_was_used_first(monkeypatch):
    first = paddlehub_flowers()
    with published(monkeypatch, "paddlehub_flowers", first):
        dataset = DATASETS["paddlehub_flowers"]
        path = file_path(dataset, dataset.files[0])
        pull_dataset(dataset)
        record = path.with_name(path.name + ".json").read_text()
        assert hashlib.sha256(first["flower_photos.tar.gz"]).hexdigest() in record
