"""Files that are imported in place of a package, or of a module of Python, as they have its name.

It imports nothing that such a file may break.
"""

import os
import sys

SITES = ("site-packages", "dist-packages")
"""Names of the folders of installed packages."""


def standard_shadow() -> str | None:
    """Return the first file, or folder, that hides a module of Python's own library; ``None`` without one."""
    standard = os.path.dirname(os.__file__)  # noqa: PTH120  # pathlib may be hidden itself
    for folder in sys.path:
        if folder == standard:
            return None
        try:
            names = sorted(os.listdir(folder or "."))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            path = os.path.join(folder or os.getcwd(), name)  # noqa: PTH109, PTH118
            stem, ending = os.path.splitext(name)  # noqa: PTH122
            is_package = not ending and os.path.isfile(os.path.join(path, "__init__.py"))  # noqa: PTH113, PTH118
            if stem in sys.stdlib_module_names and (ending == ".py" or is_package):
                return path
    return None


def is_beside_packages(path: str) -> bool:
    """Whether a path is one of installed packages."""
    return any(part in SITES for part in path.replace("\\", "/").split("/"))


def shadow_sentence(title: str, path: str) -> str:
    """Return the sentence for a file that hides a package or a module, without the cure."""
    return f"{title} is taken from {path}, which comes before the one that is meant"


def shadow_cure(path: str) -> str:
    """Return the command that uncovers what a file hides."""
    folder, name = os.path.split(path)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if any(each and os.path.abspath(each) == os.path.abspath(folder) for each in inherited):  # noqa: PTH100
        return "set PYTHONPATH=" if os.name == "nt" else "unset PYTHONPATH"
    new = os.path.join(folder, f"my_{name}")  # noqa: PTH118
    return f'ren "{path}" "my_{name}"' if os.name == "nt" else f"mv '{path}' '{new}'"
