"""Planted wrong labels are ranked first, whatever the number of images; copies do not vouch for them."""

from dataclasses import replace

import numpy as np
import pytest

from hubtune.errors import DataError
from hubtune.inference import label_ranking
from hubtune.inference.feature_table import Table, Targets
from hubtune.inference.label_ranking import rank_decisions, rank_labels


def _table(count=120, classes=4, *, spread=1.0, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 3 * random.standard_normal((classes, 12))
    rows = (centres[labels] + spread * random.standard_normal((count, 12))).astype(np.float32)
    return Table(rows, labels, np.ones(count), [f"{n:04}" for n in range(count)], [12])


def _plant(table, count, seed=1):
    random = np.random.default_rng(seed)
    wrong = random.choice(len(table.labels), count, replace=False)
    labels = table.labels.copy()
    labels[wrong] = (labels[wrong] + 1 + random.integers(0, 3, count)) % 4
    return replace(table, labels=labels), {*wrong.tolist()}


@pytest.mark.parametrize("most", [2_000, 50], ids=["at once", "in parts"])
def test_planted_errors_come_first(most, monkeypatch):
    monkeypatch.setattr(label_ranking, "_MOST_EXACT", most)
    clean = _table()
    table, wrong = _plant(clean, 6)
    issues = rank_labels(table, 4)
    assert {issue.index for issue in issues[:6]} == wrong
    for issue in issues[:6]:
        assert issue.other == clean.labels[issue.index]
        assert issue.own < issue.probability
    owns = [issue.own for issue in issues]
    assert owns == sorted(owns)
    assert rank_labels(table, 4) == issues


def test_labels_that_are_expected_are_not_ranked():
    assert rank_labels(_table(spread=0.2), 4) == []


def test_a_copy_does_not_vouch_for_a_wrong_label():
    table, [wrong] = _plant(_table(), 1)
    copies = np.append(np.arange(120), [wrong] * 3)
    doubled = table.take(copies)
    together = replace(doubled, keys=[f"{index:04}" for index in copies])
    ranked = [issue.index for issue in rank_labels(together, 4)[:4]]
    assert sorted(ranked) == [wrong, 120, 121, 122]


def test_a_class_of_one_group_is_not_ranked_and_one_class_alone_is_refused():
    table = _table(9, 4)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    assert all(issue.index != 8 for issue in rank_labels(replace(table, labels=labels), 3))
    with pytest.raises(DataError, match="too small to judge labels: each needs two pictures"):
        rank_labels(replace(table.take(np.arange(2)), labels=np.array([0, 1])), 2)
    with pytest.raises(DataError, match="of one class: a classifier needs two"):
        rank_labels(replace(table, labels=np.zeros(9, int)), 3)


def test_labels_of_multi_label_images_are_judged_each_by_itself(monkeypatch):
    random = np.random.default_rng(0)
    truth = random.random((150, 3)) < (0.5, 0.3, 0.2)
    rows = truth @ (3 * random.standard_normal((3, 12))) + 0.3 * random.standard_normal((150, 12))
    planted = truth.copy()
    planted[7, 0], planted[20, 2] = ~truth[7, 0], ~truth[20, 2]
    sets, labels = np.unique(planted, axis=0, return_inverse=True)
    keys = [f"{n:03}" for n in range(150)]
    table = Table(rows.astype(np.float32), labels.ravel(), np.ones(150), keys, [12], Targets(sets))
    issues = rank_decisions(table)
    assert {(issue.index, issue.label) for issue in issues[:2]} == {(7, 0), (20, 2)}
    for issue in issues:
        assert issue.is_given == planted[issue.index, issue.label]
        assert issue.own < 0.5 and issue.share == planted[:, issue.label].mean()
    assert [issue.own for issue in issues] == sorted(issue.own for issue in issues)
    monkeypatch.setattr(label_ranking, "_MOST_EXACT", 80)
    assert {(issue.index, issue.label) for issue in rank_decisions(table)[:2]} == {(7, 0), (20, 2)}
    for few in (table.take(np.arange(1)), table.take(np.arange(0))):
        with pytest.raises(DataError, match="too few pictures"):
            rank_decisions(few)
