"""The module whose features `split` and `scan` compare."""

import numpy as np
import pytest

from hubtune.cli.feature_module import features_by, label_checker_by, load_module
from hubtune.errors import HubtuneError, UsageError


def test_without_a_module_there_are_no_features():
    assert load_module(None, "official", trust_code=False) is None
    assert features_by(None, print) is label_checker_by(None, print) is None


def test_a_misspelt_name_and_weights_without_a_module_are_refused():
    with pytest.raises(UsageError, match="--weights goes with --module"):
        load_module(None, "file.pdparams", trust_code=False)
    with pytest.raises(HubtuneError, match="There is no module 'nonsense'"):
        load_module("nonsense", "official", trust_code=False)


def test_features_report_their_progress(monkeypatch):
    def compute_features(module, paths, advance):
        advance(1, 2)
        return np.zeros((len(paths), 3), np.float32)

    monkeypatch.setattr("hubtune.inference.label_errors.compute_features", compute_features)
    steps = []
    features = features_by("a module", lambda *step: steps.append(step))
    assert features([1, 2]).shape == (2, 3)
    assert steps == [("computing features", 1, 2)]
