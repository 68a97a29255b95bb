"""The features of a network in int8, as a program of OpenVINO that travels with a model; without Paddle."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.extras import install_command, update_command
from hubtune.hardware.device import on_gpu
from hubtune.hub.model_card import ModelCard
from hubtune.hub.user_code import describe_exception
from hubtune.inference.attribution import HeadWeights
from hubtune.inference.engine_interface import INT8_ENGINE, Engine, RunningProgram, is_installed
from hubtune.inference.openvino_program import PendingRows, compile_program
from hubtune.storage.checked_folder import open_checked

PROGRAM_FILES = ("features-int8.xml", "features-int8.bin")
"""Files of a model folder: the network and its values."""


class Int8Program:
    """A network from pixels of one view, uint8 ``[h, w, channels]``, to the head's input.

    Attributes:
        files: name → content, of :data:`PROGRAM_FILES`.
    """

    name = INT8_ENGINE

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Take the files; nothing is started yet."""
        self.files = dict(files)

    @property
    def content(self) -> bytes:
        """The bytes that features depend on."""
        return b"".join(self.files[name] for name in PROGRAM_FILES)

    @property
    def sha256(self) -> str:
        """The checksum of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def start(self) -> Engine:
        """Return an engine that runs one image at a time in each thread.

        Raises:
            ModelError: OpenVINO cannot run the program.
        """
        with tempfile.TemporaryDirectory(prefix="hubtune-") as folder:
            for name, content in self.files.items():
                (Path(folder) / name).write_bytes(content)
            try:
                ring = compile_program(Path(folder) / PROGRAM_FILES[0], "f32")
            except Exception as error:  # foreign code can fail in any way
                raise ModelError(
                    f"OpenVINO cannot run the model's network in int8 ({describe_exception(error)}): update "
                    f"it by {update_command('openvino')}, or fine-tune again with engine auto"
                ) from error
        return RunningProgram(self.name, ring.begin)


def open_program(folder: Path, card: ModelCard, wanted: str) -> Int8Program | None:
    """Return the program of a model folder that was checked; ``None`` if the model has none.

    Args:
        folder: of the model.
        card: its description.
        wanted: an engine's name, or ``auto``.

    Raises:
        UsageError: the model cannot be run by the engine that is wanted.
        MachineError: the machine cannot run the program.
        ModelError: the folder lacks the program.
    """
    if card.engine is None:
        refuse_int8(wanted)
        return None
    if wanted not in ("auto", INT8_ENGINE):
        raise UsageError(
            f"The head of this model was solved on features in int8, which the engine {wanted} does not "
            f"compute: use --engine auto, or fine-tune again with -o train.engine={wanted}"
        )
    if not is_installed("openvino"):
        raise MachineError(
            f"This model's network in int8 needs OpenVINO: {install_command('openvino')}, or fine-tune again "
            "with -o train.engine=auto"
        )
    if on_gpu():
        raise MachineError(f"This model's engine, {INT8_ENGINE}, computes on a CPU: add --device cpu")
    complete = open_checked(folder, *PROGRAM_FILES)
    return Int8Program({name: (complete / name).read_bytes() for name in PROGRAM_FILES})


def refuse_int8(wanted: str) -> None:
    """Refuse the engine for int8, by a ``UsageError``, where nothing was fine-tuned by it."""
    if wanted == INT8_ENGINE:
        raise UsageError(
            f"The engine {INT8_ENGINE} is for models that were fine-tuned with it "
            f"(-o train.engine={INT8_ENGINE}): use --engine auto"
        )


class HeadedProgram:
    """An engine that computes logits and pooled features, by a linear head on the rows of a program."""

    name = INT8_ENGINE

    def __init__(self, start: Callable[[], Engine], head: HeadWeights) -> None:
        """Take a function that starts the program, with the first images, and the head."""
        self._start, self._head = start, head
        self._weight = head.weight.astype(np.float64)
        self._engine: Engine | None = None

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin to run images: :meth:`hubtune.inference.engine_interface.Engine.begin`."""
        if self._engine is None:
            self._engine = self._start()
        pending = self._engine.begin(arrays)
        return lambda: [self._answer(row) for row in pending()]

    def _answer(self, row: np.ndarray) -> np.ndarray:
        # A head that was solved on the pooled features alone takes the first part of a row.
        if len(row) < len(self._weight):
            raise ModelError(
                "The model does not hold together: its head takes more features than its network computes"
            )
        # In float64, as training scores images.
        logits = row[: len(self._weight)] @ self._weight + self._head.bias
        return np.concatenate([logits, row[: self._head.width]])
