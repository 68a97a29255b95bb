"""Small public data sets in the layout of the real ones, and a server that has them."""

import contextlib
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import scipy.io

from hubtune.data.published.catalog import DATASETS
from support.cifar_files import cifar10, write_archive
from support.download_server import serving, status, whole
from support.images import noise_image


def draw(count, seed=0, size=24):
    """The bytes of different JPEG images."""
    images = []
    for number in range(count):
        content = io.BytesIO()
        noise_image(size, size, seed=1000 * seed + number).save(content, "JPEG")
        images.append(content.getvalue())
    return images


def packed(members, mode="w:gz"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def zipped(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def matlab(**variables):
    content = io.BytesIO()
    scipy.io.savemat(content, variables)
    return content.getvalue()


def class_folders(root, classes, each, seed=0):
    """Path in an archive → image, with ``each`` images in the folder of each class."""
    images = iter(draw(len(classes) * each, seed))
    return {f"{root}{name}/{name}_{number}.jpg": next(images) for name in classes for number in range(each)}


def flowers102():
    # Each of the 102 classes has a picture in every list; equal bytes do not matter here.
    [image] = draw(1)
    labels = np.tile(np.arange(1, 103), 3)
    numbers = np.arange(1, 307).reshape(3, 102)
    return {
        "102flowers.tgz": packed({f"jpg/image_{number:05}.jpg": image for number in numbers.flatten()}, "w"),
        "imagelabels.mat": matlab(labels=labels),
        "setid.mat": matlab(trnid=numbers[1], valid=numbers[0], tstid=numbers[2]),
    }


def oxford_pets():
    names = [
        *(f"Abyssinian_{number}" for number in range(12)),
        *(f"boxer_dog_{number}" for number in range(12)),
    ]
    lines = [f"{name} {1 + (name[0] == 'b')} 1 1\n" for name in names]
    images = {f"images/{name}.jpg": image for name, image in zip(names, draw(24), strict=True)}
    return {
        "images.tar.gz": packed({**images, "images/Abyssinian_100.mat": b"MATLAB"}),
        "annotations.tar.gz": packed(
            {
                "annotations/README": b"text",
                "annotations/test.txt": "".join(lines[::6]).encode(),
                "annotations/trainval.txt": "".join(line for n, line in enumerate(lines) if n % 6).encode(),
                "annotations/trimaps/Abyssinian_1.png": draw(1, 9)[0],
            }
        ),
    }


def stanford_dogs():
    images = class_folders("Images/", ("n02085620-Chihuahua", "n02085782-Japanese_spaniel"), 12)
    paths = np.array([path.removeprefix("Images/") for path in images], object).reshape(-1, 1)
    lists = {"file_list": paths, "train_list": np.delete(paths, [0, 12], 0), "test_list": paths[[0, 12]]}
    return {
        "images.tar": packed(images, "w"),
        "lists.tar": packed({f"{name}.mat": matlab(file_list=cells) for name, cells in lists.items()}, "w"),
    }


def food101():
    images = class_folders("food-101/images/", ("apple_pie", "waffles"), 12)
    names = [path.removeprefix("food-101/images/").removesuffix(".jpg") for path in images]
    parts = {"train": [*names[1:12], *names[13:]], "test": [names[0], names[12]]}
    lists = {f"food-101/meta/{part}.txt": "\n".join(lines).encode() for part, lines in parts.items()}
    return {
        "food-101.tar.gz": packed({**images, **lists, "food-101/meta/classes.txt": b"apple_pie\nwaffles\n"})
    }


def dtd():
    images = class_folders("dtd/images/", ("banded", "zigzagged"), 3)
    names = [path.removeprefix("dtd/images/") for path in images]
    lists = {
        f"dtd/labels/{part}1.txt": f"{names[n]}\n{names[n + 3]}\n"
        for n, part in enumerate(("train", "val", "test"))
    }
    return {"dtd-r1.0.1.tar.gz": packed({**images, **{name: text.encode() for name, text in lists.items()}})}


def caltech101():
    images = class_folders("101_ObjectCategories/", ("BACKGROUND_Google", "accordion"), 3)
    inner = {"caltech-101/101_ObjectCategories.tar.gz": packed(images), "caltech-101/Annotations.tar": b"x"}
    return {"caltech-101.zip": zipped({**inner, "__MACOSX/caltech-101/._Annotations.tar": b"x"})}


def imagenette():
    train = class_folders("imagenette2-320/train/", ("n01440764", "n02102040"), 10)
    test = class_folders("imagenette2-320/val/", ("n01440764", "n02102040"), 2, seed=1)
    table = {"imagenette2-320/noisy_imagenette.csv": b"path,noisy_labels_0\n"}
    return {"imagenette2-320.tgz": packed({**train, **test, **table})}


def paddlehub_flowers(outside=""):
    images = class_folders("flower_photos/", ("daisy", "roses"), 3)
    names = [path.removeprefix("flower_photos/") for path in images]
    lists = {
        f"flower_photos/{part}_list.txt": f"{outside}{names[n]} 0\n{names[n + 3]} 1\n".encode()
        for n, part in enumerate(("train", "validate", "test"))
    }
    return {
        "flower_photos.tar.gz": packed({**images, **lists, "flower_photos/label_list.txt": b"daisy\nroses\n"})
    }


def cifar(tmp_path):
    return {"cifar-10-python.tar.gz": write_archive(tmp_path / "cifar.tar.gz", cifar10()).read_bytes()}


SMALL_FILES = {
    "flowers102": flowers102,
    "flower_photos": lambda: {
        "flower_photos.tgz": packed(
            {**class_folders("flower_photos/", ("daisy", "roses"), 3), "flower_photos/LICENSE.txt": b"CC-BY"}
        )
    },
    "oxford_pets": oxford_pets,
    "stanford_dogs": stanford_dogs,
    "food101": food101,
    "dtd": dtd,
    "caltech101": caltech101,
    "eurosat": lambda: {"EuroSAT.zip": zipped(class_folders("2750/", ("Forest", "River"), 3))},
    "imagenette": imagenette,
    "paddlehub_flowers": paddlehub_flowers,
}
"""Name of a data set → what makes its files: name → content."""


@contextlib.contextmanager
def published(monkeypatch, name, files):
    """Yield a server that has files as those of the data set with this name, whose record is adapted."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("hubtune.storage.published_file.PAUSE_SECONDS", 0.0)
    with serving() as server:

        def answer(request):
            content = files.get(request.path.rpartition("/")[2])
            (status(404) if content is None else whole(content))(request)

        server.plan = [answer]
        dataset = DATASETS[name]
        assert [file.name for file in dataset.files] == [*files]
        records = tuple(
            replace(
                file,
                urls=(f"{server.base}/{file.name}",),
                bytes=len(files[file.name]),
                sha256=file.sha256 and hashlib.sha256(files[file.name]).hexdigest(),
            )
            for file in dataset.files
        )
        monkeypatch.setitem(DATASETS, name, replace(dataset, files=records))
        yield server
