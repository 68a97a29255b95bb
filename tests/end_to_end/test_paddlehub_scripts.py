"""Scripts for PaddleHub, written after its demos of several versions, run after one `sed`."""

import contextlib
import io

import pytest
from support.split_folder import draw_split

NAMES = (
    'base_path="flower", train_list_file="train_list.txt", validate_list_file="validate_list.txt", '
    'test_list_file="test_list.txt", label_list_file="label_list.txt"'
)

# The demo of 1.4: a data set of its own sets attributes, and arguments are given by position.
VERSION_1_4 = """
import paddlehub as hub
from paddlehub.dataset.base_cv_dataset import ImageClassificationDataset

class Demo(ImageClassificationDataset):
    def __init__(self):
        super(Demo, self).__init__()
        self.base_path = "flower"
        self.train_list_file = "train_list.txt"
        self.test_list_file = "test_list.txt"
        self.validate_list_file = "validate_list.txt"
        self.label_list_file = "label_list.txt"
        self.num_labels = 2

dataset, module = Demo(), hub.Module("digitnet")
reader = hub.reader.ImageClassificationReader(
    module.get_expected_image_width(), module.get_expected_image_height(), dataset)
inputs, outputs, program = module.context("feature_map", False, True)
strategy = hub.CombinedStrategy("RMSProp", 1e-4, {"warmup": 0.1, "gradual_unfreeze": 2}, {"L2": 1e-3})
config = hub.RunConfig(10, 100, True, True, None, False, "ckpt", 1, 8, True, strategy)
task = hub.ImageClassifierTask(outputs[0], dataset.num_labels, [inputs[0].name], reader, None, config, [8])
task.load_checkpoint()
task.finetune()
print(task.best_score >= 0, task.current_step == task.max_train_steps)
print(len(task.predict(["flower/pics/a/000.png"], True)))
"""

# The demo of 1.6, with the static mode that PaddleHub 2 asked for.
VERSION_1_6 = """
import paddle
import paddlehub as hub
from paddlehub.common.logger import logger
from paddlehub.dataset.base_cv_dataset import BaseCVDataset
import numpy as np
paddle.enable_static()

class Demo(BaseCVDataset):
    def __init__(self):
        super(Demo, self).__init__(NAMES)

dataset = Demo()
print(dataset)
module = hub.Module(name="digitnet", version="1.0.0")
input_dict, output_dict, program = module.context(trainable=True)
data_reader = hub.reader.ImageClassificationReader(
    image_width=module.get_expected_image_width(), image_height=module.get_expected_image_height(),
    images_mean=module.get_pretrained_images_mean(), images_std=module.get_pretrained_images_std(),
    dataset=dataset)
config = hub.RunConfig(
    use_data_parallel=False, use_pyreader=True, use_cuda=False, batch_size=8, num_epoch=1, eval_interval=2,
    log_interval=2, checkpoint_dir="ckpt",
    strategy=hub.finetune.strategy.AdamWeightDecayStrategy(learning_rate=1e-3, lr_scheduler="linear_decay"))
task = hub.ImageClassifierTask(
    data_reader=data_reader, feed_list=[input_dict["image"].name], feature=output_dict["feature_map"],
    num_classes=dataset.num_labels, config=config, metrics_choices=["acc"])
task.add_hook(
    hook_type="log_interval_event", func=lambda task, states: logger.info(task._calculate_metrics(states)[0]))
task.finetune_and_eval()
eval_avg_score, eval_avg_loss, eval_run_speed = task._calculate_metrics(task.eval(phase="test"))
print(eval_avg_score["acc"] >= 0)
data = [path for path, label in dataset.get_test_examples()]
index = 0
for batch_result in [run_state.run_results for run_state in task.predict(data=data)]:
    for result in np.argmax(batch_result, axis=2)[0]:
        index += 1
        print("input %i is %s, and the predict result is %s" % (
            index, data[index - 1], dataset.label_dict()[result]))
"""

# The form of 1.8: modules by their names, and a data set in place of a reader.
VERSION_1_8 = """
import paddlehub
from paddlehub.dataset.base_cv_dataset import BaseCVDataset
from paddlehub.finetune.config import RunConfig
from paddlehub.finetune.strategy import ULMFiTStrategy
from paddlehub.finetune.task.classifier_task import ImageClassifierTask

module = paddlehub.Module("digitnet")
inputs, outputs, program = module.context()
dataset = BaseCVDataset(NAMES)
strategy = ULMFiTStrategy(1e-3, "adamax", 0.1, 32, 2, 2.6, None, 2)
config = RunConfig(num_epoch=1, use_cuda=False, batch_size=8, checkpoint_dir="ckpt", strategy=strategy)
task = ImageClassifierTask(outputs["feature_map"], dataset.num_labels, dataset, config=config)
with task.phase_guard(phase="train"):
    task.init_if_necessary()
run_states = task.finetune_and_eval()
print(len(run_states) == task.current_step, set(task.predict(["flower/pics/a/000.png"])) <= {"a", "b"})
"""


def _run(script):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        ported = script.replace("NAMES", NAMES).replace("paddlehub", "hubtune.paddlehub")
        exec(ported, {"__name__": "script"})  # noqa: S102
    return printed.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _photos(tmp_path, monkeypatch):
    draw_split(tmp_path / "flower", {"a": 10, "b": 10}, validate=2, test=2)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_a_script_of_version_1_4_runs(told):
    assert _run(VERSION_1_4) == ["True True", "1"]
    assert told.messages.count("Evaluation on dev dataset start") == 1


def test_a_script_of_version_1_6_runs(told):
    printed = _run(VERSION_1_6)
    assert printed[:2] == ["Dataset: Demo with 12 train examples, 4 dev examples and 4 test examples", "True"]
    assert [line.split(" is ")[0] for line in printed[2:]] == [f"input {number}" for number in range(1, 5)]
    assert any("'acc'" in message for message in told.messages)


@pytest.mark.slow
def test_a_script_of_version_1_8_runs():
    assert _run(VERSION_1_8) == ["True True"]
