"""Labels, names and thresholds are those with which PaddleClas's own code answers."""

import json
import subprocess

import numpy as np
import pytest
from support.environments import python_with

from hubtune.compat.paddleclas_labels import answer_name, has_several_labels, read_label_answer
from hubtune.errors import ModelError

PERSON = {"name": "PersonAttribute", "threshold": 0.45, "glasses_threshold": 0.2}
ANSWERS = [
    {"name": "PersonAttribute", "glasses_threshold": 0.2},
    {"name": "VehicleAttribute", "color_threshold": 0.3},
    {"name": "TableAttribute", "clarity_threshold": 0.9, "angle_threshold": 0.1},
    {"name": "FaceAttribute"},
    {"name": "MultiLabelThreshOutput", "threshold": 0.3},
]
OUTPUTS = {"PersonAttribute": 26, "VehicleAttribute": 19, "TableAttribute": 6, "FaceAttribute": 40}

# Prints the answers of PaddleClas's code for scores, the last of which have one high score each.
PROGRAM = """
import importlib.util, json, sys
from pathlib import Path
import numpy as np
site = Path(importlib.util.find_spec("paddleclas").origin).parent
spec = importlib.util.spec_from_file_location("postprocess", site / "deploy/python/postprocess.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
found = []
for settings, scores in json.load(sys.stdin):
    answers = getattr(module, settings.pop("name"))(**settings)(np.array(scores))
    labels = [each.get("output", each.get("class_ids")) for each in answers]
    found.append([(own, str(each.get("attributes"))) for own, each in zip(labels, answers)])
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    "data",
    [
        {"Global": {"use_multilabel": True}},
        {"DataLoader": {"Train": {"dataset": {"name": "MultiLabelDataset"}}}},
        {"Loss": {"Train": [{"DistillationMultiLabelLoss": {"weight": 1.0}}]}},
        {"Infer": {"PostProcess": {"name": "TableAttribute"}}},
        {"Infer": {"PostProcess": {"name": "DistillationPostProcess", "func": "MultiLabelThreshOutput"}}},
    ],
)
def test_one_sign_of_several_labels_is_enough(data):
    assert has_several_labels(data)


def test_one_class_a_picture_is_none_of_several_labels():
    data = {"Loss": {"Train": [{"CELoss": None}]}, "Infer": {"PostProcess": {"name": "ThreshOutput"}}}
    assert not has_several_labels(data)
    assert answer_name({}) == "Topk"


def test_a_threshold_applies_to_its_outputs():
    person = read_label_answer(PERSON, "c.yaml")
    assert person.names[:2] == ("Hat", "Glasses") and person.names[22:] == ("Female", "Front", "Side", "Back")
    thresholds = person.thresholds_of(26)
    assert (thresholds[0], thresholds[1], thresholds[18], thresholds[25]) == (0.45, 0.2, 0.6, 0.45)
    vehicle = read_label_answer({"name": "VehicleAttribute", "type_threshold": 0.7}, "c.yaml")
    assert vehicle.thresholds_of(19) == [0.5] * 10 + [0.7] * 9
    assert read_label_answer({}, "c.yaml").thresholds_of(2) == [0.5, 0.5]


def test_the_configurations_own_names_come_first():
    answer = read_label_answer({"name": "PersonAttribute", "label_list": ["a", "b"]}, "c.yaml")
    assert answer.names == ("a", "b")
    # The names in question are not its own.
    assert not any("AgeLess18" in remark for remark in answer.remarks)


@pytest.mark.parametrize("value", ["half", 1.5, True, [0.5]])
def test_a_threshold_that_is_none_is_refused(value):
    with pytest.raises(ModelError) as caught:
        read_label_answer({"name": "MultiLabelThreshOutput", "threshold": value}, "c.yaml")
    assert str(caught.value).startswith("c.yaml: Infer.PostProcess.threshold is ")
    assert str(caught.value).endswith("must be a number from 0 to 1")


def test_an_unknown_answer_is_refused():
    with pytest.raises(ModelError, match=r"c\.yaml: Infer\.PostProcess is RamOutput, which hubtune does not"):
        read_label_answer({"name": "RamOutput"}, "c.yaml")


@pytest.mark.slow
def test_paddleclas_gives_the_same_labels():
    python = python_with("HUBTUNE_PADDLECLAS_PYTHON", "paddleclas==2.6.0", "paddlepaddle==3.3.1")
    random = np.random.default_rng(0)
    given = []
    for settings in ANSWERS:
        count = OUTPUTS.get(settings["name"], 7)
        single = np.full((count, count), 0.01) + 0.98 * np.eye(count)
        given.append((settings, [*random.random((200, count)).tolist(), *single.tolist()]))
    command = [python, "-c", PROGRAM]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True)
    for (settings, scores), answers in zip(given, json.loads(done.stdout.splitlines()[-1]), strict=True):
        answer, count = read_label_answer(settings, "c.yaml"), len(scores[0])
        expected = [output for output, _ in answers]
        if settings["name"] not in OUTPUTS:
            expected = [[int(number in own) for number in range(count)] for own in expected]
        assert np.array_equal(np.array(scores) >= answer.thresholds_of(count), np.array(expected) == 1)
        for name, (_, text) in zip(answer.names or (), answers[200:], strict=bool(answer.names)):
            assert name in text.replace(f"{name}: False", ""), settings
