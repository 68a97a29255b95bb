"""Full fine-tuning as a bare Paddle loop: MobileNetV2, Adam 1e-4, evaluation at each epoch's end.

    python benchmarks/bare_loop.py LISTS mobilenet_v2.safetensors --setting best
    python benchmarks/bare_loop.py LISTS mobilenet_v2.safetensors --steps 3

LISTS is a folder with train_list.txt, validate_list.txt and test_list.txt. With --steps, only this number of
steps and of evaluation batches is timed, and the total time is extrapolated from them.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

SETTINGS = {"defaults": {}, "best": {"MKL_DEBUG_CPU_TYPE": "5"}}
"""Environment variables before Paddle is imported; ``best`` also uses ``--threads``."""


def main() -> None:
    """Train, and print one line of JSON."""
    start = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--setting", choices=list(SETTINGS), default="defaults")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="with --setting best")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, help="number of steps to time; the rest is extrapolated")
    given = parser.parse_args()
    os.environ.update(SETTINGS[given.setting])

    import paddle

    if given.setting == "best":
        paddle.base.core.set_num_threads(given.threads)
    lists = {name: _read(given.base, f"{name}_list.txt") for name in ("train", "validate", "test")}
    classes = 1 + max(label for _, label in lists["train"])
    network = _network(given.weights, classes)
    loaders = {
        name: paddle.io.DataLoader(
            _images(examples), batch_size=given.batch_size, shuffle=name == "train", num_workers=0
        )
        for name, examples in lists.items()
    }
    optimizer = paddle.optimizer.Adam(1e-4, parameters=network.parameters())
    prepared = time.perf_counter() - start
    step_seconds: list[float] = []
    accuracy = None
    for _ in range(given.epochs):
        network.train()
        last = time.perf_counter()
        for images, labels in loaders["train"]:
            loss = paddle.nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            float(loss)
            step_seconds.append(time.perf_counter() - last)
            last = time.perf_counter()
            # The first is a warm-up.
            if given.steps is not None and len(step_seconds) > given.steps:
                break
        if given.steps is not None:
            break
        _, accuracy = _evaluate(network, loaders["validate"])
    if given.steps is None:
        _, accuracy = _evaluate(network, loaders["test"])
        seconds = time.perf_counter() - start
    else:
        batches, _ = _evaluate(network, loaders["test"], given.steps)
        steps = given.epochs * len(loaders["train"])
        evaluated = given.epochs * len(loaders["validate"]) + len(loaders["test"])
        pace = statistics.median(step_seconds[1:])
        seconds = prepared + steps * pace + evaluated * statistics.median(batches)
    document: dict[str, Any] = {
        "seconds": seconds,
        "extrapolated": given.steps is not None,
        "seconds_per_step": statistics.median(step_seconds[1:]),
        "accuracy": accuracy,
        "epochs": given.epochs,
        "batch_size": given.batch_size,
        "setting": given.setting,
        "threads": given.threads if given.setting == "best" else None,
    }
    print(json.dumps(document))


def _read(base: Path, name: str) -> list[tuple[Path, int]]:
    lines = (line.rsplit(" ", 1) for line in (base / name).read_text("utf-8").splitlines())
    return [(base / path, int(label)) for path, label in lines]


def _network(weights: Path, classes: int) -> Any:
    import paddle
    from safetensors.numpy import load_file

    network = paddle.vision.models.mobilenet_v2(num_classes=classes)
    trunk = {name: value for name, value in load_file(weights).items() if not name.startswith("classifier.")}
    network.set_state_dict(trunk)
    return network


def _images(examples: list[tuple[Path, int]]) -> Any:
    import numpy as np
    import paddle
    from paddle.vision import transforms
    from PIL import Image

    steps = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    class Images(paddle.io.Dataset):
        def __len__(self) -> int:
            return len(examples)

        def __getitem__(self, index: int) -> Any:
            path, label = examples[index]
            with Image.open(path) as image:
                return steps(image.convert("RGB")), np.int64(label)

    return Images()


def _evaluate(network: Any, batches: Any, most: int | None = None) -> tuple[list[float], float]:
    """Seconds of each batch, and the accuracy; of the first ``most`` batches if it is given."""
    import paddle

    network.eval()
    seconds, right, count = [], 0, 0
    last = time.perf_counter()
    with paddle.no_grad():
        for number, (images, labels) in enumerate(batches):
            if number == most:
                break
            right += int((network(images).argmax(axis=1) == labels).sum())
            count += len(labels)
            seconds.append(time.perf_counter() - last)
            last = time.perf_counter()
    return seconds, right / count


if __name__ == "__main__":
    main()
