"""The process that runs an export: what it reads and writes."""

import json
import subprocess
import sys

import numpy as np

from hubtune.export import parity_process

SCRIPT = """
import sys
import numpy as np
import onnx  # the package, not a file beside this process's script

assert "hubtune" not in sys.modules

def run(pixels):
    return {"scores": pixels.mean(axis=(1, 2)), "similarity": np.ones(len(pixels))}

def predict(path):
    if path == "bad":
        raise OSError("unreadable")
    return {"path": path, "label": "a", "scores": {"a": 1.0}}
"""


def test_it_writes_the_outputs_of_each_batch_and_a_row_for_each_file(tmp_path):
    folder, job = tmp_path / "export", tmp_path / "job"
    folder.mkdir()
    job.mkdir()
    (folder / "predict.py").write_text(SCRIPT)
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.save(job / "pixels-0.npy", pixels)
    (job / "job.json").write_text(json.dumps({"files": ["good", "bad"], "resizing_file": None}))
    command = [sys.executable, "-P", parity_process.__file__, folder, job]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(job / "outputs-pixels-0-scores.npy"), pixels.mean(axis=(1, 2)))
    assert np.load(job / "outputs-pixels-0-similarity.npy").tolist() == [1.0, 1.0]
    answers = json.loads((job / "answers.json").read_text())
    assert answers["rows"][0]["label"] == "a"
    assert answers["rows"][1]["error"] == "OSError: unreadable"
    assert set(answers["versions"]) == {"python", "numpy"}
