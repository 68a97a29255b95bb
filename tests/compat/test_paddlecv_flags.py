"""The flags of PaddleCV's train.py become a recipe; obsolete ones are named."""

import pytest

from hubtune.compat.paddlecv_flags import translate_flags
from hubtune.errors import ModelError, RecipeError, UsageError

# All flags of the model zoo's table.
ALL = """--model=ResNeXt50_vd_64x4d --num_epochs=200 --batch_size=128 --use_gpu=True --total_images=1281167
--class_dim=1000 --image_shape=3,224,224 --model_save_dir=output/ --with_mem_opt=True --with_inplace=True
--lr_strategy=cosine_decay --lr=0.05 --pretrained_model=ResNeXt50_vd_64x4d_pretrained --checkpoint=out/100
--fp16=True --scale_loss=8.0 --l2_decay=1e-4 --momentum_rate=0.9""".split()


def test_the_flags_of_the_table():
    translation = translate_flags(ALL)
    assert translation.recipe == {
        "data": {"base": "data/ILSVRC2012", "train": "train_list.txt", "validate": "val_list.txt"},
        "module": {"name": "ResNeXt50_vd_64x4d", "weights": "official"},
        "strategy": {"name": "default_finetune", "regularization_coeff": 1e-4},
        "train": {
            "augment": {"crop": [0.08, 1.0], "flip": 0.5},
            "optimizer": {"name": "momentum", "momentum": 0.9},
            "learning_rate": 0.05,
            "schedule": {"name": "cosine"},
            "epochs": 200,
            "batch_size": 128,
            "eval_interval": 100_000,
            "amp": "fp16",
            "loss_scale": 8.0,
        },
        "run": "output/ResNeXt50_vd_64x4d",
    }
    reasons = {entry.key: entry.reason for entry in translation.left_out}
    obsolete = {"--total_images", "--class_dim", "--with_mem_opt", "--with_inplace"}
    assert {key for key, reason in reasons.items() if reason.startswith("obsolete")} == obsolete
    assert {*reasons} == {*obsolete, "--checkpoint", "--lr_strategy"}


def test_defaults_are_those_of_train_py_and_those_that_matter_are_said():
    translation = translate_flags(["--lr=0.1"])
    recipe = translation.recipe
    assert (recipe["module"], recipe["train"]["batch_size"]) == (
        {"name": "SE_ResNeXt50_32x4d", "weights": "none"},
        256,
    )
    schedule = {"name": "piecewise", "boundaries": [30, 60, 90], "factors": [1.0, 0.1, 0.01, 0.001]}
    assert recipe["train"]["schedule"] == schedule
    assert [entry.key for entry in translation.left_out] == ["--batch_size", "--model"]


def test_flags_of_later_versions():
    words = "--model GoogLeNet --batch_size 64 --step_epochs 10 20 --use_gpu 0 --use_mixup yes --use_ema True"
    words += " --use_label_smoothing True --image_mean 0.5 0.5 0.5 --lower_scale 0.2 --use_aa=1"
    train = translate_flags(words.split()).recipe["train"]
    assert train["schedule"]["boundaries"] == [10, 20]
    assert train["loss"] == {"label_smoothing": 0.2, "auxiliary": 0.3}
    assert train["augment"] == {
        "crop": [0.2, 1.0],
        "flip": 0.5,
        "randaugment": 2,
        "magnitude": 5.0,
        "mixup": 0.2,
    }
    assert (train["device"], train["ema"]) == ("cpu", 0.9999)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (
            "--modle=ResNet50",
            UsageError,
            "--modle=ResNet50 is not a flag of PaddleCV's train.py. Did you mean 'model'?",
        ),
        ("ResNet50", UsageError, "ResNet50 is not a flag"),
        ("--model", UsageError, "--model has no value: write --model=VALUE"),
        ("--lr_strategy=cosine", UsageError, "There is no lr_strategy cosine. Did you mean 'cosine_decay'?"),
        ("--lr_strategy=", UsageError, "There is no lr_strategy None. It may be piecewise_decay, cosine"),
        ("--lr_strategy a b", UsageError, "There is no lr_strategy ['a', 'b']. It may be piecewise_decay"),
        ("--image_shape=big", UsageError, "image_shape must be like 3,224,224, not big"),
        ("--image_shape=", UsageError, "image_shape must be like 3,224,224, not None"),
        ("--image_shape 3 big", UsageError, "image_shape must be like 3,224,224, not [3, 'big']"),
        (
            "--num_epochs=0",
            RecipeError,
            "train.epochs must be a whole number from 1 to 100000, not the number 0",
        ),
        ("--batch_size=0", RecipeError, "train.batch_size must be"),
        ("--model=ResNet51", ModelError, "There is no backbone 'ResNet51'"),
        ("--lr=fast", ModelError, "Optimizer.lr.learning_rate is the text 'fast', and must be a number"),
    ],
)
def test_mistakes_get_a_sentence(words, error, message):
    with pytest.raises(error) as caught:
        translate_flags(words.split())
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", ["--image_shape=3,112,112", "--image_shape 3 112 112"])
def test_the_size_is_the_last_side_of_the_shape(shape):
    assert translate_flags(["--model=ResNet50", *shape.split()]).recipe["data"]["size"] == 112
