"""Runs an export's own scripts in a fresh process, without hubtune, for :mod:`hubtune.export.parity`.

    python -P parity_process.py FOLDER JOB

FOLDER is that of the export. JOB has ``files.json``, a list of paths, and ``pixels-N.npy``, arranged images
of one shape; it gets ``answers.json`` and ``outputs-N-NAME.npy``.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

import numpy as np

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

    if hasattr(predict, "run"):
        for file in sorted(job.glob("pixels-*.npy")):
            for name, values in predict.run(np.load(file)).items():
                np.save(job / f"outputs-{file.stem.removeprefix('pixels-')}-{name}.npy", values)
    rows = []
    for path in json.loads((job / "files.json").read_text(encoding="utf-8")):
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


if __name__ == "__main__":
    answer_job(Path(sys.argv[1]), Path(sys.argv[2]))
