"""Make ``tests/models/static_names.json``: names of variables in Paddle 1's programs, and what these answer.

The names come from two scripts; the first is run by an interpreter with paddleclas, the second needs the
unpacked wheel of paddlex 1.3.11:

    PYTHON tools/static_names_of_paddleclas.py names.json
    export PYTHONPATH=tests/models
    FLAGS_enable_pir_api=0 python tools/static_programs_of_paddlex.py paddlex programs
    python tools/make_static_names.py names.json programs/scores.npz
"""

import json
import sys
from pathlib import Path

import numpy as np
from deterministic import digest

FILE = Path(__file__).parents[1] / "tests" / "models" / "static_names.json"
KEPT = 12


def of_paddleclas(file: str) -> dict[str, dict[str, object]]:
    """Return, for each class, a checksum of key → name."""
    found = json.loads(Path(file).read_text(encoding="utf-8"))
    return {name: {"variables": len(names), "sha256": digest(names)} for name, names in found.items()}


def of_paddlex(file: str) -> dict[str, dict[str, object]]:
    """Return, for each class, a checksum of name → shape, and the first scores."""
    found = dict(np.load(file))
    answers = {}
    for entry in found:
        name, _, what = entry.partition(" ")
        if what == "scores":
            shapes = json.loads(str(found[f"{name} shapes"]))
            scores = [float(f"{score:.7g}") for score in found[entry][:KEPT]]
            largest = float(f"{np.abs(found[entry]).max():.7g}")
            answers[name] = {
                "variables": len(shapes),
                "sha256": digest(shapes),
                "first": scores,
                "largest": largest,
            }
    return answers


if __name__ == "__main__":
    content = {"paddleclas 2.6.0": of_paddleclas(sys.argv[1]), "paddlex 1.3.11": of_paddlex(sys.argv[2])}
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
