"""PaddleHub's data sets are found in its cache, as folders or archives, or fetched from their address."""

import pytest
from support.archives import tarred
from support.published_data import published
from support.split_folder import draw_split

import hubtune.paddlehub as hub
from hubtune.errors import MachineError
from hubtune.paddlehub.dataset_archives import data_home


@pytest.fixture
def flowers(tmp_path):
    return draw_split(tmp_path / "flower_photos", {"daisy": 4, "rose": 4}, validate=1, test=1)


def _check(dataset):
    assert (dataset.label_list, len(dataset.train_examples), len(dataset.test_examples)) == (
        ["daisy", "rose"],
        4,
        2,
    )
    hub.ImageClassificationReader(32, 32, dataset)


def test_a_folder_in_paddlehubs_cache_is_used(flowers, told):
    data_home().mkdir(parents=True)
    place = flowers.rename(data_home() / "flower_photos")
    dataset = hub.dataset.Flowers()
    assert (dataset.base_path, told.messages) == (str(place), [f"Dataset {place} already cached."])
    _check(dataset)


def test_an_archive_in_paddlehubs_cache_is_unpacked(flowers, tmp_path, monkeypatch):
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    data_home().mkdir(parents=True)
    assert data_home() == tmp_path / ".paddlehub" / "dataset"
    tarred(flowers, "food-101/images").rename(data_home() / "Food101.tar.gz")
    dataset = hub.dataset.Food101()
    assert dataset.base_path.endswith("images")
    _check(dataset)


def test_an_archive_is_fetched_from_its_address(flowers, monkeypatch, told):
    content = tarred(flowers, "dog-cat").read_bytes()
    with published(monkeypatch, "paddlehub_dogcat", {"dog-cat.tar.gz": content}):
        _check(hub.dataset.DogCat())
    assert told.messages[0].startswith("Downloading http://127.0.0.1:")
    assert told.messages[0].endswith("/dog-cat.tar.gz")


def test_without_a_network_the_address_and_the_place_are_named(monkeypatch):
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    with pytest.raises(MachineError) as error:
        hub.dataset.Indoor67()
    assert "https://bj.bcebos.com/paddlehub-dataset/Indoor67.tar.gz" in str(error.value)
    assert str(error.value).endswith(f". Or put the file at {data_home() / 'Indoor67.tar.gz'}")
