"""The official splits of published data sets, read from the files in which their authors give them."""

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hubtune.data.listing import name_key
from hubtune.errors import DataError
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular

Files = Mapping[str, Path]
"""Name of a published file that is not an archive → the file."""


class OfficialLists(NamedTuple):
    """Class names, and for each list the images, by their paths in the data set's folder, with labels."""

    classes: list[str]
    lists: dict[str, list[tuple[str, int]]]


def read_flowers102(folder: Path, files: Files) -> OfficialLists:
    """Read the numbers of the images of each list, and the label of each image, from MATLAB's files."""
    names = (resources.files("hubtune.data.published") / "flowers102.txt").read_text(encoding="utf-8")
    labels = _read_matlab(files["imagelabels.mat"], "labels")
    numbers = {
        part: _read_matlab(files["setid.mat"], key)
        for part, key in (("train", "trnid"), ("validate", "valid"), ("test", "tstid"))
    }
    try:
        lists = {
            part: [(f"jpg/image_{number:05}.jpg", int(labels[number - 1]) - 1) for number in of_part]
            for part, of_part in numbers.items()
        }
    except (IndexError, TypeError, ValueError) as error:
        raise _damaged(files["setid.mat"], f"it names images without a label ({error})") from error
    return OfficialLists(names.splitlines(), lists)


def read_stanford_dogs(folder: Path, files: Files) -> OfficialLists:
    """Read the lists from MATLAB's files; WordNet's number in a folder's name is not part of the class."""
    paths = {part: _read_matlab(folder / f"{part}_list.mat", "file_list") for part in ("train", "test")}
    lists = {part: [f"Images/{path}" for path in of_part] for part, of_part in paths.items()}
    return _by_folder(lists, lambda name: name.partition("-")[2].replace("_", " "))


def read_oxford_pets(folder: Path, files: Files) -> OfficialLists:
    """Read ``NAME LABEL SPECIES BREED`` lines; labels count from 1, and a name is its class with a number."""
    lists: dict[str, list[tuple[str, int]]] = {}
    names: dict[int, str] = {}
    for part, file in (("train", "trainval.txt"), ("test", "test.txt")):
        path = folder / "annotations" / file
        rows = [line.split() for line in _read_lines(path)]
        try:
            lists[part] = [(f"images/{row[0]}.jpg", int(row[1]) - 1) for row in rows]
        except (IndexError, ValueError) as error:
            raise _damaged(path, f"a line is not a name and a label ({error})") from error
        names |= {int(row[1]): row[0].rpartition("_")[0].replace("_", " ") for row in rows}
    return OfficialLists([names[label] for label in sorted(names)], lists)


def read_food101(folder: Path, files: Files) -> OfficialLists:
    """Read ``CLASS/NAME`` lines, without the images' suffix."""
    lists = {
        part: [f"images/{line}.jpg" for line in _read_lines(folder / "meta" / f"{part}.txt")]
        for part in ("train", "test")
    }
    return _by_folder(lists)


def read_dtd(folder: Path, files: Files) -> OfficialLists:
    """Read ``CLASS/NAME`` lines of the first of the ten official splits."""
    lists = {
        part: [f"images/{line}" for line in _read_lines(folder / "labels" / f"{name}1.txt")]
        for part, name in (("train", "train"), ("validate", "val"), ("test", "test"))
    }
    return _by_folder(lists)


_IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def read_imagenette(folder: Path, files: Files) -> OfficialLists:
    """Name the classes, whose folders are WordNet's numbers.

    Accuracies are published for the images in ``val``, so they are the test list.
    """
    lists = {
        part: sorted(path.relative_to(folder).as_posix() for path in (folder / name).glob("*/*"))
        for part, name in (("train", "train"), ("test", "val"))
    }
    return _by_folder(lists, lambda name: _IMAGENETTE.get(name, name))


def _by_folder(lists: Mapping[str, Iterable[str]], name_of: Any = str) -> OfficialLists:
    """Return lists whose images lie in folders of their classes, which are sorted by the folder's name."""
    paths = {part: [(path, path.split("/")[-2]) for path in of_part] for part, of_part in lists.items()}
    folders = sorted({folder for of_part in paths.values() for _, folder in of_part}, key=name_key)
    label_of = {folder: label for label, folder in enumerate(folders)}
    labelled = {
        part: [(path, label_of[folder]) for path, folder in of_part] for part, of_part in paths.items()
    }
    return OfficialLists([name_of(folder) for folder in folders], labelled)


def _read_lines(file: Path) -> list[str]:
    try:
        text = read_regular(file, MOST_LIST_BYTES).decode("utf-8")
    except (OSError, UnicodeError) as error:
        raise _damaged(file, str(error)) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _read_matlab(file: Path, key: str) -> Any:
    """Return the values of a variable in a file of MATLAB, as a list."""
    from scipy.io import loadmat  # half a second, for two of the sets

    try:
        return np.atleast_1d(loadmat(file, squeeze_me=True, variable_names=[key])[key]).tolist()
    # scipy has errors of many kinds for a damaged file.
    except Exception as error:
        raise _damaged(file, f"it cannot be read as MATLAB's {key} ({type(error).__name__})") from error


def _damaged(file: Path, reason: str) -> DataError:
    return DataError(f"{file.name} of the data set is not what its authors published: {reason}; get it again")
