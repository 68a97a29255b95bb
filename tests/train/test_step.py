"""A step changes what is trained, and BatchNorm statistics only where they are updated."""

import numpy as np
import pytest
from support.tiny_task import weight_arrays

import hubtune
from hubtune.models.classifier import Classifier


def test_frozen_parameters_and_their_statistics_stay(run, module):
    classifier = Classifier(module.backbone, 3)
    stages = list(dict.fromkeys(stage for stage, _, _ in classifier.trained_parameters()))
    frozen = {name for stage, name, _ in classifier.trained_parameters() if stage == stages[0]}
    rules = [{"match": stages[0], "frozen": True}, {"match": "*", "weight_decay": 1e-3}]
    options = {"strategy": hubtune.RulesStrategy(list=rules), "batch_norm": "update", "epochs": 1}
    before, after = (
        weight_arrays(run(name, learning_rate=rate, **options).best_model)
        for name, rate in (("start", 1e-12), ("run", 3e-3))
    )
    layers = {name.rsplit(".", 1)[0] for name in frozen}
    moved = {name for name, values in after.items() if not np.array_equal(values, before[name])}
    assert len(moved) > 10
    assert not [name for name in moved if name.rsplit(".", 1)[0] in layers]


@pytest.mark.parametrize(("setting", "expected"), [("keep", False), ("update", True)])
def test_statistics_move_only_where_they_are_updated(run, setting, expected):
    arrays = weight_arrays(run(epochs=1, batch_norm=setting).best_model)
    # They start at zero.
    assert any(values.any() for name, values in arrays.items() if name.endswith("_mean")) == expected
