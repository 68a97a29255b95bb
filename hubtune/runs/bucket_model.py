"""Models in buckets for use on this machine: fetched into the cache and checked, once for each state."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from hubtune.errors import ModelError
from hubtune.hub.file_names import MODEL_FILE
from hubtune.recipe.load import dump_recipe, load_recipe
from hubtune.runs.bucket_layout import POINTER
from hubtune.runs.bucket_run import FILES, fetch_files, fetch_model, folder_for
from hubtune.runs.folder import BEST_MODEL, LISTS, RECIPE_FILE
from hubtune.storage.address import is_bucket_address
from hubtune.storage.atomic import write_atomically
from hubtune.storage.bucket_folder import DamagedFolderError, fetch_checked
from hubtune.storage.cache_folder import build_once, source_folder
from hubtune.storage.checked_folder import MANIFEST
from hubtune.storage.object_store import MissingObjectError, ObjectInfo, ObjectStore

# What is only for looking at a run.
_LEFT_OUT = {"train.log", "report.html"}


def local_model(place: str | Path) -> Path:
    """Return the folder of a run or a model on this machine: that in the cache, for an address in a bucket.

    Raises:
        ModelError: there is no run or model at the address, or it is damaged.
        MachineError: the bucket cannot be read, or the cache not written.
    """
    if isinstance(place, Path) or not is_bucket_address(place):
        return Path(place)
    store = ObjectStore(place)
    objects = store.list()
    if POINTER in objects:
        copied = {POINTER, RECIPE_FILE, *FILES} - _LEFT_OUT
        wanted = {
            name: info for name, info in objects.items() if name in copied or name.startswith(f"{LISTS}/")
        }
        return _bring(store, wanted, lambda folder: _fetch_run(store, folder, wanted))
    if MODEL_FILE in objects and MANIFEST in objects and store.address.folder:
        return _bring(store, {MANIFEST: objects[MANIFEST]}, lambda folder: _fetch_folder(store, folder))
    if RECIPE_FILE in objects:
        raise ModelError(f"{place} has no model yet, as it has not reached its first evaluation: wait for it")
    raise ModelError(f"There is no run or model at {place}: check the names of the bucket and the folder")


def _bring(store: ObjectStore, objects: Mapping[str, ObjectInfo], fetch: Callable[[Path], None]) -> Path:
    """Fetch one state of a run into a folder of the cache: another state is another folder."""
    state = "\n".join(f"{name} {info.etag}" for name, info in sorted(objects.items()))
    name = store.address.name
    identity = f"{store.address}\n{hashlib.sha256(state.encode()).hexdigest()}"
    # In a folder of its own name, by which servers and exports call it.
    return build_once(source_folder("models", name, identity), lambda folder: fetch(folder / name)) / name


def _fetch_run(store: ObjectStore, folder: Path, objects: Mapping[str, ObjectInfo]) -> None:
    folder.mkdir()
    if not fetch_model(store, folder / BEST_MODEL):
        raise ModelError(f"{store.address} has no model any more: it was removed meanwhile")
    fetch_files(store, folder, objects)
    _move_lists(store, folder)


def _move_lists(store: ObjectStore, folder: Path) -> None:
    """Let the recipe name the lists beside it, if they were made for the run."""
    recipe = load_recipe(folder / RECIPE_FILE)
    base = Path(recipe.data.base)
    if base.name == LISTS and base.parent.name.startswith(folder_for(str(store.address)).name):
        final = folder.parent.with_name(folder.parent.name.removesuffix(".part")) / folder.name / LISTS
        data = recipe.data.model_copy(update={"base": str(final)})
        write_atomically(folder / RECIPE_FILE, dump_recipe(recipe.model_copy(update={"data": data})))


def _fetch_folder(store: ObjectStore, folder: Path) -> None:
    above, _, name = store.address.folder.rpartition("/")
    try:
        fetch_checked(ObjectStore(replace(store.address, folder=above)), name, folder)
    except DamagedFolderError as error:
        raise ModelError(f"{error}: the model in the bucket cannot be used") from error
    except MissingObjectError as error:
        raise ModelError(f"{store.address} was removed while it was being read") from error
