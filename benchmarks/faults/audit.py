"""Watches a child for what reading a file must never do: run code, connect, or write elsewhere."""

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "urllib.Request",
    "webbrowser.open",
    "ctypes.dlopen",
    "pickle.find_class",
    "shutil.rmtree",
    "code.__new__",
    "function.__new__",
)
_CHANGES = ("os.rename", "os.remove", "os.symlink", "os.mkdir", "os.chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OWN_CODE = tuple(
    str(Path(folder).resolve())
    for folder in {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, Path(__file__).parents[2]}
)


class Watch:
    """What a child does, from ``install`` on, while ``active``."""

    def __init__(self, may_write: Path) -> None:
        self.may_write = may_write.resolve()
        self.found: list[str] = []
        self.events = 0
        self.active = False

    def install(self) -> None:
        """Add the hook to this process. It cannot be removed again."""
        sys.addaudithook(self._hook)

    def watch(self, work: Callable[[], Any]) -> list[str]:
        """Run a function, and return the forbidden events in it; its exceptions are passed on."""
        self.found = []
        self.active = True
        try:
            work()
        finally:
            self.active = False
        return self.found

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        self.events += 1
        if event in _FORBIDDEN and not (event == "shutil.rmtree" and self._is_own(arguments[0])):
            self.found.append(f"{event} {str(arguments[:1])[:80]}")
        elif event == "exec" and not getattr(arguments[0], "co_filename", "").startswith(_OWN_CODE):
            self.found.append(f"exec of {getattr(arguments[0], 'co_filename', '?')}")
        elif event == "open":
            if isinstance(arguments[2], int) and arguments[2] & _WRITES:
                self._check_place(event, arguments[0])
        elif event in _CHANGES:
            # A link's and a rename's second argument is the new name.
            place = arguments[1] if event in ("os.symlink", "os.rename") else arguments[0]
            self._check_place(event, place, arguments[-1] if isinstance(arguments[-1], int) else -1)

    def _check_place(self, event: str, path: Any, folder: int = -1) -> None:
        """Note a change of a path, which is relative to an open folder if that is not negative."""
        if folder >= 0 and isinstance(path, str | bytes | os.PathLike):
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))  # noqa: PTH115, PTH118
        if not self._is_own(path):
            self.found.append(f"{event} {path!a} for writing")

    def _is_own(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a handle that was opened before
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # resolve() would raise events
        return place.startswith(str(self.may_write)) or place == os.devnull
