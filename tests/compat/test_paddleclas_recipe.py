"""Whole configurations of PaddleClas become recipes, or are refused with the reason."""

from copy import deepcopy

import pytest
import yaml

from hubtune.compat.paddleclas_recipe import translate_paddleclas
from hubtune.errors import ModelError
from hubtune.recipe.load import load_recipe

FLOWERS = {
    "Global": {"epochs": 20, "output_dir": "./output/", "eval_interval": 1, "seed": 3, "device": "gpu"},
    "Arch": {"name": "PPLCNet_x1_0", "class_num": 3, "pretrained": True, "use_ssld": True},
    "Loss": {"Train": [{"CELoss": {"weight": 1.0, "epsilon": 0.1}}]},
    "Optimizer": {"name": "Momentum", "lr": {"name": "Cosine", "learning_rate": 0.01}},
    "DataLoader": {
        "Train": {
            "dataset": {
                "name": "ImageNetDataset",
                "image_root": "./dataset/",
                "cls_label_path": "./dataset/flowers/train_list.txt",
            },
            "sampler": {"batch_size": 64, "drop_last": False, "shuffle": True},
            "loader": {"num_workers": 4},
        },
        "Eval": {"dataset": {"image_root": "./dataset/", "cls_label_path": "./dataset/flowers/val_list.txt"}},
    },
    "AMP": {"scale_loss": 128.0, "use_dynamic_loss_scaling": True, "level": "O1"},
    "EMA": {"decay": 0.999},
}


def changed(path, value):
    data = deepcopy(FLOWERS)
    *sections, name = path.split(".")
    inner = data
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[name] = value
    return data


@pytest.fixture
def translate(tmp_path):
    def run(data):
        file = tmp_path / "config.yaml"
        file.write_text(yaml.dump(data), encoding="utf-8")
        return translate_paddleclas(file)

    return run


def test_a_whole_configuration(translate, tmp_path):
    translation = translate(FLOWERS)
    file = tmp_path / "recipe.yaml"
    file.write_text(translation.as_yaml(), encoding="utf-8")
    recipe = load_recipe(file)
    assert (recipe.data.base, recipe.data.train, recipe.data.validate_) == (
        "dataset",
        "flowers/train_list.txt",
        "flowers/val_list.txt",
    )
    assert (recipe.module.name, recipe.module.weights) == ("PPLCNet_x1_0_ssld", "official")
    train = recipe.train
    assert (train.epochs, train.batch_size, train.seed, train.ema) == (20, 64, 3, 0.999)
    assert (train.amp, train.loss_scale, train.loss.label_smoothing) == ("fp16", "dynamic", 0.1)
    assert (train.learning_rate, recipe.run) == (0.01, "output/PPLCNet_x1_0")


@pytest.mark.parametrize(
    ("path", "value", "module"),
    [
        ("Arch.pretrained", False, {"name": "PPLCNet_x1_0", "weights": "none"}),
        ("Arch.pretrained", "out/best_model", {"name": "PPLCNet_x1_0", "weights": "out/best_model.pdparams"}),
        (
            "Global.pretrained_model",
            "p/PPLCNet_x1_0_pretrained",
            {"name": "PPLCNet_x1_0", "weights": "official"},
        ),
        ("Global.pretrained_model", "a/b.pdparams", {"name": "PPLCNet_x1_0", "weights": "a/b.pdparams"}),
        ("Arch.name", "ResNet50", {"name": "ResNet50", "weights": "official"}),  # which has no SSLD weights
    ],
)
def test_where_the_weights_come_from(translate, path, value, module):
    assert translate(changed(path, value)).recipe["module"] == module


