"""Programs of networks that an engine was checked with, stored so that prediction starts without Paddle.

Importing Paddle, building the network, tracing it and the comparison of OpenVINO with Paddle take longer than
predicting an image. Their result is a folder in ``$HUBTUNE_HOME/programs``: Paddle's program, and the shapes
of images at which OpenVINO's values were compared with Paddle's.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from hubtune.errors import MachineError, ModelError
from hubtune.hardware import cpu
from hubtune.hardware.memory import PLENTY, free_memory
from hubtune.inference.engine_interface import CHECKED_SHAPES, engine_versions
from hubtune.inference.feature_cache import limit_from_environment
from hubtune.inference.openvino_program import PendingRows, RequestRing, compile_program
from hubtune.log import logger
from hubtune.storage.cache_folder import cache_root, size_on_disk
from hubtune.storage.checked_folder import MANIFEST, open_checked, write_checked

# Raised when the same network comes to have another program.
_VERSION = 2
_PROGRAM, _WEIGHTS, _SHAPES = "network.pdmodel", "network.pdiparams", "shapes.json"
_MOST_PROGRAMS = 20

CheckedShapes = Mapping[tuple[int, ...], bool]
"""Shape of an image → whether OpenVINO's values agreed with Paddle's."""


def programs_folder() -> Path:
    return cache_root() / "programs"


def program_key(model: bytes) -> str:
    """Return the key of a model's program on this machine; ``model`` identifies the model."""
    facts = [_VERSION, hashlib.sha256(model).hexdigest(), engine_versions(), cpu.processor().identity]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


class StoredProgram:
    """The engine of a stored program, OpenVINO in float32.

    Attributes:
        shapes: at which it was checked.
    """

    name = "openvino"

    def __init__(self, ring: RequestRing, shapes: CheckedShapes) -> None:
        self._ring, self.shapes = ring, shapes

    def takes(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether the images may be run without Paddle: their shapes were checked, and memory is plenty."""
        largest = max((array.size for array in arrays), default=0)
        free = free_memory(swap=True)
        if free is not None and min(len(arrays), self._ring.count) * largest * PLENTY >= free:
            return False
        enough = len(self.shapes) >= CHECKED_SHAPES
        return all(self.shapes.get(array.shape, enough) for array in arrays)

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin to run images: :meth:`~hubtune.inference.engine_interface.Engine.begin`."""
        return self._ring.begin(arrays)


def has_program(key: str) -> bool:
    """Whether a program of a key is stored, which may be damaged."""
    try:
        return (programs_folder() / key).is_dir()
    except (OSError, MachineError):  # of a cache that cannot be read
        return False


def find_program(key: str) -> StoredProgram | None:
    """Return the stored program of a key; ``None`` if there is none, or it is damaged."""
    if not has_program(key):
        return None
    folder = programs_folder() / key
    try:
        complete = open_checked(folder, _PROGRAM, _WEIGHTS, _SHAPES)
        shapes = {tuple(shape): agrees for *shape, agrees in json.loads((complete / _SHAPES).read_bytes())}
        ring = compile_program(complete / _PROGRAM, "f32")
        with suppress(OSError):  # in a cache that can only be read
            (complete / MANIFEST).touch()  # the time of its last use
    except Exception as error:  # noqa: BLE001  # foreign code; the program is made again
        logger.debug("the stored program %s cannot be used (%s)", folder, error)
        return None
    return StoredProgram(ring, shapes)


def store_program(key: str, save: Callable[[Path], None], shapes: CheckedShapes) -> None:
    """Store a program; ``save`` writes its ``.pdmodel`` and ``.pdiparams``, given the path without a suffix.

    A cache that is off, full or cannot be written is no error. The programs used last stay, at most 20.
    """

    def read() -> dict[str, bytes]:
        listed = [[*shape, agrees] for shape, agrees in sorted(shapes.items())]
        with tempfile.TemporaryDirectory(prefix="hubtune-") as folder:
            save(Path(folder) / "network")
            files = {name: (Path(folder) / name).read_bytes() for name in (_PROGRAM, _WEIGHTS)}
        return {**files, _SHAPES: json.dumps(listed).encode()}

    _store(key, read)


def find_stored(key: str, *names: str) -> dict[str, bytes] | None:
    """Return the files that :func:`store_files` stored under a key; ``None`` without them all, undamaged."""
    if not has_program(key):
        return None
    try:
        complete = open_checked(programs_folder() / key, *names)
        with suppress(OSError):  # in a cache that can only be read
            (complete / MANIFEST).touch()  # the time of its last use
        return {name: (complete / name).read_bytes() for name in names}
    except (ModelError, OSError) as error:
        logger.debug("the stored files %s cannot be used (%s)", key, error)
        return None


def store_files(key: str, files: Mapping[str, bytes]) -> None:
    """Store the files of a program of another kind; see :func:`store_program`."""
    _store(key, lambda: files)


def _store(key: str, read: Callable[[], Mapping[str, bytes]]) -> None:
    try:
        if not limit_from_environment():
            return
        write_checked(programs_folder() / key, read())
        _remove_oldest()
    except Exception as error:  # noqa: BLE001  # of foreign code, too: prediction goes on without
        logger.debug("the program cannot be stored (%s)", error)


def delete_programs() -> int:
    """Remove all stored programs, and return their bytes; raises OSError if one cannot be removed."""
    size = size_on_disk(programs_folder())
    if programs_folder().is_dir():
        shutil.rmtree(programs_folder())
    return size


def _remove_oldest() -> None:
    def last_use(folder: Path) -> float:
        with suppress(OSError):
            return (folder / MANIFEST).stat().st_mtime
        return 0.0

    folders = sorted(filter(Path.is_dir, programs_folder().iterdir()), key=last_use, reverse=True)
    for folder in folders[_MOST_PROGRAMS:]:
        shutil.rmtree(folder, ignore_errors=True)
