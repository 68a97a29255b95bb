"""Makes ``tests/fixtures/paddleclas``: a checkpoint by PaddleClas's own trainer, and what it answers.

Run by hand, in an environment of its own; 2.4.0 is the last release of PaddleClas on the package index that
contains the trainer, and 2.6.2 the last of Paddle that it runs with:

    pip install paddleclas==2.4.0 paddlepaddle==2.6.2
    FLAGS_set_to_1d=1 python tools/make_import_fixtures.py

It draws pictures, trains PPLCNet_x0_25 on them for a few steps, and keeps the checkpoint, its configuration
and label file, one picture, and the class scores that PaddleClas gives for that picture and for an array.
"""

import json
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import paddle
from PIL import Image

FOLDER = Path(__file__).parent.parent / "tests" / "fixtures" / "paddleclas"
ARCHITECTURE = "PPLCNet_x0_25"
LABELS = ("Gänseblümchen", "安崎", "a red rose")
SIZE, RESIZE = 64, 72

# As PaddleClas's own files have it: `1.0/255.0` is text, and the paths start from where it is run.
CONFIG = f"""\
Global:
  checkpoints: null
  pretrained_model: null
  output_dir: ./output/
  device: cpu
  save_interval: 100
  eval_during_train: True
  eval_interval: 1
  epochs: 8
  print_batch_step: 10
  use_visualdl: False
  image_shape: [3, {SIZE}, {SIZE}]
  save_inference_dir: ./inference
  seed: 1
Arch:
  name: {ARCHITECTURE}
  class_num: {len(LABELS)}
Loss:
  Train:
    - CELoss: {{weight: 1.0, epsilon: 0.1}}
  Eval:
    - CELoss: {{weight: 1.0}}
Optimizer:
  name: Momentum
  momentum: 0.9
  lr: {{name: Constant, learning_rate: 0.05}}
  regularizer: {{name: 'L2', coeff: 0.00003}}
DataLoader:
  Train:
    dataset:
      name: ImageNetDataset
      image_root: ./dataset/flowers/
      cls_label_path: ./dataset/flowers/train_list.txt
      transform_ops:
        - DecodeImage: {{to_rgb: True, channel_first: False}}
        - ResizeImage: {{size: {SIZE}}}
        - NormalizeImage:
            scale: 1.0/255.0
            mean: [0.485, 0.456, 0.406]
            std: [0.229, 0.224, 0.225]
            order: ''
    sampler: {{name: DistributedBatchSampler, batch_size: 6, drop_last: False, shuffle: True}}
    loader: {{num_workers: 0, use_shared_memory: False}}
  Eval:
    dataset:
      name: ImageNetDataset
      image_root: ./dataset/flowers/
      cls_label_path: ./dataset/flowers/val_list.txt
      transform_ops:
        - DecodeImage: {{to_rgb: True, channel_first: False}}
        - ResizeImage: {{resize_short: {RESIZE}}}
        - CropImage: {{size: {SIZE}}}
        - NormalizeImage:
            scale: 1.0/255.0
            mean: [0.485, 0.456, 0.406]
            std: [0.229, 0.224, 0.225]
            order: ''
    sampler: {{name: DistributedBatchSampler, batch_size: 6, drop_last: False, shuffle: False}}
    loader: {{num_workers: 0, use_shared_memory: False}}
Infer:
  infer_imgs: photo.jpg
  batch_size: 1
  transforms:
    - DecodeImage: {{to_rgb: True, channel_first: False}}
    - ResizeImage: {{resize_short: {RESIZE}}}
    - CropImage: {{size: {SIZE}}}
    - NormalizeImage:
        scale: 1.0/255.0
        mean: [0.485, 0.456, 0.406]
        std: [0.229, 0.224, 0.225]
        order: ''
    - ToCHWImage:
  PostProcess:
    name: Topk
    topk: {len(LABELS)}
    class_id_map_file: ./dataset/flowers/flowers_label_list.txt
Metric:
  Train:
    - TopkAcc: {{topk: [1]}}
  Eval:
    - TopkAcc: {{topk: [1]}}
"""


def draw(random: np.random.RandomState, label: int, size: tuple[int, int]) -> Image.Image:
    """A picture of blobs in the colour of its class."""
    coarse = 128 + 50 * random.standard_normal((9, 9, 3))
    coarse[:, :, label] += 60
    return Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def draw_dataset(folder: Path) -> None:
    """PaddleClas's layout: a root with pictures, two lists and a label file."""
    random = np.random.RandomState(0)
    lines = []
    for number in range(9):
        label = number % len(LABELS)
        file = folder / "jpg" / f"image_{number:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        draw(random, label, (100, 80)).save(file, quality=95)
        lines.append(f"jpg/{file.name} {label}\n")
    (folder / "train_list.txt").write_text("".join(lines))
    (folder / "val_list.txt").write_text("".join(lines[:3]))
    (folder / "flowers_label_list.txt").write_text(
        "".join(f"{number} {name}\n" for number, name in enumerate(LABELS)), encoding="utf-8"
    )


def array() -> np.ndarray:
    """An input that needs no file: float32 ``[1, 3, SIZE, SIZE]``; the tests make the same."""
    return np.sin(0.37 * np.arange(3 * SIZE * SIZE)).astype(np.float32).reshape(1, 3, SIZE, SIZE)


def main() -> None:
    """Train in a temporary folder, and copy what the tests need."""
    package = find_spec("paddleclas")
    sys.path.append(str(package.submodule_search_locations[0]))
    from ppcls.data import create_operators
    from ppcls.data.postprocess import build_postprocess
    from ppcls.engine.engine import Engine
    from ppcls.utils.config import get_config
    from ppcls.utils.save_load import load_dygraph_pretrain

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        draw_dataset(Path("dataset/flowers"))
        Path("config.yaml").write_text(CONFIG, encoding="utf-8")
        draw(np.random.RandomState(1), 0, (150, 100)).save("photo.jpg", quality=95)
        config = get_config("config.yaml")
        config["profiler_options"] = None  # as its tools/train.py does
        engine = Engine(config, mode="train")
        engine.train()

        load_dygraph_pretrain(engine.model, f"output/{ARCHITECTURE}/best_model")
        engine.model.eval()
        image = Path("photo.jpg").read_bytes()
        for step in create_operators(config["Infer"]["transforms"]):
            image = step(image)
        with paddle.no_grad():
            scores = engine.model(paddle.to_tensor(image[None]))
            answer = build_postprocess(config["Infer"]["PostProcess"])(scores, ["photo.jpg"])[0]
            logits = engine.model(paddle.to_tensor(array())).numpy()[0]
        for file in (f"output/{ARCHITECTURE}/best_model.pdparams", "config.yaml", "photo.jpg"):
            (FOLDER / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, FOLDER / file)
        shutil.copytree("dataset", FOLDER / "dataset")
    expected = {
        "paddleclas": "2.4.0",
        "array_logits": [float(value) for value in logits],
        "photo_scores": dict(zip(answer["label_names"], answer["scores"], strict=True)),
    }
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
