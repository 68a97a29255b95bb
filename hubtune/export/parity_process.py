"""Runs an export's own scripts in a fresh process, without hubtune, for :mod:`hubtune.export.parity`.

    python -P parity_process.py FOLDER JOB

FOLDER is that of the export. JOB has ``job.json`` with the paths of ``files``; ``pixels-N.npy``, arranged
images of one shape; and ``resized-N.npy``, images for the ``resizing_file`` of the job, or for the export
itself. It gets ``answers.json`` and ``outputs-pixels-N-NAME.npy``.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]

# Name of a module → that of its package.
PACKAGES = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "paddle": "paddlepaddle",
    "paddlehub": "paddlehub",
    "PIL": "pillow",
}


def answer_job(folder: Path, job: Path) -> None:
    sys.path.insert(0, str(folder))
    import predict  # type: ignore[import-not-found]  # of the export

    task = json.loads((job / "job.json").read_text(encoding="utf-8"))
    if hasattr(predict, "run"):
        run_all(predict.run, job, "pixels")
        run_all(
            resizing_network(folder / task["resizing_file"]) if task["resizing_file"] else predict.run,
            job,
            "resized",
        )
    rows = []
    for path in task["files"]:
        try:
            row = predict.predict(path)
            if hasattr(predict, "arrange"):
                row["pixels"] = hashlib.sha256(predict.arrange(path).tobytes()).hexdigest()
        except Exception as error:  # noqa: BLE001  # of any kind: the caller compares with hubtune's
            row = {"path": path, "label": None, "error": f"{type(error).__name__}: {error}"}
        rows.append(row)
    versions = {"python": platform.python_version()}
    for module, package in PACKAGES.items():
        if module in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[package] = importlib.metadata.version(package)
    answers = {"rows": rows, "versions": versions}
    (job / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def run_all(run: Run, job: Path, name: str) -> None:
    """Run all batches of this name, and save their outputs."""
    for file in sorted(job.glob(f"{name}-*.npy")):
        for output, values in run(np.load(file)).items():
            np.save(job / f"outputs-{file.stem}-{output}.npy", values)


def resizing_network(file: Path) -> Run:
    """Return what runs an ONNX file that takes the pixels of a whole image."""
    import onnxruntime

    network = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in network.get_outputs()]
    return lambda pixels: dict(zip(names, network.run(names, {"pixels": pixels}), strict=True))


if __name__ == "__main__":
    answer_job(Path(sys.argv[1]), Path(sys.argv[2]))
