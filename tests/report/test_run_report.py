"""What a report has, and which mistakes are the worst."""

from dataclasses import replace

import numpy as np
import pytest
from support.label_answers import label_answers_of
from support.label_reports import label_report_of
from support.reports import report_of

from hubtune.evaluation.metrics import Metrics
from hubtune.report.run_report import worst_label_mistakes, worst_mistakes, wrong_distance


def test_the_worst_mistakes_are_the_surest_ones_and_unreadable_images_are_none():
    report = report_of([0, 0, 0, 1, 1], [1, 0, 2, -1, 0], confidence=[0.5, 0.9, 0.8, 0.9, 0.8])
    answers = report.evaluation.answers
    assert worst_mistakes(answers) == [2, 4, 0]
    assert worst_mistakes(answers, most=1) == [2]
    assert worst_mistakes(replace(answers, predicted=answers.truth, rank=np.zeros(5, int))) == []


def test_figures_are_those_of_the_evaluation_or_else_those_of_the_end_of_the_run():
    earlier = Metrics(0.5, 0.7, 4, (0.1, 0.9))
    report = report_of([0, 1], [0, 1], earlier=earlier)
    assert report.measured is report.metrics is report.evaluation
    unreadable = report_of([0, 1], [-1, -1], earlier=earlier)
    assert (unreadable.measured, unreadable.metrics) == (None, earlier)
    assert replace(report, evaluation=None, earlier=None).metrics is None


def test_the_worst_mistakes_of_labels_are_the_pictures_with_the_most_of_them():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]], bool)
    scores = [[0.9, 0.1, 0.1], [0.4, 0.3, 0.1], [0.1, 0.6, 0.1], [0.1, 0.1, 0.05], [0.1, 0.1, 0.1]]
    answers = label_answers_of(scores, truth, unreadable=(4,))
    assert worst_label_mistakes(answers) == [(1, 1), (3, 2), (2, 1)]
    assert worst_label_mistakes(answers, 1) == [(1, 1)]
    distance = wrong_distance(answers)
    assert distance[1].tolist() == pytest.approx([0.6, 0.7, 0])
    assert not distance[[0, 4]].any()
    assert wrong_distance(label_answers_of([[np.nan, 0.1]], [[False, False]])).tolist() == [[1, 0]]


def test_figures_of_labels_are_those_of_a_report_and_no_figures_of_classes():
    report = label_report_of([[0.9, 0.1, 0.1]], [[True, False, False]])
    assert report.measured is None and report.metrics is report.measured_labels is report.evaluation
    classes = report_of([0], [0])
    assert classes.measured_labels is None and classes.measured is classes.evaluation
