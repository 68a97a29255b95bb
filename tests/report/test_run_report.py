"""What a report has, and which mistakes are the worst."""

from dataclasses import replace

import numpy as np
from support.reports import report_of

from hubtune.evaluation.metrics import Metrics
from hubtune.report.run_report import worst_mistakes


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
