"""Exports a fine-tuned model as a module folder that PaddleHub 2.x loads, installs and predicts with."""

import importlib.util
import json
import keyword
import re
from importlib import resources
from pathlib import Path

import numpy as np
import paddle

from hubtune.errors import ModelError, UsageError
from hubtune.export.readme import Facts
from hubtune.export.scripts import PREDICT_FILE
from hubtune.hub.model_card import ModelCard
from hubtune.inference.model import Model
from hubtune.inference.program import Subnetwork, save_program

# Source files of hubtune that are copied into the folder → their names there. They import only each other.
_SOURCES = {
    "hubtune.export.paddlehub_template": "module",
    "hubtune.data.images.preprocessing": "preprocessing",
    "hubtune.data.images.decode": "image",
    "hubtune.data.images.bit_depth": "bit_depth",
    "hubtune.data.images.formats": "formats",
    "hubtune.errors": "errors",
    "hubtune.text": "text",
    "hubtune.hardware.memory": "memory",
}


# Packages that come with PaddleHub; they may not be installed here.
_OF_PADDLEHUB = frozenset(
    "paddlehub paddle cv2 numpy PIL pydantic paddlenlp paddle2onnx visualdl gradio flask gunicorn rarfile "
    "zmq easydict colorama colorlog filelock matplotlib packaging tqdm yaml requests".split()
)


def write_paddlehub(model: Model, folder: Path, name: str) -> None:
    """Write a module folder, which does not need hubtune and contains no pickle.

    PaddleHub reads it by ``hub.Module(directory=…)``, and ``hub install`` installs it under its name.

    Raises:
        Exception: of any kind, if Paddle cannot trace the network.
    """
    _save_network(model, folder / "network")
    card = {"labels": model.labels, "views": [view.model_dump() for view in model.card.views]}
    if model.reference is not None:
        card["similarity_threshold"] = model.card.similarity_threshold
        np.save(folder / "reference.npy", model.reference.features, allow_pickle=False)
    (folder / "model.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    for source, file in _SOURCES.items():
        (folder / f"{file}.py").write_text(_adapt_source(source, name), encoding="utf-8")
    script = resources.files("hubtune.export") / "templates" / f"paddlehub_{PREDICT_FILE}.jinja"
    (folder / PREDICT_FILE).write_bytes(script.read_bytes())


def paddlehub_facts(card: ModelCard, folder: Path) -> Facts:
    """Return what the README says of the folder."""
    return Facts(
        files={
            "network.json, network.pdiparams": "the network, from normalised pixels to logits and features",
            "module.py and the other .py files": "the module, which needs Paddle, PaddleHub and Pillow",
            "model.json": "the class names, the preprocessing and the threshold of similarities",
            PREDICT_FILE: "classifies image files",
        },
        use=("python predict.py photo.jpg", "hub install FOLDER", "hub run NAME --input_path photo.jpg"),
        notes=(
            "`hub run NAME` is for another folder: beside the module's own, PaddleHub takes that for it.",
        ),
    )


def check_paddlehub(model: Model) -> None:
    """Raise ``ModelError`` if PaddleHub's classifiers cannot answer as the model does."""
    if model.card.multi_label:
        raise ModelError(
            "PaddleHub's classifiers give one class a picture, and this model several labels: use --format "
            "onnx, openvino or paddle"
        )


def check_name(folder: Path, name: str) -> None:
    """Raise ``UsageError`` for a module's name, or a folder's, that PaddleHub cannot use."""
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        proposal = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        if not proposal.isidentifier() or keyword.iskeyword(proposal):
            proposal = f"model_{proposal}".rstrip("_")
        raise UsageError(
            f"PaddleHub cannot use the name {name!r}: it needs letters, digits and _ alone, no digit first, "
            f"such as {proposal!r}"
        )
    # PaddleHub imports a module by its folder's name, which is its own once it is installed.
    for imported in dict.fromkeys((name, folder.resolve().name)):
        if "." in imported:
            raise UsageError(
                f"PaddleHub cannot load a module from the folder {folder}: use a name without dots"
            )
        if _is_package(imported):
            raise UsageError(
                f"{imported!r} is the name of a Python package, which PaddleHub would confuse with the "
                f"module: use {imported + '_model'!r}, for example"
            )


def _is_package(name: str) -> bool:
    if name in _OF_PADDLEHUB:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # of __main__, for example
        return True
    # A folder in the working directory also has a specification, but no origin.
    return spec is not None and spec.origin is not None


def _save_network(model: Model, path: Path) -> None:
    """Write the program: images ``[N, C, h, w]`` to logits ``[N, classes]`` and features ``[N, width]``."""
    classifier, views = model.classifier, model.card.views
    # Some networks take only one size; `whole` gives images of any size.
    sides = {None if view.fit == "whole" else view.size for view in views}
    side = sides.pop() if len(sides) == 1 else None

    def forward(images: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        features = classifier.features(images)
        return classifier.head(features), features

    save_program(Subnetwork(classifier, forward, channels=views[0].channels), path, side, side)


def _adapt_source(source: str, name: str) -> str:
    """Return a source file with its imports and the module's name changed for the folder."""
    package, _, file = source.rpartition(".")
    text = (resources.files(package) / f"{file}.py").read_text(encoding="utf-8")
    for other, there in _SOURCES.items():
        text = text.replace(f"from {other} import", f"from .{there} import")
    return text.replace('name="NAME"', f'name="{name}"')
