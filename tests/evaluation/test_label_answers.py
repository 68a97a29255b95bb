"""The answers for labels are what the probabilities and the thresholds say."""

import numpy as np
import pytest
from support.label_answers import draw_label_scores, label_answers_of


def test_a_label_is_given_from_its_threshold_on_and_an_answer_is_right_with_all_labels():
    scores = [[0.5, 0.2, 0.9], [0.49, 0.3, 0.9], [0.0, 0.0, 0.0]]
    answers = label_answers_of(scores, [[1, 0, 1], [1, 1, 1], [0, 0, 0]], thresholds=[0.5, 0.3, 0.95])
    assert answers.paths == ["0.jpg", "1.jpg", "2.jpg"]
    assert answers.predicted.astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert answers.right_decisions.astype(int).tolist() == [[1, 1, 0], [0, 1, 0], [1, 1, 1]]
    assert answers.correct.tolist() == [False, False, True]
    assert answers.probabilities.dtype == answers.thresholds.dtype == np.float64


def test_unreadable_images_stay_in_their_place_without_figures():
    scores, _ = draw_label_scores(5, 3)
    # An unreadable image without a label is no right answer.
    answers = label_answers_of(scores, np.zeros((5, 3)), unreadable=[1, 4])
    assert answers.errors == [None, "it is cut off", None, None, "it is cut off"]
    assert (answers.unreadable, answers.readable.tolist()) == (2, [True, False, True, True, False])
    assert np.isnan(answers.probabilities[[1, 4]]).all()
    assert not answers.predicted[[1, 4]].any() and not answers.correct[[1, 4]].any()


def test_broken_scores_are_readable_and_no_right_answers():
    answers = label_answers_of(np.full((2, 2), np.nan), [[0, 0], [1, 1]])
    assert answers.readable.all() and not answers.predicted.any() and not answers.right_decisions.any()


def test_no_images_have_no_answers():
    answers = label_answers_of([], np.zeros((0, 3)))
    assert answers.probabilities.shape == (0, 3) and len(answers.readable) == answers.unreadable == 0


@pytest.mark.parametrize("shape", [(1, 2), (3, 2), (2, 1), (2, 3)])
def test_another_number_of_images_or_labels_is_refused(shape):
    with pytest.raises(ValueError):
        label_answers_of(np.ones((2, 2)), np.ones(shape), thresholds=np.full(shape[1], 0.5))
    with pytest.raises(ValueError):
        label_answers_of(np.ones((2, 2)), np.ones((2, 2)), thresholds=[0.5])
