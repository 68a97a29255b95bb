"""What exports and their checks share: the model as a format holds it, its files, images to compare on."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import HubtuneError, ModelError
from hubtune.export.drawn_images import draw_images
from hubtune.export.formats import FORMATS
from hubtune.export.int8 import quantized_model
from hubtune.export.parity import Parity, compare_export
from hubtune.export.single_view import single_view_model, takes_any_size
from hubtune.hub.user_code import describe_exception
from hubtune.inference.engine_interface import is_installed
from hubtune.inference.model import Model
from hubtune.rng import rng_for
from hubtune.runs.folder import is_run
from hubtune.runs.lists import find_list
from hubtune.storage.atomic import sha256_of

PARITY_FILE, LABELS_FILE = "parity.json", "labels.txt"
# Images of the run that an export is compared on.
_MOST_IMAGES = 48


def prepared_model(
    model: Model, run: Path | None, form: str, int8: bool = False
) -> AbstractContextManager[Model]:
    """Return the model as the format can hold it, or quantised."""
    if int8:
        return quantized_model(model, run, form)
    row = FORMATS[form]
    needs_one_view = row.has_one_view or (not row.needs_name and not takes_any_size(model))
    return single_view_model(model, run, row.title) if needs_one_view else nullcontext(model)


def refuse_int8_model(model: Model) -> None:
    """Raise ``ModelError`` for a model whose head was solved on features in int8."""
    if model.card.engine is not None:
        raise ModelError(
            f"The head of this model was solved on features of engine {model.card.engine}, which an export "
            "lacks: fine-tune with -o train.engine=auto, then use hubtune export --int8 on that run"
        )


def format_module(form: str) -> ModuleType:
    """Return the module of a format."""
    return import_module(f"hubtune.export.{form}")


def write_format(form: str, model: Model, folder: Path, name: str) -> None:
    """Write a model's network, scripts and labels into a folder; raises ``ModelError`` if it cannot be."""
    try:
        getattr(format_module(form), f"write_{form}")(model, folder, name)
    except (HubtuneError, OSError):
        raise
    except Exception as error:  # foreign code can fail in any way
        architecture, reason = model.card.architecture, describe_exception(error)
        raise ModelError(f"The network {architecture} cannot be saved in this format ({reason})") from error
    labels = "".join(f"{label}\n" for label in model.labels)
    (folder / LABELS_FILE).write_bytes(labels.encode("utf-8", errors="surrogateescape"))


def run_of(model: Model) -> Path | None:
    """Return the run folder that a model was read from; ``None`` if it is in none."""
    parent = None if model.folder is None else model.folder.parent
    return parent if parent is not None and is_run(parent) else None


def proof_images(run: Path | None, model: Model) -> list[Path]:
    """Return some images of the run's validation list, or else of its training list; none without them."""
    if run is None:
        return []
    for name in ("validate", "train"):
        try:
            dataset, name = find_list(run, name, model.labels)
            paths = [entry.path for entry in dataset.examples(name) if entry.path.is_file()]
        except HubtuneError:
            continue
        if paths:
            chosen = rng_for(0, "parity").permutation(len(paths))[:_MOST_IMAGES]
            return [paths[index] for index in sorted(chosen)]
    return []


def compare_with_hubtune(folder: Path, model: Model, images: Sequence[Path], form: str) -> Parity | None:
    """Compare an export with hubtune on images and drawn ones; ``None`` if its program is not installed."""
    runner = FORMATS[form].runner
    if runner is not None and not is_installed(runner):
        return None
    with TemporaryDirectory(prefix="hubtune-") as temporary:
        drawn = draw_images(Path(temporary))
        file = FORMATS[form].resizing_file
        can_resize = file is None or (folder / file).exists()
        resized = _resized(images or drawn, model.card.preprocessing, form) if can_resize else {}
        return compare_export(folder, model, [*images, *drawn], resized, file if resized else None)


def _resized(images: Sequence[Path], view: Preprocessing, form: str) -> dict[Path, np.ndarray]:
    """Return image → pixels as the format's own code makes them; nothing if it has none."""
    pixels: dict[Path, np.ndarray] = {}
    if arrange := getattr(format_module(form), f"arrange_as_{form}", None):
        for path in images:
            with suppress(ImageError):  # which both refuse
                pixels[path] = arrange(path, view)
    return pixels


def file_checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file but the record of the comparison, which holds them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != PARITY_FILE)
    return {path.name: sha256_of(path) for path in files}
