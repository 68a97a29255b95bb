"""Weights that other programs have downloaded to this machine; hubtune reads them and never writes there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hubtune.hub.weights_cache import cache_path
from hubtune.storage.published_file import checksum_record


def files_of_paddle(url: str) -> Iterator[Path]:
    """Yield the files that PaddleClas and ``paddle.vision`` have downloaded from an address."""
    name = urlsplit(url).path.rpartition("/")[2]
    for folder in (".paddleclas", ".cache/paddle/hapi"):
        file = _in_home(f"{folder}/weights/{name}")
        with contextlib.suppress(OSError):  # an unreadable folder counts as empty
            if file is not None and file.is_file():
                yield file


def files_of_paddlehub(name: str) -> Iterator[Path]:
    """Yield the weights of an installed PaddleHub 2.x module, whose tensors may have other names."""
    chosen = os.environ.get("HUB_HOME")
    home = Path(chosen) if chosen else _in_home(".paddlehub")
    if home is not None:
        with contextlib.suppress(OSError):  # an unreadable folder counts as empty
            yield from sorted((home / "modules" / name).glob("*.pdparams"))


def foreign_checksum_record(file: Path) -> Path:
    """Return the path of the recorded checksum of a file in another program's cache, in hubtune's own."""
    return checksum_record(cache_path(file.absolute().as_uri()))


def _in_home(path: str) -> Path | None:
    try:
        return Path.home() / path
    except RuntimeError:  # without a home folder there is no other program's cache either
        return None
