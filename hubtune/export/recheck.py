"""Compares an export that was written earlier with its model again."""

import json
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from hubtune.errors import CheckFailedError, ModelError
from hubtune.export.comparison import (
    LABELS_FILE,
    PARITY_FILE,
    compare_with_hubtune,
    file_checksums,
    prepared_model,
    proof_images,
    refuse_int8_model,
    run_of,
    write_format,
)
from hubtune.export.formats import FORMATS
from hubtune.export.parity import Parity
from hubtune.export.scripts import ARRANGE_FILE, PREDICT_FILE, SETTINGS_FILE
from hubtune.hardware.device import select_device
from hubtune.inference.model import Model
from hubtune.text import first_few

# Formats whose scripts read the settings, by which an earlier export is recognised.
_CHECKED = [name for name, row in FORMATS.items() if row.runner is None]
# Files that are text, and the same whenever a model is exported.
_TEXTS = (PREDICT_FILE, ARRANGE_FILE, SETTINGS_FILE, LABELS_FILE, "inference.yml")


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
        written, present = record["sha256"], file_checksums(folder)
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
    refuse_int8_model(model)
    run = run_of(model)
    with prepared_model(model, run, form) as exported:
        _check_texts(folder, exported, form)
        images = proof_images(run, exported)
        parity = compare_with_hubtune(folder, exported, images, form)
    assert parity is not None  # the format has no program of its own
    parity.check(judge_resized=bool(images))
    return parity


def _check_texts(folder: Path, model: Model, form: str) -> None:
    """Refuse scripts, settings and labels that are not those of the model, before the scripts are run."""
    with TemporaryDirectory(prefix="hubtune-") as temporary:
        new = Path(temporary)
        write_format(form, model, new, folder.resolve().name)
        names = [name for name in _TEXTS if (new / name).exists()]
        others = [name for name in names if (folder / name).read_bytes() != (new / name).read_bytes()]
    if others:
        raise CheckFailedError(
            f"{folder} is not an export of this model by this version of hubtune: {first_few(others)} "
            "differ, and nothing of it was run. Export the model again"
        )


def _importable(folder: Path, written: Collection[str]) -> list[str]:
    """Return files and folders that were added to an export, and that Python could import."""
    suffixes = (".py", ".pyc", ".pyd", ".so")
    added = [path for path in sorted(folder.iterdir()) if path.name not in {*written, "__pycache__"}]
    return [path.name for path in added if path.suffix in suffixes or path.is_dir()]
