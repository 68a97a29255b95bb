"""A module of one's own to begin with: a folder that works as it is."""

import json
from importlib import resources
from pathlib import Path

from hubtune.errors import MachineError, UsageError
from hubtune.hub.module_code import CODE_FILE
from hubtune.hub.registry import MODULE_FILE

_NAME = "mynet"


def write_skeleton(folder: Path) -> None:
    """Write a module folder with a small network of its own.

    Args:
        folder: the folder, new or empty; its name becomes the module's.

    Raises:
        UsageError: it is a file, or has something in it.
        MachineError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already: name a new folder")
    source = resources.files("hubtune.hub") / "modules" / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MODULE_FILE, CODE_FILE):
            text = (source / name).read_text(encoding="utf-8")
            named = text.replace(f"name: {_NAME}\n", f"name: {json.dumps(folder.absolute().name)}\n")
            (folder / name).write_text(named, encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise MachineError(f"{folder} cannot be written ({error}): check the permissions") from error
