"""The module whose features `split` and `scan` compare."""

import numpy as np

from hubtune.cli.feature_module import features_by, label_checker_by, load_module


def test_a_module_computes_features_with_progress_and_without_one_there_are_none(assert_refused, monkeypatch):
    assert load_module(None, "official", trust_code=False) is None
    assert features_by(None, print) is label_checker_by(None, print) is None
    assert_refused(
        ("split pics --weights file.pdparams", 2, "--weights goes with --module"),
        ("split pics --module nonsense", 4, "There is no module 'nonsense'"),
    )

    def compute_features(module, paths, advance):
        advance(1, 2)
        return np.zeros((len(paths), 3), np.float32)

    monkeypatch.setattr("hubtune.inference.label_errors.compute_features", compute_features)
    steps = []
    features = features_by("a module", lambda *step: steps.append(step))
    assert features([1, 2]).shape == (2, 3)
    assert steps == [("computing features", 1, 2)]
