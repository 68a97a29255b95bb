"""Configurations of all versions of PaddleClas are read into one form."""

import pytest

from hubtune.compat.paddleclas_file import operations_of, read_paddleclas, student
from hubtune.errors import ModelError, RecipeError, UsageError

STATIC = """\
mode: train
ARCHITECTURE: {name: ResNet50_vd, params: {lr_mult_list: [1, 2]}}
pretrained_model: ./pretrained/ResNet50_vd_pretrained
classes_num: 102
epochs: 20
ls_epsilon: 0.1
LEARNING_RATE: {function: Cosine, params: {lr: 0.00375, warmup_epoch: 2}}
OPTIMIZER: {function: Momentum, params: {momentum: 0.9}, regularizer: {function: L2, factor: 0.000001}}
TRAIN: {batch_size: 20, num_workers: 1, file_list: d/train.txt, data_dir: d, transforms: [DecodeImage]}
VALID: {batch_size: 20, file_list: d/val.txt, data_dir: d, shuffle_seed: 0}
"""
ANCHORED = """\
Arch:
  name: DistillationModel
  class_num: &classes 2
  models:
    - {Teacher: {name: ResNet101_vd, class_num: *classes}}
    - {Student: {name: PPLCNet_x1_0, class_num: *classes}}
"""


def read(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return read_paddleclas(file)


def test_the_form_of_version_2_0_becomes_todays(tmp_path):
    assert read(tmp_path, STATIC) == {
        "Global": {"epochs": 20, "pretrained_model": "./pretrained/ResNet50_vd_pretrained", "mode": "train"},
        "Arch": {"name": "ResNet50_vd", "lr_mult_list": [1, 2], "class_num": 102},
        "Loss": {"Train": [{"CELoss": {"epsilon": 0.1}}]},
        "Optimizer": {
            "name": "Momentum",
            "momentum": 0.9,
            "lr": {"name": "Cosine", "learning_rate": 0.00375, "warmup_epoch": 2},
            "regularizer": {"name": "L2", "coeff": 0.000001},
        },
        "DataLoader": {
            "Train": {
                "dataset": {
                    "image_root": "d",
                    "cls_label_path": "d/train.txt",
                    "transform_ops": ["DecodeImage"],
                },
                "sampler": {"batch_size": 20},
                "loader": {"num_workers": 1},
            },
            "Eval": {
                "dataset": {"image_root": "d", "cls_label_path": "d/val.txt"},
                "sampler": {"batch_size": 20},
                "loader": {},
                "shuffle_seed": 0,
            },
        },
    }


def test_anchors_are_read_and_of_a_distillation_the_student(tmp_path):
    assert student(read(tmp_path, ANCHORED)) == {"name": "PPLCNet_x1_0", "class_num": 2}
    assert student({"Arch": {"name": "DistillationModel", "models": "none"}}) == {}


def test_operations_may_have_arguments_or_not():
    assert operations_of([{"A": {"x": 1}}, {"B": None}, "C"]) == [("A", {"x": 1}), ("B", {}), ("C", {})]
    assert operations_of("C") == [("C", {})]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a: 1", ModelError, "is no PaddleClas configuration: it has no section Arch"),
        ("- a", ModelError, "is no PaddleClas configuration"),
        ("ARCHITECTURE: text", ModelError, "is no PaddleClas configuration"),
        ("Arch: [", RecipeError, "c.yaml:1:8: expected a value here"),
    ],
)
def test_other_files_are_refused(tmp_path, text, error, message):
    with pytest.raises(error) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    with pytest.raises(UsageError, match="There is no configuration file"):
        read_paddleclas(tmp_path / "missing.yaml")


def test_of_an_exported_models_answers_the_main_one_is_taken(tmp_path):
    text = "PostProcess: {main_indicator: Topk, SavePreLabel: {save_dir: x}, Topk: {topk: 5}}"
    assert read(tmp_path, text) == {"Arch": {}, "Infer": {"PostProcess": {"topk": 5, "name": "Topk"}}}
    assert read(tmp_path, "PostProcess: {SavePreLabel: {}, Topk: }")["Infer"]["PostProcess"]["name"] == "Topk"
