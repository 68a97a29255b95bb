"""The public data sets that have a name here.

Addresses are those of the authors or, for PaddleHub's own archives, of PaddleHub 1.6
(``paddlehub/dataset/*.py``). SHA-256 and sizes are those of TensorFlow Datasets
(https://github.com/tensorflow/datasets, its ``checksums.tsv`` files), of CIFAR those of Keras, which agree
with the MD5 sums on CIFAR's page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtune.data.published import official_lists
from hubtune.data.published.official_lists import Files, OfficialLists
from hubtune.errors import UsageError, suggest
from hubtune.text import escaped

NONE_STATED = "none stated"


@dataclass(frozen=True)
class PublishedFile:
    """A file of a data set.

    Attributes:
        urls: its addresses, the official one first.
        bytes: its size, if that is known.
        sha256: in hexadecimal; ``None`` if nobody has published it, so that the file cannot be verified.
    """

    urls: tuple[str, ...]
    bytes: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.urls[0].rpartition("/")[2]


@dataclass(frozen=True)
class PublishedDataset:
    """A public data set.

    Attributes:
        title: its name in full.
        page: where its authors describe it.
        files: what is fetched; archives are unpacked, other files only read.
        classes: number of classes.
        images: number of images with a label, if that is known.
        licence: of the images, as far as the authors state one.
        root: folder in the archives below which the images lie.
        inner: archive in the archive, with that folder in it.
        read_lists: reads the official split. Without it, the archive has lists of its own, or there is none.
        is_cifar: whether the archive is CIFAR's own.
    """

    name: str
    title: str
    page: str
    files: tuple[PublishedFile, ...]
    classes: int
    images: int | None
    licence: str
    root: str = ""
    inner: str | None = None
    read_lists: Callable[[Path, Files], OfficialLists] | None = None
    is_cifar: bool = False

    @property
    def bytes(self) -> int | None:
        """Size of all files, if all are known."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def is_verified(self) -> bool:
        """Whether all files have a published checksum."""
        return all(file.sha256 is not None for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as ``hubtune data list --json`` prints them."""
        return {
            "name": self.name,
            "title": self.title,
            "page": self.page,
            "classes": self.classes,
            "pictures": self.images,
            "bytes": self.bytes,
            "licence": self.licence,
            "files": [
                {"urls": list(file.urls), "bytes": file.bytes, "sha256": file.sha256} for file in self.files
            ],
        }


def find_dataset(name: str) -> PublishedDataset:
    """Return a data set by its name.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in DATASETS:
        near = suggest(name, DATASETS)
        raise UsageError(
            f"There is no data set '{escaped(name)}'.{near} `hubtune data list` shows all that have a name"
        )
    return DATASETS[name]


def _cifar(classes: int, size: int, sha256: str) -> PublishedDataset:
    file = f"cifar-{classes}-python.tar.gz"
    urls = (f"https://www.cs.toronto.edu/~kriz/{file}", f"https://dataset.bj.bcebos.com/cifar/{file}")
    return PublishedDataset(
        f"cifar{classes}",
        f"CIFAR-{classes}",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        (PublishedFile(urls, size, sha256),),
        classes,
        60_000,
        NONE_STATED,
        is_cifar=True,
    )


_VGG = "https://www.robots.ox.ac.uk/~vgg/data"
_DOGS = "http://vision.stanford.edu/aditya86/ImageNetDogs"


def _paddlehub(name: str, title: str, archive: str, classes: int, root: str) -> PublishedDataset:
    return PublishedDataset(
        f"paddlehub_{name}",
        f"{title}, as PaddleHub 1.x divided it",
        "https://github.com/PaddlePaddle/PaddleHub/tree/v1.6.0/paddlehub/dataset",
        (PublishedFile((f"https://bj.bcebos.com/paddlehub-dataset/{archive}",)),),
        classes,
        None,
        NONE_STATED,
        root=root,
    )


_ALL = (
    _cifar(10, 170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
    _cifar(100, 169_001_437, "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"),
    PublishedDataset(
        "flowers102",
        "Oxford 102 Flowers",
        f"{_VGG}/flowers/102/",
        (
            PublishedFile(
                (f"{_VGG}/flowers/102/102flowers.tgz",),
                344_862_509,
                "2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
            ),
            PublishedFile(
                (f"{_VGG}/flowers/102/imagelabels.mat",),
                502,
                "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
            ),
            PublishedFile(
                (f"{_VGG}/flowers/102/setid.mat",),
                14_989,
                "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
            ),
        ),
        102,
        8_189,
        NONE_STATED,
        read_lists=official_lists.read_flowers102,
    ),
    PublishedDataset(
        "flower_photos",
        "TensorFlow's flower photos",
        "https://www.tensorflow.org/datasets/catalog/tf_flowers",
        (
            PublishedFile(
                ("http://download.tensorflow.org/example_images/flower_photos.tgz",),
                228_813_984,
                "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
            ),
        ),
        5,
        3_670,
        "CC BY 2.0, see LICENSE.txt",
        root="flower_photos",
    ),
    PublishedDataset(
        "oxford_pets",
        "Oxford-IIIT Pets",
        f"{_VGG}/pets/",
        (
            PublishedFile(
                (
                    f"{_VGG}/pets/data/images.tar.gz",
                    "https://thor.robots.ox.ac.uk/~vgg/data/pets/images.tar.gz",
                ),
                791_918_971,
                "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            ),
            PublishedFile(
                (
                    f"{_VGG}/pets/data/annotations.tar.gz",
                    "https://thor.robots.ox.ac.uk/~vgg/data/pets/annotations.tar.gz",
                ),
                19_173_078,
                "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
            ),
        ),
        37,
        7_349,
        "CC BY-SA 4.0",
        read_lists=official_lists.read_oxford_pets,
    ),
    PublishedDataset(
        "stanford_dogs",
        "Stanford Dogs",
        f"{_DOGS}/main.html",
        (
            PublishedFile(
                (f"{_DOGS}/images.tar",),
                793_579_520,
                "a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
            ),
            PublishedFile(
                (f"{_DOGS}/lists.tar",),
                481_280,
                "34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c",
            ),
        ),
        120,
        20_580,
        "ImageNet's terms",
        read_lists=official_lists.read_stanford_dogs,
    ),
    PublishedDataset(
        "food101",
        "Food-101",
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
        (
            PublishedFile(
                ("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",),
                4_996_278_331,
                "d97d15e438b7f4498f96086a4f7e2fa42a32f2712e87d3295441b2b6314053a4",
            ),
        ),
        101,
        101_000,
        "scientific fair use",
        root="food-101",
        read_lists=official_lists.read_food101,
    ),
    PublishedDataset(
        "dtd",
        "Describable Textures, the first of its ten splits",
        f"{_VGG}/dtd/",
        (
            PublishedFile(
                (f"{_VGG}/dtd/download/dtd-r1.0.1.tar.gz",),
                625_239_812,
                "e42855a52a4950a3b59612834602aa253914755c95b0cff9ead6d07395f8e205",
            ),
        ),
        47,
        5_640,
        "research only",
        root="dtd",
        read_lists=official_lists.read_dtd,
    ),
    PublishedDataset(
        "caltech101",
        "Caltech 101, with its class of backgrounds",
        "https://data.caltech.edu/records/mzrjq-6wc02",
        (
            PublishedFile(
                ("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",),
                137_414_764,
                "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
            ),
        ),
        102,
        9_144,
        "CC BY 4.0",
        root="101_ObjectCategories",
        inner="caltech-101/101_ObjectCategories.tar.gz",
    ),
    PublishedDataset(
        "eurosat",
        "EuroSAT, the colours of Sentinel-2",
        "https://github.com/phelber/EuroSAT",
        (
            PublishedFile(
                (
                    "http://madm.dfki.de/files/sentinel/EuroSAT.zip",
                    "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
                    "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                ),
                94_280_567,
                "8ebea626349354c5328b142b96d0430e647051f26efc2dc974c843f25ecf70bd",
            ),
        ),
        10,
        27_000,
        "MIT",
        root="2750",
    ),
    PublishedDataset(
        "imagenette",
        "Imagenette 2, 320 pixels",
        "https://github.com/fastai/imagenette",
        (
            PublishedFile(
                ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",),
                341_663_724,
                "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c",
            ),
        ),
        10,
        13_394,
        "ImageNet's terms",
        root="imagenette2-320",
        read_lists=official_lists.read_imagenette,
    ),
    _paddlehub("flowers", "Flower photos", "flower_photos.tar.gz", 5, "flower_photos"),
    _paddlehub("dogcat", "Dogs and cats", "dog-cat.tar.gz", 2, "dog-cat"),
    _paddlehub("food101", "Food-101", "Food101.tar.gz", 101, "food-101/images"),
    _paddlehub("indoor67", "MIT Indoor 67", "Indoor67.tar.gz", 67, "Indoor67"),
    _paddlehub("stanford_dogs", "Stanford Dogs", "StanfordDogs-120.tar.gz", 120, "StanfordDogs-120"),
)

DATASETS = {dataset.name: dataset for dataset in _ALL}
"""Name → data set."""


def missing_source(name: str) -> UsageError:
    """Return the error for a name that is no recipe, no source of pictures, and no data set here."""
    return UsageError(
        f"There is no {escaped(name)}: give a recipe (recipes/NAME.yaml), a folder of pictures, or a name "
        f"that `hubtune data list` shows.{suggest(name, DATASETS)}"
    )
