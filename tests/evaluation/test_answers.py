"""Answers are what the scores say, in the order of the list, without the scores."""

import numpy as np
import pytest
from support.answers import answers_of, draw_scores


def test_answers_have_the_rank_of_the_true_class_and_the_first_of_equal_scores_is_higher():
    scores = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.4, 0.2, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    answers = answers_of(scores, [2, 0, 2, 1])
    assert answers.paths == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert answers.predicted.tolist() == [1, 0, 0, 0]
    assert answers.rank.tolist() == [1, 0, 1, 1]
    assert answers.second.tolist() == [2, 2, 2, 1]
    assert answers.confidence.tolist() == [0.5, 0.4, 0.4, 1 / 3]
    assert answers.probability.tolist() == [0.3, 0.4, 0.4, 1 / 3]
    assert answers.correct.tolist() == [False, True, False, False]


def test_unreadable_images_stay_in_their_place_without_figures():
    scores, truth = draw_scores(5, 3)
    answers = answers_of(scores, truth, unreadable=[1, 4])
    assert answers.errors == [None, "it is cut off", None, None, "it is cut off"]
    assert answers.predicted[1] == answers.rank[1] == answers.second[1] == -1
    assert np.isnan(answers.confidence[[1, 4]]).all() and np.isnan(answers.probability[1])
    assert (answers.unreadable, answers.readable.tolist()) == (2, [True, False, True, True, False])


def test_a_single_class_has_no_second_and_broken_scores_are_no_right_answers():
    assert answers_of(np.ones((1, 1)), [0]).second.tolist() == [-1]
    broken = answers_of(np.full((2, 3), np.nan), [0, 2])
    assert broken.rank.tolist() == [0, 2] and np.isnan(broken.confidence).all()


def test_another_number_of_images_than_of_classes_is_refused():
    with pytest.raises(ValueError):
        answers_of(np.ones((2, 2)), [0])
