"""The table of public data sets: names, files and sums that can be used."""

import re

import pytest

from hubtune.data.published.catalog import DATASETS, find_dataset
from hubtune.errors import UsageError
from hubtune.storage.download import is_web_address


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_every_record_is_complete(dataset):
    assert re.fullmatch(r"[a-z0-9_]+", dataset.name)
    assert is_web_address(dataset.page) and dataset.licence and dataset.classes >= 2
    names = [file.name for file in dataset.files]
    assert len({*names}) == len(names)
    for file in dataset.files:
        assert all(map(is_web_address, file.urls))
        assert re.fullmatch(r"[\w.-]+\.(tgz|tar|tar\.gz|zip|mat)", file.name)
        # What nobody has published cannot be known.
        assert (file.sha256 is None) == (file.bytes is None) == dataset.name.startswith("paddlehub_")
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_sums_are_of_different_files():
    sums = [file.sha256 for dataset in DATASETS.values() for file in dataset.files if file.sha256]
    assert len({*sums}) == len(sums) > 10


def test_an_unknown_name_gets_the_nearest():
    assert find_dataset("cifar10").title == "CIFAR-10"
    with pytest.raises(UsageError, match=r"no data set 'flower102'\. Did you mean 'flowers102'\?"):
        find_dataset("flower102")
