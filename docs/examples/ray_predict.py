"""Predict the pictures below a folder with Ray Data: python ray_predict.py pics/ runs/idol5 out/ [actors].

Writes CSV files with the columns path, label, score and error into out/.
"""

import os
import sys
from pathlib import Path

import ray

import hubtune


class Predictor:
    """An actor, which loads the model once."""

    def __init__(self, folder: str) -> None:
        self.model = hubtune.load_model(folder)

    def __call__(self, batch: dict) -> dict:
        rows = list(self.model.predict(batch["path"].tolist()))
        return {name: [row[name] for row in rows] for name in ("path", "label", "score", "error")}


if __name__ == "__main__":
    pictures, model, out, *actors = sys.argv[1:]
    paths = sorted(str(path.resolve()) for path in Path(pictures).rglob("*") if path.is_file())
    # An actor does not run in this folder, so all paths are absolute.
    rows = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=len(paths) // 256 + 1)
    answers = rows.map_batches(
        Predictor,
        fn_constructor_args=(str(Path(model).resolve()),),
        batch_size=64,
        concurrency=int(actors[0]) if actors else 1,
    )
    answers.write_csv(os.fspath(Path(out).resolve()))
