"""The weights of a run's best evaluations, for their mean."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from hubtune.storage.checked_folder import integrity_error, write_checked
from hubtune.train.averaging import mean_of_states

_MODEL, _FIGURE = "model.safetensors", "figure.json"


class BestWeights:
    """A folder with the weights of the best evaluations so far; it outlives the process."""

    def __init__(self, folder: Path, count: int) -> None:
        """Keep so many of them in a folder."""
        self._folder, self._count = folder, count

    def add(self, step: int, accuracy: float, state: Mapping[str, np.ndarray]) -> None:
        """Keep the weights of a step if they are among the best; of equals, the later are taken.

        Raises:
            MachineError: if they cannot be written.
        """
        better = [entry for entry in self._best() if entry[0] > accuracy]
        if len(better) < self._count:
            figure = json.dumps({"accuracy": accuracy}) + "\n"
            write_checked(
                self._folder / f"step-{step}", {_MODEL: save(dict(state)), _FIGURE: figure.encode()}
            )
        for _, _, folder in self._best()[self._count :]:
            shutil.rmtree(folder, ignore_errors=True)

    def mean(self) -> dict[str, np.ndarray] | None:
        """The mean of the weights; ``None`` of fewer than two."""
        folders = [folder for _, _, folder in self._best()]
        return mean_of_states([load_file(each / _MODEL) for each in folders]) if len(folders) > 1 else None

    def _best(self) -> list[tuple[float, int, Path]]:
        """Accuracy, step and folder of those that are whole, the best first."""
        found = []
        for folder in self._folder.glob("step-*"):
            if integrity_error(folder) is None:
                accuracy = json.loads((folder / _FIGURE).read_bytes())["accuracy"]
                found.append((accuracy, int(folder.name[5:]), folder))
        return sorted(found, reverse=True)
