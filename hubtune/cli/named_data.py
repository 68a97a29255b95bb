"""Public data sets that are named in place of a source of images."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.cli.console import say, shown
from hubtune.text import format_bytes

if TYPE_CHECKING:
    from hubtune.data.published.catalog import PublishedDataset
    from hubtune.data.published.pull import PulledDataset


def bring_dataset(what: str) -> str:
    """Return the folder of a public data set, pulled on first use, if that is what is named.

    A file or folder of the name goes first, and is returned as it is, as are all other texts.
    """
    from hubtune.data.published.catalog import DATASETS

    if what not in DATASETS or os.path.lexists(what):
        return what
    from hubtune.data.published.pull import dataset_folder

    folder = dataset_folder(DATASETS[what])
    if not folder.is_dir():
        pull(DATASETS[what])
    say(f"{what} is the public data set in {shown(folder)}")
    return str(folder)


def pull(
    dataset: "PublishedDataset", folder: Path | None = None, given: Path | None = None
) -> "PulledDataset":
    """Pull a data set, and say where it comes from and what a person should know."""
    from hubtune.cli.progress import working_bar
    from hubtune.data.published.pull import pull_dataset

    images = "pictures" if dataset.images is None else f"{dataset.images:,} pictures"
    say(f"{dataset.title}: {images} of {dataset.classes:,} classes; {dataset.page}")
    say(f"Licence of the pictures: {dataset.licence}")
    for file in dataset.files:
        size = "" if file.bytes is None else f", {format_bytes(file.bytes)}"
        file_line = f"File: {file.urls[0]}{size}"
        if file.sha256 is None:
            say(f"{file_line}, without a published checksum, so that it cannot be verified")
        else:
            say(f"{file_line}, SHA-256 {file.sha256}")
    with working_bar("fetching") as progress:
        pulled = pull_dataset(dataset, folder, given=given, progress=progress)
    for remark in pulled.remarks:
        say(f"• {shown(remark)}")
    return pulled
