"""Prediction as a bare Paddle loop: decode, resize, run a batch without gradients, write a CSV.

    python benchmarks/bare_predict.py LIST mobilenet_v2.safetensors answers.csv

LIST names one image per line. The times of the loop and of the whole process are printed as one line of JSON.
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

from bare_loop import SETTINGS


def main() -> None:
    """Predict, and print one line of JSON."""
    start = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--setting", choices=list(SETTINGS), default="defaults")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="with --setting best")
    parser.add_argument("--batch-size", type=int, default=16)
    given = parser.parse_args()
    os.environ.update(SETTINGS[given.setting])

    import numpy as np
    import paddle
    from paddle.vision import transforms
    from PIL import Image
    from safetensors.numpy import load_file

    if given.setting == "best":
        paddle.base.core.set_num_threads(given.threads)
    network = paddle.vision.models.mobilenet_v2()
    network.set_state_dict(load_file(given.weights))
    network.eval()
    steps = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.Transpose(),
            transforms.Normalize([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
        ]
    )

    def read(path: str) -> np.ndarray:
        with Image.open(path) as image:
            return steps(image.convert("RGB"))

    paths = given.pictures.read_text("utf-8").splitlines()
    loop = time.perf_counter()
    with given.csv.open("w", newline="", encoding="utf-8") as file, paddle.no_grad():
        writer = csv.writer(file)
        for first in range(0, len(paths), given.batch_size):
            some = paths[first : first + given.batch_size]
            images = paddle.to_tensor(np.stack([read(path) for path in some]).astype(np.float32))
            scores = paddle.nn.functional.softmax(network(images)).numpy()
            writer.writerows(
                (path, int(row.argmax()), float(row.max())) for path, row in zip(some, scores, strict=True)
            )
    end = time.perf_counter()
    found = {"pictures": len(paths), "loop_seconds": end - loop, "seconds": end - start}
    print(json.dumps({**found, "setting": given.setting}))


if __name__ == "__main__":
    main()
