"""Exports a fine-tuned model as a module folder that PaddleHub 2.x loads, installs and predicts with."""

import importlib.util
import json
import keyword
import re
import secrets
import shlex
from importlib import resources
from pathlib import Path

import numpy as np
import paddle

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.hub.user_code import describe_exception
from hubtune.inference.model import Model
from hubtune.inference.program import Subnetwork, save_program
from hubtune.models.classifier import Classifier
from hubtune.storage.atomic import replacing_folder

PRODUCT = "PaddleHub module"
"""What the export writes, in messages."""

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


def export_paddlehub(model: Model, folder: str | Path, name: str) -> None:
    """Write a model as a PaddleHub module.

    The folder does not need hubtune: PaddleHub reads it by ``hub.Module(directory=…)``, and ``hub install``
    installs it under its name. It contains no pickle.

    Args:
        model: the model.
        folder: the folder to write; it must be new or empty.
        name: the module's name in PaddleHub.

    Raises:
        UsageError: PaddleHub cannot use the name, or the folder holds files.
        ModelError: the model was not fine-tuned, or the network cannot be saved as a program.
        MachineError: the folder cannot be written.

    Example:
        >>> export_paddlehub(hubtune.load_model("runs/idol5"), "idol5_classifier", "idol5_classifier")
    """
    folder = Path(folder)
    check_paddlehub(folder, name)
    if not isinstance(model.classifier, Classifier):
        raise ModelError(f"{model.card.module} was not fine-tuned: export a model that was")
    try:
        with replacing_folder(folder, folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp") as new:
            _save_network(model, new / "network")
            card = {"labels": model.labels, "views": [view.model_dump() for view in model.card.views]}
            if model.reference is not None:
                card["similarity_threshold"] = model.card.similarity_threshold
                np.save(new / "reference.npy", model.reference.features, allow_pickle=False)
            (new / "model.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
            for source, file in _SOURCES.items():
                (new / f"{file}.py").write_text(_adapt_source(source, name), encoding="utf-8")
    except OSError as error:
        raise MachineError(f"{folder} could not be written: {error.strerror or error}") from error


def check_paddlehub(folder: Path, name: str) -> None:
    """Refuse a folder or a name that :func:`export_paddlehub` would refuse, before any work is done.

    Raises:
        UsageError: PaddleHub cannot use the name, or the folder holds files.
    """
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
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder, or empty it first")


def paddlehub_usage(folder: str, name: str) -> str:
    """Return the commands that use the exported module."""
    # `hub run NAME` fails beside a folder of that name, which it takes for the module.
    return f"hub install {shlex.quote(folder)}; then, elsewhere: hub run {name} --input_path PHOTO"


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

    try:
        save_program(Subnetwork(classifier, forward, channels=views[0].channels), path, side, side)
    except OSError:
        raise
    except Exception as error:  # foreign code can fail in any way
        name, reason = model.card.architecture, describe_exception(error)
        raise ModelError(f"The network {name} cannot be saved as a Paddle program ({reason})") from error


def _adapt_source(source: str, name: str) -> str:
    """Return a source file with its imports and the module's name changed for the folder."""
    package, _, file = source.rpartition(".")
    text = (resources.files(package) / f"{file}.py").read_text(encoding="utf-8")
    for other, there in _SOURCES.items():
        text = text.replace(f"from {other} import", f"from .{there} import")
    return text.replace('name="NAME"', f'name="{name}"')