def test_a_label_file_is_taken_if_it_is_that_of_the_lists(translate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = "Infer.PostProcess.class_id_map_file"
    assert translate(changed(place, "./dataset/labels.txt")).recipe["data"]["labels"] == "labels.txt"
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    (tmp_path / "imagenet.txt").write_text("a\n" * 1000)
    assert translate(changed(place, "three.txt")).recipe["data"]["labels"] == "../three.txt"
    other = translate(changed(place, "imagenet.txt"))
    assert "labels" not in other.recipe["data"]
    assert other.left_out[0].key == place


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("Global.eval_interval", 5, "Global.eval_interval"),
        ("Global.device", "npu", "Global.device"),
        ("DataLoader.Eval.dataset.image_root", "other", "DataLoader.Eval.dataset.cls_label_path"),
        ("DataLoader.Train.sampler.drop_last", True, "DataLoader.Train.sampler.drop_last"),
        ("Loss.Train", [{"SupConLoss": {"weight": 1}}], "Loss.Train.SupConLoss"),
        ("Global.use_dali", True, "Global.use_dali"),
        ("Arch.stride_list", [2, 2, 2, 2, 2], "Arch.stride_list"),
        ("DataLoader.Train.dataset.delimiter", ",", "DataLoader.Train.dataset.delimiter"),
    ],
)
def test_what_a_recipe_lacks_is_listed(translate, path, value, key):
    assert key in [entry.key for entry in translate(changed(path, value)).left_out]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("Arch", {"name": "RecModel", "Backbone": {}}, "trains features for a search (Arch.Backbone)"),
        (
            "Infer.PostProcess",
            {"name": "MultiLabelThreshOutput", "threshold": "half"},
            "Infer.PostProcess.threshold is the text 'half', and must be a number from 0 to 1",
        ),
        (
            "DataLoader.Train.dataset.cls_label_path",
            None,
            "lacks image_root or cls_label_path, the training list",
        ),
        ("Optimizer", [{"name": "SGD"}], "has several optimizers, and a recipe has one"),
        ("Arch", {"class_num": 3}, "has no Arch.name, the network"),
        ("Arch.name", "ResNet51", "There is no backbone 'ResNet51'"),
        ("Global.epochs", 3.5, "Global.epochs is the number 3.5, and must be a whole number"),
        ("Global.epochs", "many", "Global.epochs is the text 'many', and must be a number"),
    ],
)
def test_what_cannot_be_trained_is_refused(translate, path, value, message):
    with pytest.raises(ModelError) as caught:
        translate(changed(path, value))
    assert message in str(caught.value)


def test_several_labels_become_a_multi_label_recipe(translate, tmp_path):
    data = changed("DataLoader.Train.dataset.name", "MultiLabelDataset")
    data["DataLoader"]["Train"]["dataset"] |= {"label_ratio": True, "delimiter": "\t"}
    data["Loss"] = {"Train": [{"MultiLabelLoss": {"weight_ratio": True, "size_sum": True, "epsilon": 0.1}}]}
    data["Infer"] = {"PostProcess": {"name": "VehicleAttribute", "color_threshold ": 0.4}}
    data["Metric"] = {"Eval": [{"ATTRMetric": None}, {"HammingDistance": None}]}
    translation = translate(data)
    recipe_file = tmp_path / "recipe.yaml"
    recipe_file.write_text(translation.as_yaml(), encoding="utf-8")
    recipe = load_recipe(recipe_file)
    assert (recipe.data.labels_are, recipe.train.loss.name) == ("multi-label", "bce")
    assert (recipe.train.loss.label_smoothing, recipe.train.learning_rate) == (0.1, 0.03)
    reasons = {entry.key: entry.reason for entry in translation.left_out}
    assert reasons["Infer.PostProcess.name"].startswith(
        "name the labels by a file with the lines yellow, ora"
    )
    assert reasons["Infer.PostProcess.color_threshold"].startswith("hubtune fits the threshold of each label")
    assert reasons["Infer.PostProcess"].startswith("PaddleClas answers one colour and one type")
    assert reasons["Metric"].startswith("mean average precision chooses the best model")
    assert reasons["DataLoader.Train.dataset.label_ratio"] == "it serves weight_ratio only"
    assert "Loss.Train.MultiLabelLoss.weight_ratio" in reasons
    assert "DataLoader.Train.dataset.delimiter" not in reasons


def test_a_label_file_names_several_labels(translate):
    answer = {"name": "MultiLabelThreshOutput", "class_id_map_file": "dataset/names.txt", "delimiter": " "}
    translation = translate(changed("Infer.PostProcess", answer))
    assert translation.recipe["data"]["labels"] == "names.txt"
    assert "Infer.PostProcess.name" not in [entry.key for entry in translation.left_out]
    answer["class_id_map_file"] = "None"  # as official configurations have it
    assert "labels" not in translate(changed("Infer.PostProcess", answer)).recipe["data"]


def test_the_description_of_an_exported_model_is_no_training(tmp_path):
    file = tmp_path / "inference.yml"
    file.write_text("PreProcess: {transform_ops: []}\nPostProcess: {Topk: {topk: 5}}\n", encoding="utf-8")
    with pytest.raises(
        ModelError, match="describes a model in use, and no training: take it with hubtune imp"
    ):
        translate_paddleclas(file)


def test_official_configurations_become_recipes(material, tmp_path):
    refused = []
    for file in sorted((material / "paddleclas_configs").rglob("*.yaml")):
        try:
            translation = translate_paddleclas(file)
        except ModelError as error:
            known = ("features for a search", "lacks image_root", "There is no backbone")
            assert any(reason in str(error) for reason in known), error
            refused.append(file)
        else:
            target = tmp_path / "recipe.yaml"
            target.write_text(translation.as_yaml(), encoding="utf-8")
            recipe = load_recipe(target)
            assert recipe.train.epochs == translation.recipe["train"]["epochs"]
            several = "MultiLabelDataset" in file.read_text("utf-8")
            assert (recipe.data.labels_are == "multi-label") == several == (recipe.train.loss.name == "bce")
    assert len(refused) == 3
