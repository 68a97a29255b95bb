"""PaddleHub 1.x's tutorial, with nothing changed but its imports."""

import os
import shutil
import subprocess
import sys

import pytest

import hubtune
import hubtune.paddlehub as hub
from hubtune.data.scan import scan_classes
from hubtune.data.split import Amount, make_split, write_split

TUTORIAL = """
import numpy as np
import hubtune.paddlehub as hub
from hubtune.paddlehub import BaseCVDataset

module = hub.Module(name=NAME, weights=WEIGHTS)

class DemoDataset(BaseCVDataset):
    def __init__(self):
        self.dataset_dir = "dataset"
        super(DemoDataset, self).__init__(
            base_path=self.dataset_dir,
            train_list_file="train_list.txt",
            validate_list_file="validate_list.txt",
            test_list_file="test_list.txt",
            label_list_file="label_list.txt",
        )

dataset = DemoDataset()
data_reader = hub.reader.ImageClassificationReader(
    image_width=module.get_expected_image_width(),
    image_height=module.get_expected_image_height(),
    images_mean=module.get_pretrained_images_mean(),
    images_std=module.get_pretrained_images_std(),
    dataset=dataset)
config = hub.RunConfig(
    use_cuda=False,
    num_epoch=EPOCHS,
    checkpoint_dir="cv_finetune",
    batch_size=BATCH,
    eval_interval=10,
    log_interval=10,
    strategy=hub.finetune.strategy.DefaultFinetuneStrategy(learning_rate=RATE))

input_dict, output_dict, program = module.context(trainable=True)
img = input_dict["image"]
feature_map = output_dict["feature_map"]
feed_list = [img.name]
task = hub.ImageClassifierTask(
    data_reader=data_reader,
    feed_list=feed_list,
    feature=feature_map,
    num_classes=dataset.num_labels,
    config=config)
run_states = task.finetune_and_eval()

with open("dataset/test_list.txt", "r") as f:
    data = [line.strip().rsplit(" ", 1)[0] for line in f]

label_map = dataset.label_dict()
index = 0
run_states = task.predict(data=data)
results = [run_state.run_results for run_state in run_states]
for batch_result in results:
    batch_result = np.argmax(batch_result, axis=2)[0]
    for result in batch_result:
        index += 1
        result = label_map[result]
        print("input %i is %s, and the predict result is %s" % (index, data[index - 1], result))
"""


def _run_tutorial(cwd, name, weights, *, epochs, batch, rate):
    values = {"NAME": name, "WEIGHTS": weights, "EPOCHS": epochs, "BATCH": batch, "RATE": rate}
    script = TUTORIAL
    for word, value in values.items():
        script = script.replace(word, repr(value))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def _right_answers(printed, labels):
    """Checks each printed line's number; returns how many name the folder that the picture is in."""
    right = 0
    for number, line in enumerate(printed.splitlines(), 1):
        start, answer = line.split(", and the predict result is ")
        assert answer in labels
        begun = f"input {number} is "
        assert start.startswith(begun)
        right += start.removeprefix(begun).split("/")[1] == answer
    return right


def _split(pics, **amounts):
    chosen = {"validate": Amount(4), "test": Amount(4), **amounts}
    write_split(make_split(scan_classes(pics), **chosen), pics.parent, {"seed": 0}, force=True)
    return pics.parent


@pytest.fixture
def data(tmp_path, draw_photos):
    return _split(draw_photos(tmp_path / "dataset" / "pics", {"安崎": 16, "b": 16, "c": 16}))


@pytest.fixture(scope="module")
def module():
    return hub.Module("smallnet", weights=None)


class _Lists(hub.BaseCVDataset):
    def __init__(self, base, **others):
        given = {"label_list_file": "label_list.txt", **others}
        super().__init__(base, "train_list.txt", "validate_list.txt", "test_list.txt", **given)


def _task(module, data, *, trainable=True, reader=(), dataset=None, config=None, **others):
    inputs, outputs, _ = module.context(trainable=trainable)
    size = {"image_width": 32, "image_height": 32}
    dataset = dataset or _Lists(data)
    return hub.ImageClassifierTask(
        **{
            "data_reader": hub.reader.ImageClassificationReader(
                **{**size, "dataset": dataset, **dict(reader)}
            ),
            "feed_list": [inputs["image"].name],
            "feature": outputs["feature_map"],
            "num_classes": dataset.num_labels,
            "config": config or hub.RunConfig(checkpoint_dir="ckpt", use_cuda=False),
            **others,
        }
    )


def _config(**options):
    strategy = hub.DefaultFinetuneStrategy(learning_rate=3e-3)
    return hub.RunConfig(
        **{
            "use_cuda": False,
            "num_epoch": 2,
            "batch_size": 8,
            "checkpoint_dir": "ckpt",
            "strategy": strategy,
            **options,
        }
    )


def _weights(run, part):
    with hubtune.hub.safe_load.read_weights(run.best_model / "model.safetensors") as tensors:
        return {name: array for name, array in tensors.items() if name.startswith(part)}


def test_the_tutorial_runs_with_only_its_imports_changed(data):
    done = _run_tutorial(data.parent, "smallnet", None, epochs=4, batch=8, rate=3e-3)
    assert len(done.stdout.splitlines()) == 12
    assert _right_answers(done.stdout, ["安崎", "b", "c"]) >= 10  # the classes differ in colour
    for line in ("- step 12 / 12: loss=", "[dev dataset evaluation result]", "[test dataset evaluation"):
        assert line in done.stderr
    run = data.parent / "cv_finetune"
    assert hubtune.load_recipe(run / "recipe.yaml").data.fit == "stretch"
    assert (run / "best_model" / "model.json").exists()


@pytest.mark.slow
def test_the_tutorial_learns_real_photos(material, tmp_path):
    for folder in (material / "trashnet").iterdir():
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / "dataset" / "pics" / folder.name)
    _split(tmp_path / "dataset" / "pics", validate=Amount(4), test=Amount(4), train=12)
    weights = material / "weights" / "mobilenetv2_1.0_imagenet.safetensors"
    done = _run_tutorial(tmp_path, "paddle.vision:mobilenet_v2", str(weights), epochs=2, batch=12, rate=1e-3)
    assert len(done.stdout.splitlines()) == 24
    assert _right_answers(done.stdout, [p.name for p in (tmp_path / "dataset" / "pics").iterdir()]) >= 10
