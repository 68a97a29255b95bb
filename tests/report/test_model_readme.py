"""The README of a model: metadata that can be read, true sentences, and names that stay names."""

import re

import pytest
import yaml

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.hub.model_card import ModelCard
from hubtune.report.model_readme import render_model_readme

FIGURES = {"accuracy": 0.8833, "loss": 0.3647, "count": 120, "interval": [0.8137, 0.9292], "unreadable": 0}
HOSTILE = (
    "a | b", "<script>alert(1)</script>", "# head", "![x](http://evil/y.png)", "[x](javascript:y)", "---",
    "`code`", "a\nb", "a\u202eb", "http://evil.example", "www.evil.example", "*bold* _it_ ~gone~", "&amp;",
    "x" * 300, "not utf-8 \udcff",
)  # fmt: skip


def card_with(**changes):
    fields = {
        "architecture": "smallnet",
        "labels": ["cat", "dog"],
        "preprocessing": Preprocessing(size=32, resize=32),
        "module": "/home/someone/weights.pdparams",
        "module_sha256": "ab" * 32,
        "strategy": "frozen",
        "step": 0,
        "metrics": {"validate": {**FIGURES, "accuracy": 0.84}, "test": FIGURES},
    }
    return ModelCard(**{**fields, **changes})


def readme_of(card, counts=None, *, licence="Apache-2.0", chosen=False):
    text = render_model_readme(card, counts or {}, licence=licence, chosen=chosen)
    start, header, body = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(header), body


def test_the_header_has_the_metadata_of_model_hubs():
    header, _ = readme_of(card_with())
    results = header.pop("model-index")[0]["results"]
    assert header == {
        "license": "apache-2.0",
        "library_name": "hubtune",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "hubtune", "paddlepaddle"],
        "metrics": ["accuracy"],
        "base_model": "smallnet",
    }
    assert [(each["dataset"]["split"], each["metrics"][0]["value"]) for each in results] == [
        ("test", 0.8833),
        ("validate", 0.84),
    ]


def test_the_text_says_what_it_is_how_good_and_how_to_use_it():
    counts = {
        "cat": {"train": 60, "validate": 20, "test": 60},
        "dog": {"train": 7, "validate": 20, "test": 60},
    }
    _, body = readme_of(card_with(), counts, chosen=True)
    headings = re.findall("^#+ (.*)$", body, re.MULTILINE)
    assert headings == [
        *("Image classifier of 2 classes", "Classes and data", "Figures", "Intended use", "Limits"),
        *("Licence", "Use"),
    ]
    for sentence in (
        "| cat | 60 | 20 | 60 |",
        "In all: 67 training, 40 validation, 120 test.",
        "| test | 120 | 88.3 % | 81.4–92.9 % | 0.365 |",
        "Nothing was chosen on the test list.",
        "The model was chosen on the validation list",
        "known to about ±6 percentage points",
        "Fewer than 20 training pictures: dog.",
        "It names one of its classes for every picture, also for one that shows none of them.",
        "published under Apache\\-2\\.0",
        "hubtune predict PICTURES --model MODEL_FOLDER",
    ):
        assert sentence in body
    assert "/home/someone" not in body


def test_what_is_unknown_is_not_claimed():
    header, body = readme_of(card_with(metrics={}), licence=None)
    assert (header["license"], "model-index" in header) == ("unknown", False)
    assert "Its accuracy was not measured." in body
    assert "licence of the pretrained weights is not known" in body
    header, body = readme_of(card_with(module_sha256=None, architecture="module.py"), licence=None)
    assert "base_model" not in header
    assert "trained from random weights" in body
    unmeasured = {**FIGURES, "accuracy": float("nan"), "count": 0}
    header, body = readme_of(card_with(metrics={"test": unmeasured, "validate": FIGURES}))
    assert len(header["model-index"][0]["results"]) == 1
    assert "Nothing was chosen on the test list" not in body
    assert "--reject" in readme_of(card_with(similarity_threshold=0.4))[1]


def test_names_of_classes_stay_names_and_many_are_cut_short():
    _, body = readme_of(card_with(labels=[*HOSTILE]), {label: {"train": 1} for label in HOSTILE})
    rows = body.partition("|-|")[2].partition("\n\n")[0].splitlines()[1:]
    assert len(rows) == len(HOSTILE)
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 3
        assert not re.search(r"<|(?<!\\)[`*_\[\]!#:.]|\n|\u202e", row)
    body.encode()  # as a file
    many = [f"class {number}" for number in range(300)]
    _, body = readme_of(card_with(labels=many))
    assert body.count("\n| class ") == 201  # with the heading
    assert "100 more classes are in `model.json`." in body


@pytest.mark.parametrize("views", [[], [Preprocessing(size=32, resize=32, mirror=True)]])
def test_the_same_model_has_the_same_text(views):
    card = card_with(further_views=views)
    assert readme_of(card) == readme_of(card)


def test_an_accuracy_is_never_known_without_an_error():
    figures = {**FIGURES, "accuracy": 0.995, "count": 1000, "interval": [0.9884, 0.998]}
    assert "about ±0.48 percentage points" in readme_of(card_with(metrics={"test": figures}))[1]


def test_a_model_in_int8_says_what_it_needs():
    assert "for which OpenVINO is needed" in readme_of(card_with(engine="openvino-int8"))[1]
    assert "OpenVINO" not in readme_of(card_with())[1]


def test_a_multi_label_model_has_labels_with_thresholds_and_mean_average_precision():
    figures = {"validate": {**FIGURES, "mean_ap": float("nan")}, "test": {**FIGURES, "mean_ap": 0.75}}
    card = card_with(multi_label=True, thresholds=[0.3, 0.512], similarity_threshold=0.4, metrics=figures)
    counts = {"cat": {"train": 60, "test": 60}, "dog": {"train": 7, "test": 9}}
    text = render_model_readme(
        card, counts, licence=None, chosen=True, sizes={"train": 65, "test": 66}, unlabelled={"train": 3}
    )
    header = yaml.safe_load(text.split("---\n", 2)[1])
    assert header["metrics"] == ["mean_average_precision", "accuracy"] and "multi-label" in header["tags"]
    results = [each["metrics"] for each in header["model-index"][0]["results"]]
    assert results[0][0] == {"type": "mean_average_precision", "value": 0.75}
    assert len(results[1]) == 1
    for sentence in (
        "# Multi-label image classifier of 2 labels",
        "| label | threshold | training pictures | test pictures |",
        "| dog | 0.51 | 7 | 9 |",
        "In all: 65 training, 66 test.",
        "Without a label: 3 training, 0 test.",
        "| test | 120 | 75.0 % | 88.3 % | 81.4–92.9 % | 0.365 |",
        "| validation | 120 | – |",
        "The model was chosen on the validation list",
        "each with any number of the 2 labels, or none",
        "gives no label to pictures unlike the training pictures (similarity below 0.40)",
        "high F1 on training pictures that were left out of a fit",
        "the share with every label right is known to about ±6 percentage points",
        "print(row.path, row.labels, row.error)",
    ):
        assert sentence in text, sentence
    assert "names one of its classes" not in text and "Classes" not in text
    trained = card_with(multi_label=True, thresholds=[0.5, 0.5], step=9, metrics={})
    assert (
        "Its thresholds are 0.5" in readme_of(trained)[1] and "It was not measured." in readme_of(trained)[1]
    )
    measured = card_with(multi_label=True, thresholds=[0.5, 0.5], step=9, metrics={"validate": FIGURES})
    assert "The model and its thresholds were chosen" in readme_of(measured, chosen=True)[1]
