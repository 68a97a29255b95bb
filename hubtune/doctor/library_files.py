"""Extension modules whose files are cut off, as by a full disk: loading one may end the process (SIGBUS)."""

import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

# The first extension module that each of the large packages loads.
_FIRST_LIBRARIES = frozenset(
    (
        *("PIL._imaging", "numpy._core._multiarray_umath", "pydantic_core._pydantic_core"),
        *("scipy.linalg._fblas", "paddle.base.libpaddle", "matplotlib.ft2font"),
    )
)
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # of ELF files for 64 bits, little endian
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOADED = 1


class CutOffLibraries:
    """An import hook that raises ``ImportError`` in place of loading a library that is cut off."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _FIRST_LIBRARIES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin and is_cut_off(Path(spec.origin)):
            raise ImportError(f"{spec.origin} is cut off", name=name, path=spec.origin)
        return spec


@contextmanager
def cut_off_libraries_refused() -> Iterator[None]:
    """Use the import hook while the block runs."""
    sys.meta_path.insert(0, CutOffLibraries)
    try:
        yield
    finally:
        sys.meta_path.remove(CutOffLibraries)


def is_cut_off(file: Path) -> bool:
    """Whether a library of Linux is shorter than its headers say; other files are not judged."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header = stream.read(_HEADER.size)
            if not header.startswith(b"\x7fELF\x02\x01") or len(header) < _HEADER.size:
                return header.startswith(b"\x7fELF") and len(header) < _HEADER.size
            fields = _HEADER.unpack(header)
            segments, sections, count = fields[5], fields[6], fields[10]
            stream.seek(segments)
            table = stream.read(count * _SEGMENT.size)
    except OSError:
        return False
    if len(table) < count * _SEGMENT.size or size < sections + fields[11] * fields[12]:
        return True
    ends = [entry[2] + entry[5] for entry in _SEGMENT.iter_unpack(table) if entry[0] == _LOADED]
    return size < max(ends, default=0)
