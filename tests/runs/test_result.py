"""Results of older versions are read, too."""

from hubtune.evaluation.metrics import Metrics
from hubtune.runs.folder import RunFolder
from hubtune.runs.result import Run


def test_a_result_is_read_back_and_missing_entries_are_empty(tmp_path):
    metrics = Metrics(0.75, 0.5, 4, (0.3, 0.95))
    old = {"best_step": 3, "validate": metrics.as_dict(), "test": None}
    run = Run.from_result(RunFolder(tmp_path), old)
    assert (run.validate, run.test, run.best_model) == (metrics, None, tmp_path / "best_model")
    assert (run.views, run.cross_validated, run.skipped, run.changed) == ([], None, {}, 0)
    document = run.as_dict()
    assert document["run"] == str(tmp_path)
    assert Run.from_result(RunFolder(tmp_path), document) == run
