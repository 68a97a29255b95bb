"""The first screen is right in every case, also in the odd ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.reports import report_of

from hubtune.evaluation.metrics import Metrics
from hubtune.report.phrases import Phrases
from hubtune.report.run_report import Findings, MeasuredCurve, SuspectLabel
from hubtune.report.run_summary import describe_pair, summarise


def summary_of(report, language="en"):
    return summarise(report, Phrases(language), folder=report.folder)


def plain(texts):
    return " ".join(texts).replace("\u00a0", " ")


def test_an_ordinary_run_says_how_good_how_sure_and_what_is_confused():
    truth = [0] * 40 + [1] * 40 + [2] * 40
    predicted = [0] * 40 + [1] * 34 + [0] * 6 + [2] * 38 + [0] * 2
    summary = summary_of(report_of(truth, predicted, confidence=np.full(120, 0.93)))
    assert summary.figure == "93.3\u00a0%"
    assert summary.headline == "112 of 120 test pictures are right."
    assert plain(summary.sentences) == (
        "The true accuracy is between 87 and 97 % (95 % confidence interval). "
        "Nothing was chosen on this list, so the figure is not optimistic."
    )
    assert plain(summary.confusions) == (
        "Other classes are mostly taken for “ant”: 8 of their 8 mistakes. "
        "The class that is recognised least often is “bee”: 34 of 40 (between 71 and 93 %)."
    )
    assert summary.cautions == []
    assert [step.text for step in summary.steps] == [
        "Add training pictures of “bee” and “ant” first: they are confused most often.",
        "Predict new pictures:",
    ]
    assert summary.steps[-1].command == "hubtune predict PICTURES --model runs/first"


def test_a_pair_is_described_by_its_share_of_the_class():
    evaluation = report_of([0, 0, 1], [1, 0, 1]).evaluation
    assert (
        describe_pair(evaluation.most_confused[0], evaluation, Phrases("en"))
        == "“ant” taken for “bee”: 1 of 2"
    )


@pytest.mark.parametrize(
    ("truth", "predicted", "headline", "figure"),
    [
        ([0, 1, 2], [0, 1, 2], "3 test pictures: all of them are right.", "100\u00a0%"),
        ([0, 1, 2], [1, 2, 0], "3 test pictures: all of them are wrong.", "0\u00a0%"),
        ([0], [0], "1 test picture: it is right.", "100\u00a0%"),
        ([0], [1], "1 test picture: it is wrong.", "0\u00a0%"),
        ([0, 1], [0, 0], "1 of 2 test pictures is right.", "50.0\u00a0%"),
        ([0, 1], [-1, -1], "The accuracy was not measured: no picture of the list can be read.", ""),
        ([0, 1], [-1, 1], "1 test picture: it is right.", "100\u00a0%"),
    ],
)
def test_the_headline_is_right_at_the_ends(truth, predicted, headline, figure):
    summary = summary_of(report_of(truth, predicted))
    assert (summary.headline, summary.figure) == (headline, figure)
    assert summary_of(report_of(truth, predicted), "zh").headline != headline


def test_without_mistakes_nothing_is_confused_and_no_class_is_the_worst():
    summary = summary_of(report_of([0, 1] * 200, [0, 1] * 200, labels=("a", "b"), confidence=np.ones(400)))
    assert summary.confusions == ["No picture was taken for another class."]
    assert (summary.cautions, len(summary.steps)) == ([], 1)


def test_classes_that_are_equally_good_have_no_worst_one():
    summary = summary_of(report_of([0, 0, 1, 1], [0, 1, 1, 0], labels=("a", "b")))
    assert "recognised least" not in plain(summary.confusions)


def test_a_figure_that_guessing_may_reach_says_so_and_so_does_a_list_with_one_class():
    guessed = summary_of(report_of([0] * 30 + [1] * 30, [0] * 60))
    sentence = "always naming the most frequent class would be right for 50.0 % of these pictures."
    assert f"This is not shown to be better than guessing: {sentence}" in plain(guessed.sentences)
    single = summary_of(report_of([1] * 30, [1] * 29 + [0]))
    assert "All these pictures are of the class “bee”; others were not measured." in plain(single.sentences)
    assert "Not measured, as the list has no picture of them: “ant”, “cow”." in plain(single.cautions)


def test_lists_on_which_something_was_chosen_or_trained_lead_to_a_test_list():
    report = report_of([0, 1, 2], [0, 1, 2], list_name="validate", untouched=False)
    assert "chosen on this list: the figure is slightly optimistic" in plain(summary_of(report).sentences)
    assert summary_of(report).steps[0].command == "hubtune split PICTURES --val 20 --test 20"
    trained = summary_of(replace(report, list_name="train", untouched=True))
    assert "says nothing about new ones" in plain(trained.sentences)
    assert trained.steps[0].command.startswith("hubtune split")
    assert not summary_of(replace(report, untouched=True)).steps[0].command.startswith("hubtune split")
    nothing = summary_of(replace(report, evaluation=None))
    assert (nothing.headline, nothing.figure, nothing.sentences) == ("The accuracy was not measured.", "", [])


def test_figures_of_the_end_of_the_run_stand_in_for_pictures_that_are_gone():
    earlier = Metrics(106 / 120, 0.36, 120, (0.81, 0.93), largest_class=1 / 6)
    summary = summary_of(report_of([0, 1], [-1, -1], earlier=earlier))
    assert summary.headline == "106 of 120 test pictures are right."
    assert summary.cautions[0].startswith("The pictures of the list cannot be read any more")
    assert "2 pictures could not be read" in plain(summary.cautions)


def test_what_makes_the_figure_doubtful_is_said():
    suspect = SuspectLabel(Path("a.jpg"), "ant", 0.1, "bee", 0.9)
    curve = MeasuredCurve([], (0.02, 0.01, 0.03), ["cat"])
    report = report_of(
        [0, 0, 1, 1],
        [0, 1, 1, -1],
        confidence=[0.99] * 4,
        findings=Findings(label_issues=[suspect], similarity_threshold=0.5, learning_curve=curve),
        counts={"ant": {"train": 3}, "bee": {"train": 2}, "cow": {"train": 0}},
        skipped=[("train", "x.jpg", "empty file (0 bytes)")],
    )
    answers = replace(report.evaluation.answers, similarity=np.array([0.9, 0.4, 0.9, np.nan]))
    report = replace(report, evaluation=replace(report.evaluation, answers=answers))
    summary = summary_of(report)
    assert plain(summary.cautions) == (
        "1 label may be wrong. "
        "Classes without a training picture cannot be recognised: “cow”. "
        "With 3 pictures, the accuracy is known to about ±37 percentage points. Four times as many would "
        "halve that. "
        "Fewer than 10 pictures of a class say little about it: “ant”, “bee”. "
        "Not measured, as the list has no picture of them: “cow”. "
        "The model is surer than it should be: its mean confidence is 99.0 %, and 66.7 % are right. "
        "1 picture is unlike the training pictures. "
        "1 picture could not be read and was left out."
    )
    assert [step.text for step in summary.steps] == [
        "Look at the labels that may be wrong, and correct those that are.",
        "50 more training pictures of each class would raise the accuracy by about 2.0 points (1.0 to 3.0). "
        "Most in need of them: “cat”.",
        "Predict new pictures:",
    ]


def test_a_list_with_training_pictures_is_not_called_honest():
    report = report_of([0, 1, 2], [0, 1, 2], list_name="pics", trained=2)
    text = plain(summary_of(report).sentences)
    assert "2 of these pictures are in the training list" in text
    assert "not optimistic" not in text
    assert "hubtune split" in summary_of(report).steps[0].command
