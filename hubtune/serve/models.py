"""The models of a server: read and started before they are asked, and exchanged while they are in use."""

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from hubtune.data.images.preprocessing import preprocess_views
from hubtune.errors import HubtuneError, UsageError
from hubtune.inference.explanation import map_inputs, map_shares
from hubtune.inference.load_model import load_model, model_folder_of
from hubtune.inference.model import Model
from hubtune.log import logger
from hubtune.rng import rng_for
from hubtune.runs.bucket_layout import POINTER
from hubtune.runs.bucket_model import local_model
from hubtune.storage.address import is_bucket_address
from hubtune.storage.checked_folder import MANIFEST, find_checked
from hubtune.storage.object_store import MissingObjectError, ObjectStore

BUCKET_SECONDS = 15.0
"""Between two looks at a run in a bucket: each costs a request."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Width and height of the images that an engine is started with: four shapes, after which a program for all
# shapes counts as checked.
_SAMPLE_SIDES = ((640, 480), (480, 640), (512, 512), (640, 360))


class ServedModel:
    """A model that answers at once: its engine has run images of the usual shapes."""

    def __init__(self, name: str, model: Model, manifest: bytes) -> None:
        """Take the model, which is read, and the manifest of its folder."""
        self.name, self.model, self.manifest = name, model, manifest
        self._lock = Lock()
        self._has_maps = False
        self._start()

    def _start(self) -> None:
        for image in sample_images():
            arrays = preprocess_views("sample", self.model.card.views, image)
            self.model.begin(arrays)()

    def start_maps(self) -> None:
        """Start what computes heat maps, once; takes seconds the first time.

        Raises:
            ModelError: the model has no maps.
        """
        with self._lock:
            if not self._has_maps:
                for image in sample_images():
                    map_shares(self.model, map_inputs(self.model.card.views, "sample", image), 0)
                self._has_maps = True


def sample_images() -> list[Image.Image]:
    """Return images of noise, of four shapes."""
    random = rng_for(0, "serve", "sample")
    sides = [
        (wide, high, random.integers(0, 256, (high // 16, wide // 16, 3), np.uint8))
        for wide, high in _SAMPLE_SIDES
    ]
    return [Image.fromarray(pixels).resize((wide, high)) for wide, high, pixels in sides]


@dataclass(frozen=True)
class ModelSource:
    """Where a served model comes from.

    Attributes:
        folder: of a run or a model.
        load: reads the model of a folder.
    """

    folder: Path
    load: Callable[[Path], Model] = load_model

    def read_manifest(self) -> bytes:
        """Return the manifest of the model that the folder has now; it changes with the model.

        Raises:
            ModelError: there is no model.
        """
        return (find_checked(model_folder_of(self.folder)) / MANIFEST).read_bytes()

    def open(self, name: str) -> ServedModel:
        """Read the model, and start it.

        Raises:
            ModelError: there is no complete model.
        """
        manifest = self.read_manifest()
        return ServedModel(name, self.load(self.folder), manifest)


class BucketModelSource:
    """A served model in a bucket; another one is fetched when ``best_model.json`` there names it.

    Attributes:
        folder: of the run or the model, in the cache.
    """

    def __init__(self, address: str, load: Callable[[Path], Model] = load_model) -> None:
        """Fetch the model; errors are those of :func:`~hubtune.runs.bucket_model.local_model`."""
        self._address, self._load = address, load
        self._store = ObjectStore(address)
        self._pointer, self._asked_at = b"", float("-inf")
        self.folder = local_model(address)

    def read_manifest(self) -> bytes:
        """Return what changes with the model; the bucket is asked every few seconds only.

        Raises:
            MachineError: the bucket cannot be read.
        """
        if time.monotonic() - self._asked_at >= BUCKET_SECONDS:
            self._asked_at = time.monotonic()
            with contextlib.suppress(MissingObjectError):  # a model's folder, which stays as it is
                self._pointer = self._store.get(POINTER)
        return self._pointer

    def open(self, name: str) -> ServedModel:
        """Fetch the model if it is another one, read it, and start it.

        Raises:
            ModelError: there is no complete model.
            MachineError: the bucket cannot be read, or the cache not written.
        """
        manifest = self.read_manifest()
        self.folder = local_model(self._address)
        return ServedModel(name, self._load(self.folder), manifest)


Source = ModelSource | BucketModelSource


class ModelTable:
    """The models of a server by name; the first one answers where none is named."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """Read and start all models.

        Raises:
            ModelError: one of them cannot be used.
        """
        self._sources = dict(sources)
        self._models = {name: source.open(name) for name, source in sources.items()}
        self._failed: dict[str, bytes] = {}

    @property
    def names(self) -> list[str]:
        return list(self._models)

    @property
    def default(self) -> ServedModel:
        return self._models[self.names[0]]

    def find(self, name: str) -> ServedModel | None:
        return self._models.get(name)

    def reload_changed(self) -> list[str]:
        """Read the models whose folders have changed; returns the names of those that were exchanged.

        Requests go on with the former model until the new one has been started. One that cannot be used is
        named in the log, and the former one stays.
        """
        return [name for name in self._sources if self._reload(name)]

    def _reload(self, name: str) -> bool:
        source = self._sources[name]
        manifest = b""
        try:
            manifest = source.read_manifest()
            if manifest in (self._models[name].manifest, self._failed.get(name)):
                return False
            self._models[name] = source.open(name)
        except (HubtuneError, OSError) as error:
            if manifest and manifest != self._failed.get(name):
                self._failed[name] = manifest
                logger.warning("%s keeps its model, as the new one cannot be used: %s", name, error)
            return False
        logger.info("%s: a new model of %s answers from now on", name, source.folder)
        return True


def named_sources(
    places: Sequence[Path | str], named: Sequence[str], load: Callable[[Path], Model] = load_model
) -> dict[str, Source]:
    """Return the sources of models by name.

    Args:
        places: runs or models, which get the names of their folders; texts are addresses in a bucket.
        named: further ones as ``NAME=RUN``, which may be in a bucket.
        load: reads a model.

    Raises:
        UsageError: a name is given twice, or cannot stand in an address.
    """
    pairs = [(_name_of(Path(place)), place) for place in places]
    for text in named:
        name, equals, place = text.partition("=")
        if not equals or not place or not _NAME.fullmatch(name):
            raise UsageError(
                f"--model {text!r}: write NAME=RUN, the name of letters, digits, points, - and _"
            )
        pairs.append((name, place if is_bucket_address(place) else Path(place)))
    sources: dict[str, Source] = {}
    for name, given in pairs:
        if name in sources:
            raise UsageError(f"Two models have the name {name}: give one another by --model NAME=RUN")
        sources[name] = (
            ModelSource(given, load) if isinstance(given, Path) else BucketModelSource(given, load)
        )
    return sources


def _name_of(folder: Path) -> str:
    resolved = folder.resolve()  # for an address, too: only its last name counts
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", resolved.name).strip("-._")[:64]
    return name or "model"
