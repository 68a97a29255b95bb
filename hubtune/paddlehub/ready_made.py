"""PaddleHub's ready-made data sets, from its cache or from their official address."""

from typing import ClassVar

from hubtune.data.published import catalog
from hubtune.paddlehub.dataset_archives import data_home, find_dataset_folder
from hubtune.paddlehub.image_lists import BaseCVDataset


class _ReadyMade(BaseCVDataset):
    """Base of the data sets, whose archives have PaddleHub's lists."""

    name: ClassVar[str]
    """The name in the catalogue of public data sets."""

    def __init__(self) -> None:
        """Find the data set; errors are those of ``find_dataset_folder``."""
        published = catalog.DATASETS[self.name]
        super().__init__(
            str(find_dataset_folder(data_home() / published.root, published.files[0].urls[0])),
            "train_list.txt",
            "validate_list.txt",
            "test_list.txt",
            label_list_file="label_list.txt",
        )


class FlowersDataset(_ReadyMade):
    """Photos of five kinds of flowers."""

    name = "paddlehub_flowers"


class DogCatDataset(_ReadyMade):
    """Photos of dogs and cats."""

    name = "paddlehub_dogcat"


class Food101Dataset(_ReadyMade):
    """Photos of 101 dishes."""

    name = "paddlehub_food101"


class Indoor67Dataset(_ReadyMade):
    """Photos of 67 kinds of rooms."""

    name = "paddlehub_indoor67"


class StanfordDogsDataset(_ReadyMade):
    """Photos of 120 breeds of dogs."""

    name = "paddlehub_stanford_dogs"
