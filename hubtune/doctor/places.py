"""Checks of the folders that hubtune writes: free disk, permission, network disks."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.text import escaped, format_bytes, set_variable, unset_variable

_GB, _MB = 10**9, 10**6
_RUNS = "runs"


@dataclass(frozen=True)
class Place:
    """A folder that hubtune writes.

    Attributes:
        name: of the check.
        title: of the folder, in the finding.
        little: bytes of free disk below which there is a note.
        too_little: bytes below which it is bad.
        variable: the variable that names another folder; empty if there is none.
    """

    name: str
    title: str
    little: int
    too_little: int
    variable: str = ""


CACHE = Place("cache", "Cache", 5 * _GB, 100 * _MB, "HUBTUNE_HOME")
WORKING = Place("working-folder", "Working folder", 2 * _GB, 100 * _MB)
WORKING_RUNS = Place(WORKING.name, "Working folder read-only, but for", WORKING.little, WORKING.too_little)
TEMPORARY = Place("temporary-folder", "Temporary folder", 500 * _MB, 20 * _MB, "TMPDIR")


def check_cache_variable(environment: Mapping[str, str]) -> Check | None:
    """Check the value of ``HUBTUNE_HOME``; ``None`` if it can be used."""
    value = environment.get("HUBTUNE_HOME", "")
    cure = set_variable("HUBTUNE_HOME", os.fspath(Path(tempfile.gettempdir(), "hubtune")))
    if not value:
        try:
            Path.home()
        except RuntimeError:
            return Check("cache", BAD, "This user has no home folder for the cache", cure)
        return None
    shown = f"HUBTUNE_HOME={escaped(value)}"
    try:
        folder = Path(value).expanduser()
    except RuntimeError:
        return Check("cache", BAD, f"{shown} names a user that does not exist", cure)
    if value != value.strip() or value[0] in "\"'":
        return Check("cache", BAD, f"{shown} has blanks or quotes at its ends", cure)
    if folder.exists() and not folder.is_dir():
        return Check("cache", BAD, f"{shown} is a file, not a folder", cure)
    if not folder.is_absolute():
        finding = f"{shown} is another folder in each working folder: {escaped(str(folder.absolute()))} here"
        absolute = set_variable("HUBTUNE_HOME", os.fspath(folder.absolute()))
        return Check("cache", NOTE, finding, absolute)
    return None


def leave_lost_folder() -> Check | None:
    """Go to the root if the working folder has been removed; ``None`` if it is there."""
    try:
        Path.cwd()
    except OSError as error:
        os.chdir(os.sep)
        finding = f"The working folder is gone ({error.strerror}): nothing works in it"
        return Check(WORKING.name, BAD, finding, "cd ~")
    return None


def check_writable(
    place: Place,
    folder: Path,
    *,
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    network: Callable[[Path], str | None] = lambda path: None,
) -> Check:
    """Check that a folder can be written, and how much disk is free.

    Args:
        place: what the folder is for.
        folder: it need not exist yet.
        free: returns the free bytes of a disk.
        network: returns the type of a network disk.
    """
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), Path(folder.anchor))
    shown, folder_title = escaped(str(folder)), place.title
    cure = _another_folder(place)
    if (problem := _write_problem(existing, made=existing != folder)) is not None:
        return Check(place.name, BAD, f"{folder_title} {shown} cannot be written: {problem}", cure)
    count = free(existing)
    finding = f"{folder_title} {shown}: {format_bytes(count)} free"
    kind = network(existing)
    if count < place.little:
        state = BAD if count < place.too_little else NOTE
        prune = "hubtune cache prune --help" if place is CACHE else cure
        return Check(place.name, state, finding, prune)
    if kind and place is CACHE:
        finding += f", on a network disk ({kind}): slow, and locks may fail; a local folder is better"
        return Check(place.name, NOTE, finding, cure)
    return Check(place.name, GOOD, f"{finding}{f', on a network disk ({kind})' if kind else ''}")


def check_working_folder(folder: Path, *, network: Callable[[Path], str | None] = lambda path: None) -> Check:
    """Check the working folder: of one that is read-only, as in a container, the folder of the runs in it."""
    runs = folder / _RUNS
    if _write_problem(folder, made=False) is None or not runs.is_dir():
        return check_writable(WORKING, folder, network=network)
    return check_writable(WORKING_RUNS, runs, network=network)


def check_temporary_folder(
    environment: Mapping[str, str], *, network: Callable[[Path], str | None] = lambda path: None
) -> Check:
    """Check the folder for temporary files, and that it is the one which a variable names."""
    try:
        folder = Path(tempfile.gettempdir())
    except OSError:
        cure = set_variable(TEMPORARY.variable, os.fspath(Path.cwd()))
        return Check(TEMPORARY.name, BAD, "There is no folder for temporary files that can be written", cure)
    wanted = environment.get(TEMPORARY.variable)
    if wanted and Path(wanted).absolute() != folder.absolute():
        finding = f"{TEMPORARY.variable}={escaped(wanted)} cannot be written: {folder} is taken in its place"
        return Check(TEMPORARY.name, NOTE, finding, unset_variable(TEMPORARY.variable))
    return check_writable(TEMPORARY, folder, network=network)


def _another_folder(place: Place) -> str:
    if not place.variable:
        return "cd to a folder on another disk, or free some space"
    if place.variable == "TMPDIR":
        return f"{set_variable('TMPDIR', os.fspath(Path.cwd()))}, or {unset_variable('TMPDIR')}"
    return set_variable(place.variable, os.fspath(Path.cwd() / ".hubtune"))


def _write_problem(folder: Path, *, made: bool) -> str | None:
    """Return why nothing can be written in a folder; ``made`` if folders would be made in it."""
    try:
        if made:
            with tempfile.TemporaryDirectory(dir=folder, prefix=".hubtune-doctor-"):
                return None
        with tempfile.TemporaryFile(dir=folder, prefix=".hubtune-doctor-") as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None
