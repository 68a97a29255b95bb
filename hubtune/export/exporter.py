"""Writes a model in the format of another program, and proves that it gives the same answers there."""

import json
import secrets
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import CheckFailedError, HubtuneError, MachineError, ModelError, UsageError
from hubtune.export.benchmark import BenchRow, WrittenExport, compare_speed, measure_exports
from hubtune.export.drawn_images import draw_images
from hubtune.export.formats import FORMATS
from hubtune.export.int8 import Int8Report, quantized_model
from hubtune.export.parity import RESIZED_TOLERANCE, Parity, compare_export
from hubtune.export.quantized_model import QuantizedModel
from hubtune.export.readme import README_FILE, render_readme
from hubtune.export.scripts import SETTINGS_FILE
from hubtune.export.single_view import single_view_model, takes_any_size
from hubtune.hardware.device import select_device
from hubtune.hub.user_code import describe_exception
from hubtune.inference.model import Model
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.rng import rng_for
from hubtune.runs.folder import is_run
from hubtune.runs.lists import find_list
from hubtune.storage.atomic import replacing_folder, sha256_of
from hubtune.text import first_few

PARITY_FILE, LABELS_FILE = "parity.json", "labels.txt"
# Formats whose scripts read the settings, by which an earlier export is recognised.
_CHECKED = [name for name, row in FORMATS.items() if row.runner is None]
# Images of the run that an export is compared on.
_MOST_IMAGES = 48


@dataclass(frozen=True)
class Export:
    """A written export.

    Attributes:
        folder: where it is.
        format: its name.
        parity: how it compares with hubtune; ``None`` if its program is not installed.
        images: number of the run's own images that it was compared on.
        accuracies: list → accuracy of the model and of the export; only where a new head was solved.
        int8: what int8 does to answers, time and size; ``None`` for an export in float32.
        bench: figures of hubtune and of the export; empty if they were not asked for.
    """

    folder: Path
    format: str
    parity: Parity | None
    images: int
    accuracies: dict[str, tuple[float, float]]
    int8: Int8Report | None = None
    bench: list[BenchRow] = field(default_factory=list)


