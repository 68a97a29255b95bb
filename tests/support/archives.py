"""Archives of image folders."""

import tarfile
import zipfile


def zipped(folder, top=""):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for entry in sorted(folder.rglob("*")):
            file.write(entry, top + entry.relative_to(folder).as_posix())
    return path


def tarred(folder, top="."):
    path = folder.with_name(folder.name + ".tar.gz")
    with tarfile.open(path, "w:gz") as file:
        file.add(folder, top)
    return path
