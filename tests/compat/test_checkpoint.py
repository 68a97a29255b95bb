"""Checkpoints of PaddleClas and PaddleHub become models with the classes and scores that those gave."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from support.environments import paddlehub_python

from hubtune.compat.checkpoint import import_paddleclas, import_paddlehub
from hubtune.data.dataset import ListDataset
from hubtune.errors import ModelError, UsageError
from hubtune.inference.load_model import load_model
from hubtune.models.catalog import find
from hubtune.storage.safe_load import read_weights

FIXTURES = Path(__file__).parents[1] / "fixtures"
TOOLS = Path(__file__).parents[2] / "tools"
PADDLECLAS = FIXTURES / "paddleclas"
PADDLEHUB = FIXTURES / "paddlehub"
CHECKPOINT = PADDLECLAS / "output" / "PPLCNet_x0_25"
LABEL_LIST = PADDLECLAS / "dataset" / "flowers" / "flowers_label_list.txt"
PHOTO = PADDLECLAS / "photo.jpg"
PICKLE = b"cposix\nsystem\n(S'touch opened'\ntR."
LABELS = ["Gänseblümchen", "安崎", "a red rose"]


def array(side):
    """The input that both programs were given; see ``tools/make_import_fixtures.py``."""
    return np.sin(0.37 * np.arange(3 * side * side)).astype(np.float32).reshape(1, 3, side, side)


@paddle.no_grad()
def logits(model, images):
    return model.classifier(paddle.to_tensor(images)).numpy()[0]


def photo_scores(folder):
    (row,) = load_model(folder).predict([PHOTO])
    return row.scores


def expected_of(program):
    return json.loads((program / "expected.json").read_text("utf-8"))


def refusal(call, *arguments, kind=ModelError, **options):
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of PaddleClas's checkpoint, with what it writes beside it: files that nobody may unpickle."""
    folder = tmp_path / "output" / "PPLCNet_x0_25"
    shutil.copytree(CHECKPOINT, folder)
    for name in ("best_model.pdopt", "best_model.pdstates"):
        (folder / name).write_bytes(PICKLE)
    return folder


def test_paddleclas_classes_and_scores_are_preserved(checkpoint, tmp_path):
    expected = expected_of(PADDLECLAS)
    model = import_paddleclas(checkpoint, tmp_path / "model", config=PADDLECLAS / "config.yaml")
    assert model.labels == LABELS
    assert np.allclose(logits(model, array(64)), expected["array_logits"], atol=1e-5)
    scores = photo_scores(tmp_path / "model")
    assert list(scores) == list(expected["photo_scores"])
    # PaddleClas rounds what it prints to five digits.
    assert scores == pytest.approx(expected["photo_scores"], abs=6e-6)
    assert not Path("opened").exists()
    dataset = ListDataset(PADDLECLAS / "dataset" / "flowers", label_list_file=LABEL_LIST.name)
    metrics = model.evaluate(dataset, "validate")
    # PaddleClas reported 2 of the 3 when it chose this model.
    assert (metrics.count, round(metrics.accuracy * 3)) == (3, 2)
    # A checkpoint is named as people name it.
    for name in ("best_model.pdparams", "best_model"):
        assert import_paddleclas(checkpoint / name, tmp_path / name, labels=LABEL_LIST).labels == LABELS


def test_of_a_distillation_the_student_is_taken(checkpoint, tmp_path):
    tensors = read_weights(checkpoint / "best_model.pdparams")
    both = {f"Student.{key}": paddle.to_tensor(value) for key, value in tensors.items()}
    both |= {f"Teacher.{key}": 2 * value for key, value in both.items()}
    paddle.save(both, str(tmp_path / "model.pdparams"))
    model = import_paddleclas(tmp_path, tmp_path / "model", labels=LABEL_LIST)
    # No folder is called as an architecture: the tensors tell.
    assert model.card.architecture == "pplcnet_x0_25_imagenet"
    assert np.allclose(logits(model, array(64)), expected_of(PADDLECLAS)["array_logits"], atol=1e-5)


