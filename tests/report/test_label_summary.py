"""The first screen of a multi-label run is right in every case, also in the odd ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.label_reports import drawn_label_report, label_report_of

from hubtune.evaluation.metrics import Metrics
from hubtune.report.label_summary import (
    describe_missed,
    describe_thresholds_from,
    describe_wrongly_given,
    summarise_labels,
)
from hubtune.report.phrases import Phrases
from hubtune.report.run_report import Findings, SuspectDecision


def summary_of(report, language="en"):
    return summarise_labels(report, Phrases(language), folder=report.folder)


def plain(texts):
    return " ".join(texts).replace("\u00a0", " ")


@pytest.fixture
def ordinary():
    """100 images: red is always right; of 40 round ones, 30 are found, and 10 others are taken for round."""
    truth = np.zeros((100, 2), bool)
    truth[:50, 0] = truth[30:70, 1] = True
    scores = np.where(truth, 0.9, 0.1)
    scores[60:70, 1], scores[90:, 1] = 0.2, 0.8
    return label_report_of(
        scores, truth, ("red", "round"), counts={name: {"train": 9} for name in ("red", "round")}
    )


def test_an_ordinary_run_says_how_good_how_sure_and_what_is_missed(ordinary):
    summary = summary_of(ordinary)
    # The 30 sure ones, then 10 of 40, and the other 10 round ones come after those.
    assert summary.figure == f"{50 * (1 + (30 + 10 * 40 / 50) / 40):.1f}\u00a0%"
    assert summary.headline == "Mean average precision (mAP) of the labels, on 100 test pictures."
    assert plain(summary.sentences) == (
        "Every label is right for 80 of 100 pictures: 80.0 %. "
        "The true share is between 71 and 87 % (95 % confidence interval). "
        "Nothing was chosen on this list, so the figures are not optimistic."
    )
    assert plain(summary.confusions) == (
        "The label that is found least well is “round”: average precision 95.0 %; it was given to 30 of the "
        "40 pictures that have it (between 60 and 86 %)."
    )
    assert plain(summary.cautions).startswith("With 100 pictures, the share with every label right is known")
    assert [step.text for step in summary.steps] == [
        "Add training pictures with “round” first: it is found least well.",
        "Predict new pictures:",
    ]
    entry, phrases = ordinary.evaluation.per_label[1], Phrases("en")
    assert describe_missed(entry, phrases) == "“round” missed: 10 of 40"
    assert describe_wrongly_given(entry, phrases) == "“round” wrongly given: 10 of 40 times"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"list_name": "train"}, "trained on these pictures: the figures say nothing about new ones"),
        (
            {"trained": 3},
            "3 of these pictures are in the training list: on new pictures, the figures are lower",
        ),
        ({"untouched": False}, "The best model was chosen on this list"),
        (
            {"untouched": False, "thresholds_from": "validate"},
            "The best model and the thresholds of the labels were chosen on this list",
        ),
    ],
)
def test_optimistic_figures_say_so_and_lead_to_a_test_list(ordinary, fields, sentence):
    summary = summary_of(replace(ordinary, **fields))
    assert sentence in plain(summary.sentences)
    assert summary.steps[0].command == "hubtune split PICTURES --val 20 --test 20"


def test_an_accuracy_that_guessing_may_reach_says_so():
    truth = np.tile([True, False], (40, 1))
    truth[:10] = False
    summary = summary_of(label_report_of(np.tile([0.9, 0.1], (40, 1)), truth, ("red", "round")))
    assert "naming the most frequent set of labels would have every label right for 75.0 %" in plain(
        summary.sentences
    )
    assert "Not measured, as no picture of the list has them: “round”." in plain(summary.cautions)


def test_figures_that_do_not_exist_are_not_claimed():
    unlabelled = summary_of(label_report_of(np.full((4, 2), 0.1), np.zeros((4, 2)), ("red", "round")))
    assert unlabelled.figure == "100\u00a0%"
    assert unlabelled.headline == "Share of the pictures with every label right, of 4 test pictures."
    assert unlabelled.sentences[0] == "No picture of the list has a label, so that there is no mAP."
    assert unlabelled.confusions == ["No label was missed, and none was wrongly given."]
    report = label_report_of(np.ones((2, 2)), np.ones((2, 2)), ("red", "round"), unreadable=(0, 1))
    assert summary_of(report).headline.endswith("no picture of the list can be read.")
    nothing = summary_of(replace(report, evaluation=None))
    assert (nothing.headline, nothing.figure) == ("The model was not measured.", "")


def test_figures_of_the_end_of_the_run_stand_in_for_pictures_that_are_gone():
    earlier = Metrics(0.5, 0.36, 120, (0.41, 0.59), largest_class=1 / 6, mean_ap=0.8)
    report = label_report_of([[1.0]], [[True]], ("red",), unreadable=(0,), earlier=earlier)
    summary = summary_of(report)
    assert summary.figure == "80.0\u00a0%"
    assert "60 of 120 pictures" in summary.sentences[0]
    assert summary.cautions[0].startswith("The pictures of the list cannot be read any more")


def test_what_makes_the_figures_doubtful_is_said():
    truth = np.zeros((200, 2), bool)
    truth[:4, 0] = truth[:100, 1] = True
    suspect = SuspectDecision(Path("a.jpg"), "red", True, 0.01)
    report = label_report_of(
        np.where(truth, 0.95, 0.45),
        truth,
        ("red", "round"),
        findings=Findings(decision_issues=[suspect], similarity_threshold=0.5),
        counts={"red": {"train": 3}, "round": {"train": 0}},
        skipped=[("train", "x.jpg", "empty file (0 bytes)")],
    )
    answers = replace(report.evaluation.answers, similarity=np.r_[0.4, np.ones(199)])
    summary = summary_of(replace(report, evaluation=replace(report.evaluation, answers=answers)))
    assert plain(summary.cautions) == (
        "1 label may be missing or wrong. "
        "Labels without a training picture cannot be learned: “round”. "
        "Fewer than 10 pictures with a label say little about it, and make mAP uncertain: “red”. "
        "The probabilities are higher than they should be: their mean is 58.0 %, and the label is true in "
        "26.0 % of the decisions. "
        "1 picture is unlike the training pictures. "
        "1 picture could not be read and was left out."
    )
    assert summary.steps[0].text.startswith("Look at the labels that may be missing or wrong")


@pytest.mark.parametrize(
    ("source", "words"),
    [("train", "fitted without it"), ("validate", "validation pictures"), ("", "are 0.5")],
)
def test_the_images_of_the_thresholds_are_named(source, words):
    report = drawn_label_report(30, thresholds_from=source)
    assert words in describe_thresholds_from(report, Phrases("en"))


def test_chinese_sentences_are_others(ordinary):
    english, chinese = summary_of(ordinary), summary_of(ordinary, "zh")
    assert english.headline != chinese.headline
    assert not {*english.sentences, *english.cautions} & {*chinese.sentences, *chinese.cautions}
