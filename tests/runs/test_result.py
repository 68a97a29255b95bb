"""Results of older versions are read, too, and a notebook shows a run with its report."""

from dataclasses import replace

import pytest
from support.notebooks import CellHtml
from support.pages import HOSTILE, PageElements

from hubtune.evaluation.metrics import Metrics
from hubtune.runs import result as result_module
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


@pytest.fixture
def run(tmp_path):
    metrics = Metrics(0.8, 0.5, 120, (0.72, 0.862), largest_class=0.2)
    return Run(tmp_path, tmp_path / "best_model", 18, metrics, metrics, ["crop 32"], None, {"train": 0}, 0)


def test_a_notebook_shows_figures_of_both_lists_the_best_model_and_the_report(run):
    body = '<body><a href="file:///home/me/1.jpg">1</a><p title=\'"\'>&amp;</p></body>'
    page = f"<!DOCTYPE html><html><head></head>{body}</html>"
    (run.path / "report.html").write_text(page, encoding="utf-8")
    shown = CellHtml(run._repr_html_())
    rows = {row[0]: row[1:] for row in shown.rows}
    assert rows["test"][:2] == ["80.0 %", "72.0–86.2 %"]
    assert rows["validate"][-1] == "slightly optimistic, because the best model was chosen on it"
    assert rows["best model"] == [str(run.best_model)] and rows["step"] == ["18"]
    assert not shown.alerts
    [frame] = shown.all("iframe")
    # Links to files, which a browser does not open from a notebook, would tell where they are.
    assert PageElements(frame.get("srcdoc")).elements[-2:] == [("a", {}), ("p", {"title": '"'})]


def test_a_notebook_says_how_a_missing_or_large_report_is_made_or_found(run, monkeypatch):
    named = replace(run, path=run.path / "a b<")
    assert f"!hubtune report '{run.path}/a b<' makes it" in CellHtml(named._repr_html_()).text
    (run.path / "report.html").write_bytes(b"\xff")
    assert "!hubtune report" in CellHtml(run._repr_html_()).text
    monkeypatch.setattr(result_module, "_MOST_BYTES", 0)
    assert f"The report is in {run.path / 'report.html'}" in CellHtml(run._repr_html_()).text


def test_a_notebook_shows_what_is_wrong_with_a_run(run):
    poor = Metrics(0.25, 2.0, 120, (0.18, 0.33), largest_class=0.2)
    troubled = replace(run, test=poor, skipped={"train": 1, "test": 2}, changed=1)
    alerts = CellHtml(troubled._repr_html_()).alerts
    assert alerts[0] == troubled.chance_level
    assert [alert.partition(":")[0] for alert in alerts[1:]] == [
        "3 pictures left out",
        "1 file changed after the run began",
    ]
    unmeasured = replace(run, test=None, validate=None, best_step=0, views=[HOSTILE])
    [alert] = CellHtml(unmeasured._repr_html_()).alerts
    assert alert.startswith("Accuracy not measured")


def test_a_run_that_cannot_be_shown_shows_its_text(run):
    assert replace(run, skipped=None)._repr_html_() is None
