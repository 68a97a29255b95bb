"""Writes a model in the format of another program, and proves that it gives the same answers there."""

import json
import secrets
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.export.benchmark import BenchRow, WrittenExport, compare_speed, measure_exports
from hubtune.export.comparison import (
    PARITY_FILE,
    compare_with_hubtune,
    file_checksums,
    format_module,
    prepared_model,
    proof_images,
    refuse_int8_model,
    run_of,
    write_format,
)
from hubtune.export.formats import FORMATS
from hubtune.export.int8 import Int8Report
from hubtune.export.parity import RESIZED_TOLERANCE, Parity
from hubtune.export.quantized_model import QuantizedModel
from hubtune.export.readme import README_FILE, render_readme
from hubtune.extras import install_command
from hubtune.hardware.device import select_device
from hubtune.inference.engine_interface import is_installed
from hubtune.inference.model import Model
from hubtune.inference.openvino_program import openvino_core
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.storage.address import check_path
from hubtune.storage.atomic import replacing_folder


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
    check_path(folder, "the folder for the export")
    folder = Path(folder)
    check_export(folder, form, name, int8=int8, bench=bench)
    select_device("cpu")
    title = FORMATS[form].title
    if not isinstance(model.classifier, Classifier):
        raise ModelError(f"{model.card.module} was not fine-tuned: export a model that was")
    refuse_int8_model(model)
    if (check := getattr(format_module(form), f"check_{form}", None)) is not None:
        check(model)
    _import_packages(form, int8)
    run, name = run_of(model), name or folder.resolve().name
    unfinished = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        with prepared_model(model, run, form, int8) as exported, replacing_folder(folder, unfinished) as new:
            logger.info("writing the network for %s", title)
            write_format(form, exported, new, name)
            images = proof_images(run, exported)
            report, rows = _measure(model, exported, new, form, name, bench)
            logger.info("comparing its answers with hubtune's")
            parity = compare_with_hubtune(new, exported, images, form)
            if parity is not None:
                parity = _without_bad_resizing(parity, new, form) if images else parity
                parity.check(judge_resized=bool(images))
            has_other_head = exported is not model and report is None
            accuracies = _accuracies(model, exported) if has_other_head else {}
            before = {each: shares[0] for each, shares in accuracies.items()}
            facts = getattr(format_module(form), f"{form}_facts")(exported.card, new)
            readme = render_readme(exported.card, facts, title, parity, before, int8=report, bench=rows)
            (new / README_FILE).write_text(readme, encoding="utf-8")
            if parity is not None:
                measured = {"int8": report and report.as_dict(), "bench": [row.as_dict() for row in rows]}
                record = {**parity.as_dict(), **measured, "sha256": file_checksums(new)}
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
        formats = " or ".join(name for name, other in FORMATS.items() if other.int8_packages)
        raise UsageError(f"{row.title} has no int8: use --format {formats}, or export without --int8")
    if bench and row.needs_name:
        raise UsageError(f"--bench runs an export by itself, and {row.title} cannot: use another format")
    packages = row.int8_packages if int8 else row.packages
    if missing := [package for package in packages if not is_installed(package)]:
        what = f"{row.title} in int8" if int8 else row.title
        raise MachineError(f"Export to {what} needs {' and '.join(missing)}: {install_command(*packages)}")
    if row.needs_name:
        format_module(form).check_name(folder, name or folder.resolve().name)
    elif name is not None:
        raise UsageError(f"--name {name} goes with --format paddlehub: other formats have no name")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder, or empty it first")


def _import_packages(form: str, int8: bool) -> None:
    """Import what writing needs, before there are files that a Ctrl-C during an import would leave behind."""
    packages = FORMATS[form].int8_packages if int8 else FORMATS[form].packages
    if "openvino" in packages:
        openvino_core()
    for package in packages:
        if package != "nncf":  # changes other loggers: its own module imports it
            import_module(package)


def _measure(
    model: Model, exported: Model, folder: Path, form: str, name: str, bench: bool
) -> tuple[Int8Report | None, list[BenchRow]]:
    """Compare an export in int8 with one in float32; measure both, and hubtune, if asked for."""
    run = run_of(model)
    if not isinstance(exported, QuantizedModel):
        written = WrittenExport(folder, form, "float32", exported)
        return None, measure_exports(model, [written], run) if bench else []
    with TemporaryDirectory(prefix="hubtune-") as temporary:
        float32 = WrittenExport(Path(temporary), form, "float32", model)
        int8 = WrittenExport(folder, form, "int8", exported)
        write_format(form, model, float32.folder, name)
        speed = compare_speed(float32, int8, proof_images(run, model))
        speed.check()
        rows = measure_exports(model, [float32, int8], run) if bench else []
    assert exported.accuracy is not None
    return Int8Report(exported.accuracy, speed), rows


def _accuracies(model: Model, exported: Model) -> dict[str, tuple[float, float]]:
    before, after = model.card.metrics, exported.card.metrics
    return {
        name: (before[name]["accuracy"], after[name]["accuracy"])
        for name in ("validate", "test")
        if before.get(name) and after.get(name)
    }


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
