"""The scripts of an export: ``predict.py``, and ``arrange.py``, which prepares images as hubtune does.

They need only the format's runtime, NumPy and Pillow, and are short enough to be translated into other
languages.
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from hubtune.data.images.preprocessing import WHOLE_STEP
from hubtune.export.network import SIMILARITY, ExportNetwork
from hubtune.inference.model import Model

PREDICT_FILE, ARRANGE_FILE, SETTINGS_FILE = "predict.py", "arrange.py", "preprocessing.json"

SCRIPT_FILES = {
    PREDICT_FILE: "classifies image files",
    ARRANGE_FILE: "turns an image file into the network's input, as in training",
    SETTINGS_FILE: "the same as data, with the names of the outputs and the threshold",
}
"""File of :func:`write_scripts` → its content."""


@dataclass(frozen=True)
class Runtime:
    """The program that runs a format, as the script uses it.

    Attributes:
        package: to install.
        imported: the module to import.
        load: lines that load the network from the folder ``HERE``.
        run: lines that run it on ``pixels``, and return its outputs, name → array.
        settings: whether these lines read ``SETTINGS``, the content of ``preprocessing.json``.
    """

    package: str
    imported: str
    load: tuple[str, ...]
    run: tuple[str, ...]
    settings: bool = False


def write_scripts(folder: Path, model: Model, network: ExportNetwork, runtime: Runtime, form: str) -> None:
    """Write the scripts and the settings that they read.

    Args:
        folder: of the export.
        model: that is exported.
        network: what the format's file contains.
        runtime: what runs it.
        form: the format's name.
    """
    view, card = network.view, model.card
    mean, std = view.statistics
    settings = {
        "schema_version": 1,
        "format": form,
        **view.model_dump(mode="json", exclude={"mirror", "mean", "std", "bits"}),
        **({"sides_multiple_of": WHOLE_STEP, "least_side": view.least_side} if view.fit == "whole" else {}),
        "bits": view.bits,
        "mean": mean,
        "std": std,
        "input": network.description,
        "outputs": network.outputs,
        "views": [each.description for each in card.views],
        "temperature": card.temperature,
        "similarity_threshold": card.similarity_threshold,
        **({"thresholds": dict(zip(card.labels, card.thresholds, strict=True))} if card.multi_label else {}),
    }
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    values = {
        "view": view,
        "runtime": runtime,
        "has_similarity": SIMILARITY in network.outputs,
        "multi_label": card.multi_label,
        "imports": sorted(["import numpy as np", f"import {runtime.imported}"]),
        "crops": view.fit in ("crop", "stretch_crop"),
        "least": view.least_side,
        "step": WHOLE_STEP,
        "top": 2**view.bits - 1,
        "method": f"Image.Resampling.{view.interpolation.upper()}",
        "mean_colour": list(view.mean_colour),
    }
    for name in (PREDICT_FILE, ARRANGE_FILE):
        source = resources.files("hubtune.export") / "templates" / f"{name}.jinja"
        script = environment.from_string(source.read_text(encoding="utf-8")).render(values)
        (folder / name).write_text(script + "\n", encoding="utf-8")
