"""The report of a run's folder, also of old, damaged and half-gone ones."""

import json
import shutil
from dataclasses import replace

import pytest
from support.pages import check_closed
from support.reports import answers_for
from support.split_folder import draw_split
from support.tiny_task import smallnet, train_frozen

import hubtune
from hubtune.data.label_sets import LabelSets
from hubtune.evaluation.evaluation import evaluate_answers
from hubtune.report import run_content
from hubtune.report.run_content import (
    REPORT_FILE,
    MeasuredList,
    RunLists,
    gather_report,
    save_report,
    write_report,
)
from hubtune.report.run_report import Findings


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, whose figures do not matter here."""
    base = tmp_path_factory.mktemp("data")
    draw_split(base, {"a": 12, "b": 12}, validate=2, test=3)
    patch = pytest.MonkeyPatch()
    patch.setenv("HUBTUNE_HOME", str(tmp_path_factory.mktemp("home")))
    patch.chdir(base)
    run = train_frozen(smallnet(), base, base / "run", settings={"views": 1}, engine="paddle", report=False)
    patch.undo()
    dataset = hubtune.ListDataset(base)
    return run.path, dataset


@pytest.fixture
def run(finished, tmp_path):
    """The run's folder, which a test may change; its lists; and answers for its test list."""
    folder, dataset = finished
    folder = shutil.copytree(folder, tmp_path / "run")
    examples = {name: dataset.examples(name) for name in ("train", "validate", "test")}
    entries = examples["test"]
    truth = [entry.label for entry in entries]
    answers = answers_for([entry.path for entry in entries], truth, [*truth[:-1], 1 - truth[-1]])
    measured = MeasuredList(evaluate_answers(answers, dataset.label_list))
    return folder, RunLists(dataset.label_list, examples, ["a remark"]), measured


def test_a_finished_run_has_everything_that_its_folder_says(run):
    folder, lists, measured = run
    report = gather_report(folder, lists, measured)
    assert (report.name, report.list_name, report.untouched) == ("run", "test", True)
    assert report.counts == {label: {"train": 7, "validate": 2, "test": 3} for label in "ab"}
    assert (report.groups, report.skipped, report.remarks) == (0, [], ["a remark"])
    assert {"module", "strategy", "started", "command", "versions", "machine", "train", "test"} <= {
        *report.used
    }
    assert report.used["command"].split()[0] == "hubtune"
    assert report.earlier.count == 6
    assert [entry["list"] for entry in report.history] == ["validate"]


def test_the_page_is_written_in_the_language_of_the_machine(run, monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "zh_CN.UTF-8")
    write_report(*run, Findings)
    page = (run[0] / REPORT_FILE).read_text("utf-8")
    elements = check_closed(page)
    assert "zh-Hans" in page and len(elements.all("img")) > 6


def test_an_old_run_lacks_some_facts_only(run):
    folder, lists, measured = run
    (folder / "manifest.json").write_text("{}")
    (folder / "metrics.jsonl").write_text('{"step": 0, "list": "validate", "acc')
    (folder / "skipped.csv").unlink()
    recipe = (folder / "recipe.yaml").read_text().replace("report: false\nreference: true\n", "")
    assert "report" not in recipe
    (folder / "recipe.yaml").write_text(recipe)
    report = gather_report(folder, lists, measured)
    used = {"module": "smallnet", "strategy": "frozen", "views": "whole 40", "duration": "1 second"}
    assert ({**report.used, "duration": "1 second"}, report.history) == (used, [])
    check_closed(run_content.render_run_report(report, language="en", images=True))


@pytest.mark.parametrize("wrong", [[], {}, 3.5, "text", None, [[]]])
def test_facts_of_the_wrong_kind_are_left_out(run, wrong):
    folder, lists, measured = run
    keys = ("started", "command", "versions", "machine", "lists", "seconds", "module_sha256", "code_sha256")
    (folder / "manifest.json").write_text(json.dumps(dict.fromkeys(keys, wrong)))
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "views": wrong}))
    report = gather_report(folder, lists, measured)
    check_closed(run_content.render_run_report(report, language="en", images=True))


def test_pictures_that_are_gone_leave_the_figures_of_the_end_of_the_run(run):
    folder, lists, _ = run
    report = gather_report(folder, lists, MeasuredList(None))
    page = check_closed(run_content.render_run_report(report, language="en", images=True))
    assert "of 6 test pictures" in page.text or "6 test pictures:" in page.text
    assert "cannot be read any more" in page.text


def test_a_failure_is_a_warning_and_the_run_stays_as_it_was(run, monkeypatch, told):
    folder, lists, measured = run
    before = sorted(path.name for path in folder.iterdir())

    def fail(*_, **__):
        raise ZeroDivisionError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(run_content, "render_run_report", fail)
        write_report(folder, lists, measured, Findings)
    (folder / "manifest.json").rename(folder / "manifest")
    write_report(folder, lists, measured, Findings)
    (folder / "manifest").rename(folder / "manifest.json")
    assert [record.levelname for record in told.records] == ["WARNING"] * 2
    assert "report.html is not written (ZeroDivisionError: a mistake)" in told.messages[0]
    assert f"hubtune report {folder}" in told.messages[1]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_page_that_cannot_be_written_is_an_error_in_a_sentence(run, tmp_path):
    report = gather_report(*run)
    with pytest.raises(hubtune.MachineError, match="cannot be written"):
        save_report(tmp_path / "gone" / "x.html", report, code="en", images=False)


@pytest.mark.parametrize(
    ("best_step", "validate", "source"), [(0, True, "train"), (5, True, "validate"), (5, False, "")]
)
def test_multi_label_lists_are_counted_by_label_and_the_thresholds_known(run, best_step, validate, source):
    folder, lists, _ = run
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "best_step": best_step}))
    sets = LabelSets.of(["red", "round"], [(), (0, 1)])
    examples = lists.examples if validate else {**lists.examples, "validate": []}
    lists = replace(lists, labels=sets.names, label_sets=sets, examples=examples)
    report = gather_report(folder, lists, MeasuredList(None))
    assert report.multi_label and report.thresholds_from == source
    assert {each["train"] for each in report.counts.values()} == {7}
    assert (report.sizes["train"], report.unlabelled["train"]) == (14, 7)
    check_closed(run_content.render_run_report(report, language="en", images=True))
