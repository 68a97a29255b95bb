"""Finds the images of a source that are in none of the lists that were made from it."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.images.verify import is_image
from hubtune.data.list_files import read_split_record
from hubtune.data.listing import Listing
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, HubtuneError
from hubtune.text import escaped, first_few, plural


def find_unlisted(base: Path, source: str = "") -> str | None:
    """Return a sentence about images and classes of a folder that are in no list, or ``None``.

    Only lists that ``hubtune split`` made record which images they left out, and how the folder was read.

    Args:
        base: the folder of the lists.
        source: the folder of images, if the one that the lists were made from is not there.
    """
    record = read_split_record(base)
    options = record.get("options")
    if not isinstance(options, dict):
        return None
    recorded = options.get("pictures")
    folder = recorded if isinstance(recorded, str) and Path(recorded).is_dir() else source
    if not Path(folder).is_dir() or not folder:
        return None
    real = _RealPaths()
    try:
        known = {real.of(path) for path in _known(base, record)}
        listing = _list(folder, options)
    except (HubtuneError, TypeError, KeyError, AttributeError):
        return None  # a record that hubtune did not write
    new = [file for file in listing.files if real.of(file.path) not in known]
    if len(new) == len(listing.files):
        return None  # another folder of this name
    unlisted = Counter(file.label for file in new if is_image(file.path))
    for label, counts in record.get("counts", {}).items():
        unlisted[label] -= counts.get("left_over", 0)
    unlisted = +unlisted
    if not unlisted:
        return None
    classes = [f"'{escaped(label)}'" for label in unlisted if label not in record.get("classes", {})]
    also = f", and the {'class' if len(classes) == 1 else 'classes'} {first_few(classes)}," if classes else ""
    verb = "is" if unlisted.total() == 1 and not classes else "are"
    return (
        f"{folder} has {plural(unlisted.total(), 'picture')}{also} that {verb} in no list: "
        f"hubtune split {folder} --force makes lists with them"
    )


def _known(base: Path, record: Mapping[str, Any]) -> list[Path]:
    """Return the files that are in lists, or were left out of them."""
    dataset = ListDataset(base)
    listed = [entry.path for name in LIST_NAMES for entry in dataset.examples(name)]
    return listed + [base / entry["path"] for entry in record["left_out"]]


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