def export_model(
    model: Model,
    folder: str | Path,
    form: str,
    *,
    name: str | None = None,
    int8: bool = False,
    bench: bool = False,
) -> Export:
    """Write a model for another program, with the scripts that run it there.

    The folder is complete, or not written. Paddle computes on the CPU from then on. The export is run in a
    fresh process on images of the run and on drawn ones, and compared with hubtune; ``parity.json`` has the
    result.

    Args:
        model: a fine-tuned model, as :func:`hubtune.load_model` reads it from a run.
        folder: the folder to write; it must be new or empty.
        form: ``onnx``, ``openvino``, ``paddle`` or ``paddlehub``.
        name: the module's name for ``paddlehub``; default: the folder's name.
        int8: quantise the backbone (``onnx`` and ``openvino``). A head that was solved is solved again on
            its features. The model must be of a run whose training and validation images are there.
        bench: measure accuracy, time and size of the export beside those of hubtune.

    Raises:
        UsageError: there is no such format, it has no int8, or the folder or the name cannot be used.
        ModelError: the format cannot hold the model, or int8 lacks its images.
        CheckFailedError: the export does not give the model's answers; or int8 loses more than half a point
            of accuracy beyond its standard error, or is not 1.3 times as fast as float32.
        MachineError: the folder cannot be written, or a package that the format needs is missing.

    Example:
        >>> hubtune.export_model(hubtune.load_model("runs/idol5"), "exported/idol5", "onnx").parity.pixels
        Difference(images=62, labels=0, scores=1.2e-07, similarity=2.4e-07, worst='anqi3.jpg')
    """
    folder = Path(folder)
    check_export(folder, form, name, int8=int8, bench=bench)
    select_device("cpu")
    title = FORMATS[form].title
    if not isinstance(model.classifier, Classifier):
        raise ModelError(f"{model.card.module} was not fine-tuned: export a model that was")
    _refuse_int8_model(model)
    run, name = _run_of(model), name or folder.resolve().name
    unfinished = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        with _prepared(model, run, form, int8) as exported, replacing_folder(folder, unfinished) as new:
            _write(form, exported, new, name)
            images = _images_of(run, exported)
            report, rows = _measure(model, exported, new, form, name, bench)
            parity = _compare(new, exported, images, form)
            if parity is not None:
                parity = _without_bad_resizing(parity, new, form) if images else parity
                parity.check(judge_resized=bool(images))
            has_other_head = exported is not model and report is None
            accuracies = _accuracies(model, exported) if has_other_head else {}
            before = {each: shares[0] for each, shares in accuracies.items()}
            facts = getattr(_module(form), f"{form}_facts")(exported.card, new)
            readme = render_readme(exported.card, facts, title, parity, before, int8=report, bench=rows)
            (new / README_FILE).write_text(readme, encoding="utf-8")
            if parity is not None:
                measured = {"int8": report and report.as_dict(), "bench": [row.as_dict() for row in rows]}
                record = {**parity.as_dict(), **measured, "sha256": _checksums(new)}
                (new / PARITY_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise MachineError(f"{folder} could not be written: {error.strerror or error}") from error
    return Export(folder, form, parity, len(images), accuracies, report, rows)


def export_paddlehub(model: Model, folder: str | Path, name: str) -> None:
    """Write a model as a PaddleHub module: :func:`export_model` with the format ``paddlehub``."""
    export_model(model, folder, "paddlehub", name=name)


def check_export(
    folder: Path, form: str, name: str | None = None, *, int8: bool = False, bench: bool = False
) -> None:
    """Refuse what :func:`export_model` would refuse before any work; arguments and errors are the same."""
    if form not in FORMATS:
        raise UsageError(f"There is no format {form!r}: choose one of {', '.join(FORMATS)}")
    row = FORMATS[form]
    if int8 and not row.int8_packages:
        others = " or ".join(name for name, other in FORMATS.items() if other.int8_packages)
        raise UsageError(f"{row.title} has no int8: use --format {others}, or export without --int8")
    if bench and row.needs_name:
        raise UsageError(f"--bench runs an export by itself, and {row.title} cannot: use another format")
    packages = row.int8_packages if int8 else row.packages
    if missing := [package for package in packages if not _is_installed(package)]:
        what = f"{row.title} in int8" if int8 else row.title
        raise MachineError(
            f"Export to {what} needs {' and '.join(missing)}: pip install {' '.join(packages)}"
        )
    if row.needs_name:
        _module(form).check_name(folder, name or folder.resolve().name)
    elif name is not None:
        raise UsageError(f"--name {name} goes with --format paddlehub: other formats have no name")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder, or empty it first")


def prove_export(folder: str | Path, model: Model) -> Parity:
    """Compare an export that was written earlier with its model, as :func:`export_model` does.

    Raises:
        ModelError: the folder is not an export that can be compared.
        CheckFailedError: the export does not give the model's answers.
        MachineError: the export cannot be run.
    """
    folder = Path(folder)
    try:
        form = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))["format"]
        if form not in FORMATS:
            raise KeyError(form)
        record = json.loads((folder / PARITY_FILE).read_text(encoding="utf-8"))
        written, present = record["sha256"], _checksums(folder)
        changed = [name for name, checksum in written.items() if present.get(name) != checksum]
        is_quantized = bool(record.get("int8"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"{folder} cannot be checked: name a folder that hubtune export wrote as "
            f"{', '.join(_CHECKED)}, with its {PARITY_FILE}"
        ) from error
    select_device("cpu")
    if changed:
        raise CheckFailedError(
            f"{folder} is not as it was written: {first_few(changed)} changed or missing. Export the model "
            "again"
        )
    if added := _importable(folder, written):
        raise CheckFailedError(
            f"{folder} has {first_few(added)}, which its scripts could import in place of packages: remove it"
        )
    if is_quantized:
        raise ModelError(
            f"The files of {folder} are as they were written, but its answers in int8 are not the model's: "
            "to compare them again, export it again"
        )
    _refuse_int8_model(model)
    run = _run_of(model)
    with _prepared(model, run, form) as exported:
        images = _images_of(run, exported)
        parity = _compare(folder, exported, images, form)
    assert parity is not None  # the format has no program of its own
    parity.check(judge_resized=bool(images))
    return parity


def _prepared(model: Model, run: Path | None, form: str, int8: bool = False) -> AbstractContextManager[Model]:
    """Return the model as the format can hold it, or quantised."""
    if int8:
        return quantized_model(model, run, form)
    row = FORMATS[form]
    needs_one_view = row.has_one_view or (not row.needs_name and not takes_any_size(model))
    return single_view_model(model, run, row.title) if needs_one_view else nullcontext(model)


def _refuse_int8_model(model: Model) -> None:
    if model.card.engine is not None:
        raise ModelError(
            f"The head of this model was solved on features of engine {model.card.engine}, which an export "
            "lacks: fine-tune with -o train.engine=auto, then use hubtune export --int8 on that run"
        )


def _module(form: str) -> ModuleType:
    return import_module(f"hubtune.export.{form}")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # of a stand-in without a specification
        return False


def _write(form: str, model: Model, folder: Path, name: str) -> None:
    try:
        getattr(_module(form), f"write_{form}")(model, folder, name)
    except (HubtuneError, OSError):
        raise
    except Exception as error:  # foreign code can fail in any way
        architecture, reason = model.card.architecture, describe_exception(error)
        raise ModelError(f"The network {architecture} cannot be saved in this format ({reason})") from error
    labels = "".join(f"{label}\n" for label in model.labels)
    (folder / LABELS_FILE).write_bytes(labels.encode("utf-8", errors="surrogateescape"))


def _measure(
    model: Model, exported: Model, folder: Path, form: str, name: str, bench: bool
) -> tuple[Int8Report | None, list[BenchRow]]:
    """Compare an export in int8 with one in float32; measure both, and hubtune, if asked for."""
    run = _run_of(model)
    if not isinstance(exported, QuantizedModel):
        written = WrittenExport(folder, form, "float32", exported)
        return None, measure_exports(model, [written], run) if bench else []
    with TemporaryDirectory(prefix="hubtune-") as temporary:
        float32 = WrittenExport(Path(temporary), form, "float32", model)
        int8 = WrittenExport(folder, form, "int8", exported)
        _write(form, model, float32.folder, name)
        speed = compare_speed(float32, int8, _images_of(run, model))
        speed.check()
        rows = measure_exports(model, [float32, int8], run) if bench else []
    assert exported.accuracy is not None
    return Int8Report(exported.accuracy, speed), rows


def _run_of(model: Model) -> Path | None:
    parent = None if model.folder is None else model.folder.parent
    return parent if parent is not None and is_run(parent) else None


def _images_of(run: Path | None, model: Model) -> list[Path]:
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


def _compare(folder: Path, model: Model, images: Sequence[Path], form: str) -> Parity | None:
    """Compare an export with hubtune on images and drawn ones; ``None`` if its program is not installed."""
    runner = FORMATS[form].runner
    if runner is not None and not _is_installed(runner):
        return None
    with TemporaryDirectory(prefix="hubtune-") as temporary:
        drawn = draw_images(Path(temporary))
        file = FORMATS[form].resizing_file
        can_resize = file is None or (folder / file).exists()
        resized = _resized(images or drawn, model.card.preprocessing, form) if can_resize else {}
        return compare_export(folder, model, [*images, *drawn], resized, file if resized else None)


def _without_bad_resizing(parity: Parity, folder: Path, form: str) -> Parity:
    """Remove the network that resizes by itself if its answers differ by too much; the other one does not."""
    file, difference = FORMATS[form].resizing_file, parity.resized
    if file is None or difference is None or difference.within(RESIZED_TOLERANCE):
        return parity
    (folder / file).unlink()
    logger.warning(
        "%s is not written: where the network resizes pictures by itself, scores differ by up to %.2g, more "
        "than %g (most for %s)",
        *(file, difference.scores, RESIZED_TOLERANCE, difference.worst),
    )
    return replace(parity, resized=None)


def _resized(images: Sequence[Path], view: Preprocessing, form: str) -> dict[Path, np.ndarray]:
    """Return image → pixels as the format's own code makes them; nothing if it has none."""
    pixels: dict[Path, np.ndarray] = {}
    if arrange := getattr(_module(form), f"arrange_as_{form}", None):
        for path in images:
            with suppress(ImageError):  # which both refuse
                pixels[path] = arrange(path, view)
    return pixels


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file but the record of the comparison, which holds them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != PARITY_FILE)
    return {path.name: sha256_of(path) for path in files}


def _importable(folder: Path, written: Collection[str]) -> list[str]:
    """Return files and folders that were added to an export, and that Python could import."""
    suffixes = (".py", ".pyc", ".pyd", ".so")
    added = [path for path in sorted(folder.iterdir()) if path.name not in {*written, "__pycache__"}]
    return [path.name for path in added if path.suffix in suffixes or path.is_dir()]


def _accuracies(model: Model, exported: Model) -> dict[str, tuple[float, float]]:
    before, after = model.card.metrics, exported.card.metrics
    return {
        name: (before[name]["accuracy"], after[name]["accuracy"])
        for name in ("validate", "test")
        if before.get(name) and after.get(name)
    }
