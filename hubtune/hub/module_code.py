"""Loads an architecture from the code in a module folder; the code runs only if the user has allowed it.

The ``module.py`` of a hubtune module defines ``BACKBONE``, a :class:`~hubtune.models.backbone.Backbone`
record like those in :mod:`hubtune.models`. A PaddleHub 2.x module, which has a class with ``@moduleinfo``, is
loaded through PaddleHub itself.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from hubtune.errors import ModelError
from hubtune.hub.file_names import CODE_FILE
from hubtune.hub.paddlehub_module import paddlehub_backbone
from hubtune.hub.user_code import UserCode, explain_errors, read_code, run_code
from hubtune.models.backbone import Backbone, PublishedWeights, features, head_keys, stage_keys
from hubtune.storage.checked_folder import MANIFEST, open_checked
from hubtune.storage.regular_file import read_json

_RECORD = "BACKBONE"
# Also where another file of the folder defines it.
_DEFINES_RECORD = rb"^(%b\b|from\s.*\bimport\b.*\b%b\b)" % (_RECORD.encode(), _RECORD.encode())
# Types of the record's fields, except callables, which fail by themselves when they are called.
_FIELDS: dict[str, Any] = {
    "name": str,
    "width": int,
    "parameters": int,
    "input_size": int,
    "resize": int,
    "size_multiple": int | None,
    "weights": PublishedWeights | None,
    "variants": tuple,
    "aliases": tuple,
}
_TOLERANCE = 1e-4  # between the network and its stages run in turn, as a share of the largest logit


def load_backbone(folder: Path, *, trust_code: bool) -> tuple[Backbone, UserCode]:
    """Run the ``module.py`` of a module's folder, if ``trust_code`` says that the user allows it.

    It may import other files of its folder. Returns the architecture that the code defines, checked on two
    images, and the code.

    Raises:
        ModelError: the code may not run, cannot be read or fails, or its record contradicts its network.
        MachineError: it is a PaddleHub module, and PaddleHub is not installed.
    """
    return _load(folder, None, trust_code)


def load_recorded_backbone(folder: Path, *, trust_code: bool) -> tuple[Backbone, UserCode]:
    """Run the code of a model's folder as :func:`load_backbone`; only files that were written with it run.

    Raises:
        ModelError: as :func:`load_backbone`, or the folder is damaged.
    """
    complete = open_checked(folder, CODE_FILE)
    return _load(complete, read_json(complete / MANIFEST), trust_code)


def _load(folder: Path, names: Collection[str] | None, trust_code: bool) -> tuple[Backbone, UserCode]:
    file = folder / CODE_FILE
    if not trust_code:
        raise ModelError(
            f"{folder} has code of its own ({CODE_FILE}), which could do anything on this machine, and was "
            "not run. Read it, and if you trust it, add --trust-code (in Python, trust_code=True)"
        )
    code = read_code(file, names)
    text = code.files[CODE_FILE]
    if re.search(_DEFINES_RECORD, text, re.MULTILINE):
        backbone = _hubtune_backbone(file, code)
    elif is_paddlehub_code(text):
        backbone = paddlehub_backbone(code)
    else:
        raise ModelError(
            f"{file} defines no {_RECORD}: write `{_RECORD} = Backbone(...)`, as `hubtune hub new DIR` does"
        )
    with explain_errors(file):
        _check(backbone, file)
    return backbone, code


def is_paddlehub_code(code: bytes) -> bool:
    return b"moduleinfo" in code


def _hubtune_backbone(file: Path, code: UserCode) -> Backbone:
    with explain_errors(file):
        record = getattr(run_code(code), _RECORD, None)
    if not isinstance(record, Backbone):
        raise ModelError(
            f"{_RECORD} in {file} is {type(record).__name__}, not a hubtune.models.backbone.Backbone"
        )
    for field, kinds in _FIELDS.items():
        value = getattr(record, field)
        if not isinstance(value, kinds) or isinstance(value, bool) or (isinstance(value, int) and value < 1):
            raise ModelError(f"{field} of {_RECORD} in {file} is {value!r}, which it cannot be")
    return replace(
        record,
        build=explain_errors(file)(record.build),
        stages=explain_errors(file)(record.stages),
        translate=record.translate and explain_errors(file)(record.translate),
    )


@paddle.no_grad()
def _check(record: Backbone, file: Path) -> None:
    """Compare a record with its network: a mistake should be reported here, not deep in a training run."""
    network = record.build(num_classes=2)
    if not isinstance(network, paddle.nn.Layer):
        raise ModelError(f"build in {file} returns {type(network).__name__}, not a paddle.nn.Layer")
    network.eval()
    stages = record.stages(network)
    if not stages or stages[-1].name != "head":
        raise ModelError(f"stages in {file} must end in a stage named 'head'")
    side = record.input_size
    images = paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, side, side)).astype("float32"))
    logits = network(images)
    if logits.shape != [2, 2]:
        raise ModelError(
            f"The network in {file} gives {list(logits.shape)} for two pictures and two classes, not [2, 2]"
        )
    pooled = features(stages, images)
    if pooled.shape != [2, record.width]:
        raise ModelError(
            f"The stages in {file} give features of {list(pooled.shape)} for two pictures, "
            f"and width says {record.width}"
        )
    outputs = images
    for stage in stages:
        outputs = stage.forward(outputs)
    if float((outputs - logits).abs().max()) > _TOLERANCE * float(logits.abs().max()):
        raise ModelError(f"The stages in {file}, run in turn, give another result than the network")
    owned = {key for stage in stages for key in stage_keys(network, stage)}
    if unowned := sorted(set(network.state_dict()) - owned):
        raise ModelError(f"No stage in {file} owns {unowned[0]}: each layer of the network is in one stage")
    for key in head_keys(network, stages):
        if 2 not in network.state_dict()[key].shape:
            raise ModelError(
                f"The head in {file} holds {key}, whose shape does not depend on the number of classes: "
                "only the last layer belongs into it"
            )
