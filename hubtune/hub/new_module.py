"""Writes a module folder to start one's own from: it works as it is."""

import json
from importlib import resources
from pathlib import Path

from hubtune.errors import MachineError, UsageError
from hubtune.hub.file_names import CODE_FILE, MODULE_FILE
from hubtune.storage.new_folder import is_occupied
from hubtune.text import escaped

_NAME = "mynet"


def write_skeleton(folder: Path) -> None:
    """Write a module with a small network into a new or empty folder, whose name becomes the module's.

    Raises:
        UsageError: it is a file or not empty, or its name cannot be a module's.
        MachineError: it cannot be written.
    """
    name = folder.absolute().name
    if not name or not name.isprintable():
        raise UsageError(f"'{escaped(str(folder))}' is no name for a module: use letters, digits, - and _")
    if is_occupied(folder):
        raise UsageError(f"{folder} exists already: name a new folder")
    source = resources.files("hubtune.hub") / "modules" / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in (MODULE_FILE, CODE_FILE):
            text = (source / file).read_text(encoding="utf-8")
            text = text.replace(f"name: {_NAME}\n", f"name: {json.dumps(name)}\n")
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be written ({error.strerror}): check the path and its permissions"
        ) from error
