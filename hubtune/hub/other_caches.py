"""Weights that other programs have downloaded to this machine; hubtune reads them and never writes there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hubtune.hub import weights_cache


def downloaded(url: str) -> Iterator[Path]:
    """Yield the files that PaddleClas and ``paddle.vision`` have of an address, under its file name."""
    name = urlsplit(url).path.rpartition("/")[2]
    yield from _existing(_in_home(".paddleclas", "weights", name))
    yield from _existing(_in_home(".cache", "paddle", "hapi", "weights", name))


def of_paddlehub_module(name: str) -> Iterator[Path]:
    """Yield the weights of an installed PaddleHub 2.x module, whose tensors may have names of their own."""
    chosen = os.environ.get("HUB_HOME")
    home = Path(chosen) if chosen else _in_home(".paddlehub")
    folder = home / "modules" / name if home else None
    if folder is not None:
        with contextlib.suppress(OSError):  # what cannot be looked at is not there
            yield from sorted(folder.glob("*.pdparams"))


def record_of(file: Path) -> Path:
    """Return where hubtune records the sum of a file in another program's cache."""
    return weights_cache.record_of(weights_cache.cached(file.absolute().as_uri()))


def _in_home(*parts: str) -> Path | None:
    try:
        return Path.home().joinpath(*parts)
    except RuntimeError:  # no home folder, so no other program's cache either
        return None


def _existing(file: Path | None) -> Iterator[Path]:
    with contextlib.suppress(OSError):  # what cannot be looked at is not there
        if file is not None and file.is_file():
            yield file
