"""Sets of labels: sorted, named, and as a matrix."""

import numpy as np

from hubtune.data.label_sets import NO_LABEL, LabelSets


def test_sets_are_distinct_and_sorted_whatever_their_order():
    sets = LabelSets.of(["red", "round", "big"], [(2, 0), (1,), (0, 2), (), [1, 1]])
    assert sets.sets == ((), (0, 2), (1,))
    assert sets.names == [NO_LABEL, "red + big", "round"]
    assert sets.number_of[0, 2] == 1
    np.testing.assert_array_equal(sets.matrix, [[0, 0, 0], [1, 0, 1], [0, 1, 0]])


def test_names_are_distinct_even_where_a_label_is_called_like_a_set():
    sets = LabelSets.of(["a", "b", "a + b"], [(0, 1), (2,)])
    assert len(set(sets.names)) == 2
