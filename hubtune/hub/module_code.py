"""An architecture that comes as code in a module folder; it runs only where a person has said so.

The ``module.py`` of a hubtune module defines ``BACKBONE``, a :class:`~hubtune.models.backbone.Backbone`
record like those in :mod:`hubtune.models`. A PaddleHub 2.x module, which has a class with ``@moduleinfo``, is
left to PaddleHub itself.
"""

import hashlib
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import paddle

from hubtune.errors import ModelError
from hubtune.hub import paddlehub_module
from hubtune.models.backbone import Backbone, features, head_keys, stage_keys

CODE_FILE = "module.py"

_RECORD = "BACKBONE"
_MOST_DIFFERENCE = 1e-4  # of the largest value, between a network and its stages run in turn


def backbone_in(folder: Path) -> Backbone:
    """Run the ``module.py`` of a folder and return the architecture that it defines, checked on one picture.

    Call this only where the person has said that the code may run.

    Raises:
        ModelError: the code cannot be read or fails, or what it defines does not keep a record's promises.
        MachineError: it is a PaddleHub module, and PaddleHub is not installed.
    """
    file = folder / CODE_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    if not re.search(rf"^{_RECORD}\b", text, re.MULTILINE):
        if "moduleinfo" in text:
            backbone = paddlehub_module.backbone_of(folder)
            _guarded(file, _check)(backbone, file)
            return backbone
        raise ModelError(
            f"{file} defines no {_RECORD}: write `{_RECORD} = Backbone(...)`, as `hubtune hub new DIR` does"
        )
    record = getattr(_run(file, text), _RECORD, None)
    if not isinstance(record, Backbone):
        raise ModelError(
            f"{_RECORD} in {file} is {type(record).__name__}, not a hubtune.models.backbone.Backbone"
        )
    guarded = replace(record, build=_guarded(file, record.build), stages=_guarded(file, record.stages))
    _guarded(file, _check)(guarded, file)
    return guarded


def _run(file: Path, text: str) -> ModuleType:
    # The name is new for each content: a module that was changed is another one.
    module = ModuleType(f"hubtune_module_{hashlib.sha256(text.encode()).hexdigest()[:16]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses look their module up there

    def run() -> None:
        # The one place that runs a user's code; not an import, which would leave __pycache__ in the folder.
        exec(compile(text, str(file), "exec"), vars(module))  # noqa: S102

    _guarded(file, run)()
    return module


def _guarded(file: Path, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with whatever a user's code raises told in a sentence."""

    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except ModelError:
            raise
        except Exception as error:  # a user's code can raise anything
            lines = [
                frame.lineno
                for frame in traceback.extract_tb(error.__traceback__)
                if frame.filename == str(file)
            ]
            line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
            said = " ".join(str(error).split())[:300]
            raise ModelError(
                f"{file} failed{f' in line {line}' if line else ''} ({type(error).__name__}: {said}): mend it"
            ) from error

    return call


@paddle.no_grad()
def _check(record: Backbone, file: Path) -> None:
    """Hold a record against its network, so that a mistake is told here and not deep in a training run."""
    network = record.build(num_classes=2)
    if not isinstance(network, paddle.nn.Layer):
        raise ModelError(f"build in {file} returns {type(network).__name__}, not a paddle.nn.Layer")
    network.eval()
    stages = record.stages(network)
    if not stages or stages[-1].name != "head":
        raise ModelError(f"stages in {file} must end in a stage named 'head'")
    side = record.input_size
    images = paddle.to_tensor(np.random.default_rng(0).standard_normal((1, 3, side, side)).astype("float32"))
    logits = network(images)
    if logits.shape != [1, 2]:
        raise ModelError(
            f"The network in {file} gives {list(logits.shape)} for one picture and two classes, not [1, 2]"
        )
    pooled = features(stages, images)
    if pooled.shape != [1, record.width]:
        raise ModelError(
            f"The stages in {file} give features of {list(pooled.shape)} for one picture, "
            f"and width says {record.width}"
        )
    outputs = images
    for stage in stages:
        outputs = stage.forward(outputs)
    if float((outputs - logits).abs().max()) > _MOST_DIFFERENCE * float(logits.abs().max()):
        raise ModelError(f"The stages in {file}, run in turn, give another result than the network")
    owned = {key for stage in stages for key in stage_keys(network, stage)}
    unowned = sorted(set(network.state_dict()) - owned)
    if unowned:
        raise ModelError(f"No stage in {file} owns {unowned[0]}: each layer of the network is in one stage")
    for key in head_keys(network, stages):
        if 2 not in network.state_dict()[key].shape:
            raise ModelError(
                f"The head in {file} holds {key}, whose shape does not depend on the number of classes: "
                "only the last layer belongs into it"
            )
