"""Loss of power, simulated: the order in which files are written, synced and renamed.

A disk may lose everything that was not synced. So a file must be synced, as it is, before it gets the name
that readers look for, and the folder after that; and nothing that readers see may be opened for writing.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.children import call, enter
from benchmarks.faults.outcome import Bench, Outcome

_UNFINISHED = re.compile(r"(^\.|\.tmp$|\.part$|\.part\.json$|\.new$|\.old$|\.lock$|-journal$|-wal$|-shm$)")


class Trace:
    """Records what this process, a child, does below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.problems: list[str] = []
        self.renames = self.syncs = 0
        self._synced: dict[str, str] = {}
        self._waiting: set[Path] = set()  # folders with a rename that no sync has followed
        self._all_synced = False

    def install(self) -> None:
        """Watch ``fsync``, ``sync``, ``rename``, ``replace`` and files opened for writing."""
        fsync, sync, rename, replace = os.fsync, os.sync, os.rename, os.replace
        sys.addaudithook(self._opened)

        def watched_fsync(handle: int) -> None:
            fsync(handle)
            self._note_sync(Path(f"/proc/self/fd/{int(handle)}").readlink())

        def watched_sync() -> None:
            sync()
            self._all_synced = True

        def watched(function: Callable[..., None]) -> Callable[..., None]:
            def move(source: os.PathLike[str] | str, target: os.PathLike[str] | str, **options: int) -> None:
                self._check_rename(Path(source), Path(target))
                function(source, target, **options)

            return move

        os.fsync, os.sync = watched_fsync, watched_sync
        os.rename, os.replace = watched(rename), watched(replace)

    def finish(self) -> tuple[list[str], int, int]:
        """Return what was wrong, and how many syncs and renames there were."""
        self.problems += [f"{folder.name}/ is not synced after a rename" for folder in self._waiting]
        if not self.renames:
            self.problems.append("nothing was renamed into its place")
        return self.problems, self.syncs, self.renames

    def _opened(self, event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" or not isinstance(arguments[2], int):
            return
        if not arguments[2] & (os.O_WRONLY | os.O_RDWR) or not isinstance(arguments[0], str | os.PathLike):
            return
        path = Path(os.fspath(arguments[0])).absolute()
        if not path.is_relative_to(self.root) or path.is_dir():
            return
        if not any(_UNFINISHED.search(part) for part in path.relative_to(self.root).parts):
            self.problems.append(f"{path.name} is written in its place")

    def _note_sync(self, path: Path) -> None:
        self.syncs += 1
        if path.is_dir():
            self._waiting.discard(path)
        elif path.is_file():
            self._synced[str(path)] = _digest(path)

    def _check_rename(self, source: Path, target: Path) -> None:
        source, target = source.absolute(), target.absolute()
        if not target.is_relative_to(self.root) or _UNFINISHED.search(target.name):
            return
        self.renames += 1
        files = [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]
        for path in files:
            if not self._all_synced and self._synced.get(str(path.resolve())) != _digest(path):
                self.problems.append(f"{path.name} is not synced before it becomes {target.name}")
        self._waiting.add(target.parent.resolve())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def order_of_writes(bench: Bench) -> Outcome:
    """Trace what is written atomically: a file, a checked folder over an older one, an unpacked archive."""
    outcome = Outcome()
    total = [0, 0]

    def write_file(root: Path) -> None:
        from hubtune.storage.atomic import write_atomically

        for content in ("old", "new"):
            write_atomically(root / "list.txt", content)

    def write_folder(root: Path) -> None:
        from hubtune.storage.checked_folder import write_checked

        for content in (b"old", b"new"):
            write_checked(root / "step-1", {"model.safetensors": content * 1000, "state.json": b"{}"})

    def build(root: Path) -> None:
        from hubtune.storage.cache_folder import build_once

        build_once(root / "unpacked", lambda folder: (folder / "a").write_bytes(b"content") and None)

    def write_list(root: Path) -> None:
        from hubtune.data.splits.files import Split

        Split(["a"], ["a"]).write(root / "lists")

    for work in (write_file, write_folder, build, write_list):
        root = bench.folder / work.__name__
        root.mkdir()
        trace = Trace(root)

        def traced(work: Callable[[Path], None] = work, root: Path = root, trace: Trace = trace) -> object:
            enter(bench.folder)
            work(root)
            return trace.finish()

        ended = call(traced, prepare=trace.install)
        problems, *counts = ended.value or ([f"failed: {ended.last_line}"], 0, 0)
        total = [a + b for a, b in zip(total, counts, strict=True)]
        outcome.expect(not problems, f"{work.__name__}: {'; '.join(dict.fromkeys(problems))}")
    outcome.evidence = f"{total[1]} renames, each after a sync of its content; {total[0]} syncs"
    return outcome
