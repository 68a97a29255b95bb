"""Finds the images of a folder that are in none of its lists."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset
from hubtune.data.images.verify import image_names, images_beside, is_image
from hubtune.data.list_files import read_split_record
from hubtune.data.listing import Listing
from hubtune.data.sources.layout import subfolders
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, HubtuneError
from hubtune.text import escaped, first_few, plural


def find_unlisted(dataset: BaseCVDataset, source: str = "") -> str | None:
    """Return a sentence about images and classes of a folder that are in no list, or ``None``.

    Lists that ``hubtune split`` made record which folder they are of, how it was read, and which images were
    left out. For other lists, the folders of their images are looked at, and the folders beside these.

    Args:
        dataset: the lists.
        source: the folder of images, if the one that hubtune's lists were made from is not there.
    """
    entries = [entry for name in LIST_NAMES for entry in dataset.examples(name)]
    record = read_split_record(dataset.base_path)
    try:
        if not record:
            return _beside([entry.path for entry in entries], dataset.base_path)
        left_out = [dataset.image_root / entry["path"] for entry in record["left_out"]]
        return _since_split([entry.path for entry in entries] + left_out, record, source)
    except (HubtuneError, TypeError, LookupError, AttributeError):
        return None  # a record that hubtune did not write


def _since_split(known_files: Sequence[Path], record: Mapping[str, Any], source: str) -> str | None:
    options = record["options"]
    recorded = options["pictures"]
    folder = recorded if isinstance(recorded, str) and Path(recorded).is_dir() else source
    if not Path(folder).is_dir() or not folder:
        return None
    real = _RealPaths()
    known, listing = {real.of(path) for path in known_files}, _list(folder, options)
    new = [file for file in listing.files if real.of(file.path) not in known]
    if len(new) == len(listing.files):
        return None  # another folder of this name
    unlisted = Counter(file.label for file in new if is_image(file.path))
    if record.get("multi_label"):  # counts are of labels, of which an image has several
        unlisted = Counter({next(iter(record["classes"])): unlisted.total() - record["images"]["left_over"]})
    else:
        for label, counts in record["counts"].items():
            unlisted[label] -= counts.get("left_over", 0)
    unlisted = +unlisted
    classes = [label for label in unlisted if label not in record["classes"]]
    if not unlisted:
        return None
    unlisted_images = _describe(folder, unlisted.total(), "class", classes)
    return f"{unlisted_images}: hubtune split {folder} --force makes lists with them"


def _beside(files: Sequence[Path], base: Path) -> str | None:
    """Return a sentence about images in the folders of listed ones, and in folders beside these."""
    new = images_beside(files)
    count, others = sum(map(len, new.values())), []
    listed_in: dict[Path, set[str]] = {}
    for folder in new:
        listed_in.setdefault(folder.parent, set()).add(folder.name)
    for parent, listed in listed_in.items():
        if len(listed) > 1:  # a folder for each class
            beside = [name for name in subfolders(parent) if name not in listed]
            others += [name for name in beside if image_names(parent / name)]
    if not count and not others:
        return None
    return f"{_describe(base, count, 'folder', others)}."


def _describe(folder: str | Path, count: int, noun: str, names: Sequence[str]) -> str:
    """Say that a folder has new images, some of them in new folders: ``… that are in no list``."""
    images, shown = plural(count, "picture"), first_few([f"'{escaped(name)}'" for name in names])
    nouns = noun if len(names) == 1 else {"class": "classes", "folder": "folders"}[noun]
    if not names:
        return f"{folder} has {images} that {'is' if count == 1 else 'are'} in no list"
    if not count:
        return f"{folder} has the {nouns} {shown}, that are in no list"
    return f"{folder} has {images}, and the {nouns} {shown}, that are in no list"


def _list(folder: str, options: Mapping[str, Any]) -> Listing:
    """List a folder in the way in which it was read for its lists."""
    names = ("parts", "as_classes", "encoding", "columns", "labels_are")
    settings = SourceSettings(**{name: options[name] for name in names if name in options})
    test_dir = options.get("test_dir")
    skip = None if test_dir is None else Path(test_dir)
    try:
        return open_source(folder, settings=settings, skip=skip)
    except DataError:
        # What was added may have made the reading uncertain.
        return open_source(folder, settings=SourceSettings(as_classes=True), skip=skip)


class _RealPaths:
    """Resolves the links on the way to files, once for each folder."""

    def __init__(self) -> None:
        self._folders: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        if path.parent not in self._folders:
            self._folders[path.parent] = os.path.realpath(path.parent)
        return f"{self._folders[path.parent]}/{path.name}"
