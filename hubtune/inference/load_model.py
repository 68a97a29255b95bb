"""Reads models from folders of models and runs, and from buckets."""

from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.hub.file_names import CODE_FILE, MODEL_FILE, WEIGHTS_FILE
from hubtune.hub.model_card import card_in
from hubtune.inference.engine_interface import expected_engine
from hubtune.inference.int8_program import open_program
from hubtune.inference.model import Model
from hubtune.inference.stored_program import has_program, program_key
from hubtune.runs.bucket_model import local_model
from hubtune.runs.folder import BEST_MODEL, is_run
from hubtune.storage.checked_folder import MANIFEST, find_checked, open_checked

if TYPE_CHECKING:
    from paddle import nn


def load_model(folder: str | Path, *, trust_code: bool = False, engine: str = "auto") -> Model:
    """Read a model folder, or the best model of a run folder.

    Args:
        folder: of the model or the run; or its address in a bucket, ``s3://bucket/runs/NAME``.
        trust_code: whether the code of a user's own architecture (``module.py`` in the folder) may run.
        engine: ``auto``, ``openvino``, ``openvino-bf16``, ``paddle`` or ``paddle-amp``; a model that was
            fine-tuned by ``openvino-int8`` has no other one.

    Raises:
        ModelError: there is no complete model, or it has code that may not run.
        UsageError: the model cannot be run by this engine.
        MachineError: the model needs OpenVINO and a CPU, or the bucket cannot be read.

    Example:
        >>> model = load_model("runs/idol5")
        >>> [row.label for row in model.predict(["test/anqi.jpg"])]
        ['安崎']
    """
    place = model_folder_of(local_model(folder))
    complete = open_checked(place, MODEL_FILE, WEIGHTS_FILE)
    manifest = (complete / MANIFEST).read_bytes()
    card = card_in(complete)
    has_code = card.architecture == CODE_FILE  # which needs permission, and may do anything
    program, key = open_program(complete, card, engine), None
    if program is None and engine in ("auto", "openvino") and not has_code:
        key = program_key(manifest) if expected_engine(engine) == "openvino" else None
    needs_network = has_code if program is not None else key is None or not has_program(key)
    if not needs_network:

        def read() -> "nn.Layer":
            return _read_same(place, manifest)

    else:
        from hubtune.inference.model_folder import read_network  # here, as it imports Paddle

        classifier = read_network(complete, card, trust_code=trust_code)

        def read() -> "nn.Layer":
            return classifier

    model = Model.of_folder(read, card, key, engine, complete)
    if program is not None:
        model.take_program(program)
        _check_same(place, manifest)
    return model


def _read_same(folder: Path, manifest: bytes) -> "nn.Layer":
    """Read the network of a model without code, if the folder's manifest is still this one."""
    from hubtune.inference.model_folder import read_model

    classifier = read_model(folder)[0]
    _check_same(folder, manifest)
    return classifier


def _check_same(folder: Path, manifest: bytes) -> None:
    if (find_checked(folder) / MANIFEST).read_bytes() != manifest:
        raise ModelError(f"{folder} holds another model than when it was loaded: load it again")


def model_folder_of(folder: Path) -> Path:
    """Return the model folder: the folder itself, or that of the best model in a run folder.

    Raises:
        ModelError: the folder does not exist, holds no model, or is a run without a model yet.
    """
    if is_run(folder):
        if not find_checked(folder / BEST_MODEL).exists():
            raise ModelError(
                f"{folder} has no model yet, as it has not reached its first evaluation: "
                f"continue it with hubtune finetune {folder} --resume"
            )
        return folder / BEST_MODEL
    if not find_checked(folder).is_dir():
        raise ModelError(f"There is no run or model {folder}: name the folder of one, such as runs/NAME")
    if not (find_checked(folder) / MODEL_FILE).exists():
        raise ModelError(f"{folder} is neither a run nor a model: name the folder of one, such as runs/NAME")
    return folder
