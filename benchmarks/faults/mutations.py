"""Guards that are taken out one at a time, to prove that the checks notice.

Each is taken out in the children only, after a check has put its own instruments in place.
"""

import contextlib
import dataclasses
import importlib
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.imports import replace_everywhere


@dataclass(frozen=True)
class Mutation:
    """A guard that is taken out.

    Attributes:
        guard: what it is, for the table.
        apply: takes it out in this process.
        checks: ``row.name`` of the checks that must go red.
    """

    guard: str
    apply: Callable[[], None]
    checks: Sequence[str]


class _EqualToAll(str):
    """A text that equals every other one."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def _without_fsync() -> None:
    os.fsync = lambda handle: None
    os.sync = lambda: None


def _rename_in_place() -> None:
    """Copy content into its final place, byte by byte as a simple program would."""

    def move(source: Any, target: Any, **_: Any) -> None:
        source, target = Path(source), Path(target)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
            shutil.rmtree(source)
            return
        content = source.read_bytes()
        with target.open("wb") as file:
            for start in range(0, len(content), 512):
                file.write(content[start : start + 512])
                file.flush()
        source.unlink()

    os.rename = os.replace = move


def _checksums_equal() -> None:
    module = importlib.import_module("hubtune.storage.checked_folder")
    replace_everywhere(module.sha256_of, lambda path: _EqualToAll("0" * 64))


def _downloads_unchecked() -> None:
    module = importlib.import_module("hubtune.hub.weights_cache")
    module.ExpectedFile.checksum_error = lambda self, path: None


def _pickle_allows_all() -> None:
    module = importlib.import_module("hubtune.storage.safe_load")

    def read(file: Any, size: int, **_: Any) -> Any:
        return pickle.load(file)  # noqa: S301  # the point of it

    module.read_tensor_pickle = read


def _without_escaping() -> None:
    module = importlib.import_module("hubtune.text")
    replace_everywhere(module.escaped, lambda text: text)


def _archive_names_unchecked() -> None:
    module = importlib.import_module("hubtune.data.sources.archive")
    module.inside = lambda name: name


def _bombs_allowed() -> None:
    module = importlib.import_module("hubtune.data.images.decode")
    module.MAX_PIXELS = 10**12
    importlib.import_module("PIL.Image").MAX_IMAGE_PIXELS = None


def _csv_unquoted() -> None:
    found = [
        module.escape_cell
        for name, module in list(sys.modules.items())
        if name.startswith("hubtune") and hasattr(module, "escape_cell")
    ]
    for function in set(found):
        replace_everywhere(function, lambda text: text)


def _without_locks() -> None:
    module = importlib.import_module("hubtune.storage.lock")
    replace_everywhere(module.exclusive_lock, lambda *_, **__: contextlib.nullcontext())


def _code_trusted() -> None:
    module = importlib.import_module("hubtune.hub.module_code")
    load = module.load_backbone

    def trusting(folder: Path, **options: Any) -> Any:
        return load(folder, **{**options, "trust_code": True})

    replace_everywhere(load, trusting)


def _replace_method(place: str, name: str, returned: object = None) -> Callable[[], None]:
    """Return what lets a method of a class, ``module.Class``, do nothing."""

    def apply() -> None:
        module, _, kind = place.rpartition(".")
        setattr(getattr(importlib.import_module(module), kind), name, lambda *_, **__: returned)

    return apply


_MEMORY = _replace_method("hubtune.inference.memory.ImageMemory", "check")
_MOMENTS = _replace_method("hubtune.train.optimizer.Optimizer", "find_infinite")
_PLACE = _replace_method("hubtune.runs.folder.RunFolder", "check_place")
_BEST = _replace_method("hubtune.train.evaluator.Evaluator", "restore_best")


def _bodies_unlimited() -> None:
    from hubtune.serve.limits import BodyReader, ServeLimits

    init = BodyReader.__init__

    def init_without_limits(self: BodyReader, limits: ServeLimits) -> None:
        init(self, dataclasses.replace(limits, body_bytes=10**12, buffered_bytes=10**12))

    BodyReader.__init__ = init_without_limits  # type: ignore[method-assign]


def _without_deadline() -> None:
    from hubtune.serve.protocol import DeadlineProtocol

    DeadlineProtocol._start_deadline = lambda self: None  # type: ignore[method-assign]


def _access_unchecked() -> None:
    from hubtune.serve.security import AccessCheck

    AccessCheck.check = lambda self, scope: None  # type: ignore[method-assign]


MUTATIONS = {
    "fsync": Mutation("fsync does nothing", _without_fsync, ("1.order of writes",)),
    "rename": Mutation("rename copies in place", _rename_in_place, ("1.order of writes", "1.split")),
    "checksum": Mutation("checksums of folders always fit", _checksums_equal, ("7.damage",)),
    "download checksum": Mutation("checksums of downloads always fit", _downloads_unchecked, ("20.servers",)),
    "allow-list": Mutation("the pickle reader allows every name", _pickle_allows_all, ("22.payloads",)),
    "escaping": Mutation("text is not escaped", _without_escaping, ("26.commands",)),
    "archive names": Mutation("names in archives are not checked", _archive_names_unchecked, ("25.names",)),
    "image limit": Mutation("images of any size are decoded", _bombs_allowed, ("11.bombs",)),
    "formulas": Mutation("formulas in CSV files are not quoted", _csv_unquoted, ("26.tables",)),
    "locks": Mutation("locks lock nothing", _without_locks, ("8.lock",)),
    "memory": Mutation("memory is not estimated", _MEMORY, ("17.container",)),
    "moments": Mutation("infinite moments are not looked for", _MOMENTS, ("16.overflow",)),
    "place": Mutation("a moved run folder is not noticed", _PLACE, ("6.moved",)),
    "best model": Mutation("a lost best model is not noticed", _BEST, ("7.other files",)),
    "body limit": Mutation("bodies of any size are read", _bodies_unlimited, ("29.uploads",)),
    "deadline": Mutation("requests may take for ever", _without_deadline, ("31.clients",)),
    "access": Mutation("every request may be answered", _access_unchecked, ("33.requests",)),
    "trust": Mutation("code of model folders is trusted", _code_trusted, ("34.models",)),
}
