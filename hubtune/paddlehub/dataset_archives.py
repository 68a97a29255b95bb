"""Archives of data sets: those in PaddleHub's cache, or fetched into hubtune's."""

import os
from os.path import expanduser
from pathlib import Path
from urllib.parse import urlsplit

from hubtune.data.sources.archive import unpack
from hubtune.data.sources.mirror import mirror_source
from hubtune.errors import DataError, MachineError
from hubtune.log import logger, show_on_stderr


def hub_home() -> Path:
    """Return PaddleHub's folder: ``.paddlehub`` in ``$HUB_HOME`` if that is a folder, else in the home."""
    chosen = os.environ.get("HUB_HOME")
    home = chosen if chosen and Path(chosen).is_dir() else expanduser("~")  # noqa: PTH111  # Path's may raise
    return Path(home) / ".paddlehub"


def data_home() -> Path:
    """Return the folder of PaddleHub's data sets."""
    return hub_home() / "dataset"


def find_dataset_folder(folder: Path, address: str) -> Path:
    """Return the folder of a data set: ``folder`` if it exists, or that of its archive.

    The archive is the file of this name in PaddleHub's cache, or else it is fetched from the address.

    Raises:
        DataError: if the archive is damaged, or is not safe to unpack.
        MachineError: if it has to be fetched, and cannot be.
    """
    show_on_stderr()
    if folder.exists():
        logger.info("Dataset %s already cached.", folder)
        return folder
    name = urlsplit(address).path.rpartition("/")[2]
    archive = data_home() / name
    if not archive.is_file():
        logger.info("Downloading %s", address)
        try:
            fetched = mirror_source(address).file
        except MachineError as error:
            raise MachineError(f"{str(error).rstrip('.')}. Or put the file at {archive}") from error
        if fetched is None:
            raise DataError(f"{address} is not the address of an archive")
        archive = fetched
    unpacked = unpack(archive).folder
    # PaddleHub's data sets are the only folder in their archives.
    inner = [path for path in unpacked.iterdir() if not path.name.startswith(("._", "__MACOSX"))]
    if len(inner) == 1 and inner[0].is_dir():
        unpacked = inner[0]
    return unpacked / folder.name if (unpacked / folder.name).is_dir() else unpacked