@pytest.mark.parametrize(
    "name",
    # A plain head, dropouts that scale in prediction, features without area, and a head that is not linear.
    "ResNet18 GoogLeNet paddle.vision:mobilenet_v3_small paddle.vision:squeezenet1_1 PPLCNet_x0_25".split(),
)
def test_every_head_gives_the_original_logits_or_is_refused(name, tmp_path):
    backbone = find(name).backbone
    network = backbone.build(num_classes=3)
    network.eval()
    paddle.save(network.state_dict(), str(tmp_path / "model.pdparams"))
    options = {"architecture": name, "labels": LABEL_LIST}
    if "squeezenet" in name:
        assert refusal(import_paddleclas, tmp_path, tmp_path / "model", **options) == (
            f"The head of {name} is more than a linear layer on the pooled features, so its scores cannot be "
            "preserved: fine-tune it again"
        )
        assert not (tmp_path / "model").exists()
        return
    model = import_paddleclas(tmp_path, tmp_path / "model", **options)
    with paddle.no_grad():
        expected = network(paddle.to_tensor(array(224)))
    expected = (expected[0] if isinstance(expected, list | tuple) else expected).numpy()[0]
    assert np.abs(logits(model, array(224)) - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_labels_that_do_not_fit_and_a_target_in_use_are_refused(checkpoint, tmp_path):
    target, names = tmp_path / "model", tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\n")
    assert refusal(import_paddleclas, checkpoint, target, labels=names) == (
        f"{checkpoint / 'best_model.pdparams'} scores 3 classes, but the label list names 4: give the "
        "list that it was trained with by --labels FILE"
    )
    said = refusal(import_paddleclas, checkpoint, target)
    assert said.startswith("There is no label file (*label*.txt) beside ") and said.endswith("--labels FILE")
    for name in ("a_label_list.txt", "labels.txt"):
        shutil.copy(LABEL_LIST, checkpoint / name)
    assert refusal(import_paddleclas, checkpoint, target) == (
        f"{checkpoint} has several label files (a_label_list.txt, labels.txt): say which by --labels FILE"
    )
    options = {"architecture": "ResNet18", "labels": LABEL_LIST}
    said = refusal(import_paddlehub, checkpoint, target, **options)
    assert "do not fit the network, and none were loaded" in said and "missing: 'blocks.0" in said
    assert not target.exists()
    import_paddleclas(checkpoint, target, labels=LABEL_LIST)
    said = refusal(import_paddleclas, checkpoint, target, labels=LABEL_LIST, kind=UsageError)
    assert said == f"{target} is there already: name a folder that is not, or an empty one"


@pytest.fixture
def labelled_checkpoint(tmp_path):
    """A folder with a network of 26 outputs."""
    network = find("PPLCNet_x0_25").backbone.build(num_classes=26)
    folder = tmp_path / "output" / "PPLCNet_x0_25"
    paddle.save(network.state_dict(), str(folder / "best_model.pdparams"))
    return folder


def write_config(file, answer):
    text = (PADDLECLAS / "config.yaml").read_text("utf-8").replace("CELoss", "MultiLabelLoss")
    file.write_text(f"{text[: text.index('  PostProcess')]}  PostProcess: {answer}\n", "utf-8")
    return file


def test_a_model_of_several_labels_gives_each_from_its_threshold(labelled_checkpoint, tmp_path, caplog):
    config = write_config(tmp_path / "c.yaml", "{name: PersonAttribute, hold_threshold: 0.49}")
    model = import_paddleclas(labelled_checkpoint, tmp_path / "model", config=config)
    card = load_model(tmp_path / "model").card
    assert card.multi_label and card.labels[18] == "HoldObjectsInFront"
    assert (card.thresholds[0], card.thresholds[1], card.thresholds[18]) == (0.5, 0.3, 0.49)
    assert "PaddleClas answers one age, direction, sleeve and bag" in caplog.text
    (row,) = model.predict([PHOTO])
    least = dict(zip(card.labels, card.thresholds, strict=True))
    assert row.labels == {name: score for name, score in row.scores.items() if score >= least[name]}
    # The outputs of a new network are near 0: its probabilities are near 1/2, and not 1/26.
    assert min(row.scores.values()) > 0.1


def test_labels_without_names_are_numbered(labelled_checkpoint, tmp_path, caplog):
    config = write_config(tmp_path / "c.yaml", "{name: MultiLabelTopk, topk: 5, class_id_map_file: None}")
    model = import_paddleclas(labelled_checkpoint, tmp_path / "model", config=config)
    assert (model.labels[0], model.labels[25], len(model.labels)) == ("attribute 0", "attribute 25", 26)
    assert set(model.card.thresholds) == {0.5}
    assert "are called attribute 0 to attribute 25: give them by --labels" in caplog.text
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{n}_label{n}\n" for n in range(26)))
    answer = f"{{name: MultiLabelThreshOutput, threshold: 0.3, class_id_map_file: {names}, delimiter: _}}"
    model = import_paddleclas(
        labelled_checkpoint, tmp_path / "named", config=write_config(tmp_path / "c.yaml", answer)
    )
    assert model.labels[:2] == ["label0", "label1"] and set(model.card.thresholds) == {0.3}
    # A file that is named must be there.
    config = write_config(tmp_path / "c.yaml", "{name: MultiLabelThreshOutput, class_id_map_file: no.txt}")
    said = refusal(import_paddleclas, labelled_checkpoint, tmp_path / "other", config=config)
    assert "no.txt of its configuration is not there: give the class names" in said


@pytest.fixture(scope="module")
def paddlehub_checkpoint(tmp_path_factory):
    """PaddleHub's checkpoint folder: real names and shapes, and the values of ``random_values.py``."""
    sys.path.insert(0, str(PADDLEHUB))
    try:
        from random_values import random_value
    finally:
        sys.path.remove(str(PADDLEHUB))
    shapes = expected_of(PADDLEHUB)["keys"].items()
    tensors = {key: paddle.to_tensor(random_value(key, shape)) for key, shape in shapes}
    folder = tmp_path_factory.mktemp("img_classification_ckpt")
    paddle.save(tensors, str(folder / "best_model" / "model.pdparams"))
    (folder / "metrics.pkl").write_bytes(PICKLE)
    (folder / "label_list.txt").write_text("".join(f"{name}\n" for name in LABELS), "utf-8")
    return folder


@pytest.mark.slow
def test_paddlehub_classes_and_scores_are_preserved(paddlehub_checkpoint, tmp_path):
    model = import_paddlehub(paddlehub_checkpoint, tmp_path / "model")
    assert model.labels == LABELS
    check_answers(model, tmp_path / "model", expected_of(PADDLEHUB)["before"])
    assert not Path("opened").exists()
    # PaddleHub's own module is meant where a PaddleHub checkpoint leaves it open.
    assert model.card.architecture == "resnet50_vd_imagenet"
    said = refusal(import_paddleclas, paddlehub_checkpoint, tmp_path / "other")
    assert said.startswith("Give the architecture by --architecture NAME. ")
    assert "resnet50_vd_imagenet" in said and "resnet50_vc_imagenet" in said


def check_answers(model, folder, expected):
    assert logits(model, array(224)) == pytest.approx(expected["array_logits"], rel=1e-5, abs=1e-4)
    assert photo_scores(folder) == pytest.approx(expected["photo_scores"], abs=1e-4)


@pytest.mark.slow
def test_a_checkpoint_that_paddlehubs_trainer_has_just_written(tmp_path):
    checkpoints, answers = tmp_path / "ckpt", tmp_path / "answers.json"
    arguments = [TOOLS / "answers_of_paddlehub.py", PADDLEHUB / "resnet50_vd", PHOTO, checkpoints, answers]
    subprocess.run(
        [paddlehub_python(), *arguments],
        check=True,
        env={**os.environ, "HUB_HOME": str(tmp_path / "hub"), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
    )
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(LABELS), "utf-8")
    folder = tmp_path / "model"
    model = import_paddlehub(checkpoints, folder, architecture="ResNet50_vd", labels=labels)
    check_answers(model, folder, json.loads(answers.read_text("utf-8"))["after"])
