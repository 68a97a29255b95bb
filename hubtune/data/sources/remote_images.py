"""Images at addresses, for commands that take image files: fetched into the cache."""

from hubtune.data.listing import Progress, no_progress
from hubtune.data.sources.archive_formats import packing
from hubtune.data.sources.folder_walk import walk_images
from hubtune.data.sources.mirror import mirror_source, mirrored_files
from hubtune.data.sources.table import TABLE_SUFFIXES
from hubtune.errors import DataError
from hubtune.log import logger
from hubtune.storage.address import FetchedFile


def fetch_images(address: str, progress: Progress = no_progress) -> list[FetchedFile]:
    """Fetch the image at an address, or all images of a folder in a bucket, sorted by name.

    An image that cannot be fetched becomes a file that is not there, as for paths; a warning says why.

    Raises:
        DataError: there is no image below an address that ends in ``/``, or a list or an archive.
        UsageError, MachineError: as :func:`~hubtune.data.sources.mirror.mirror_source`.
    """
    try:
        fetched = mirror_source(address, progress=progress)
    except DataError as error:
        if address.endswith("/"):
            raise
        logger.warning("%s", error)
        return [FetchedFile(mirrored_files(address) / "missing", address)]
    if fetched.file is None:
        files = [file.path for file in walk_images(fetched.folder).files]
        if not files:
            raise DataError(f"There is no picture below {address}: name a folder that has some")
        start = address.rstrip("/")
        names = [file.relative_to(fetched.folder).as_posix() for file in files]
        return [FetchedFile(file, f"{start}/{name}") for file, name in zip(files, names, strict=True)]
    if fetched.file.suffix.lower() in TABLE_SUFFIXES | {".txt"} or packing(fetched.file) is not None:
        raise DataError(
            f"{address} is a list, a table or an archive, and not a picture: fetch it, and name the file or "
            "the unpacked folder"
        )
    return [FetchedFile(fetched.file, address)]
