"""``hubtune report``: the page of a run, on any list, in two languages, with and without pictures."""

import json
import shutil

import pytest
from support.commands import output_of, refusal
from support.multi_label import draw_labelled, write_label_lists, write_label_table
from support.pages import check_closed
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train_frozen

import hubtune
from hubtune.cli.report import command

ENGINE = ("--engine", "paddle")  # the quickest to start


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("report")
    draw_faint_split(base / "data")
    patch = pytest.MonkeyPatch()
    patch.setenv("HUBTUNE_HOME", str(tmp_path_factory.mktemp("home")))
    patch.chdir(base)
    train_frozen(
        smallnet(), base / "data", base / "runs/a", settings={"views": 1}, engine="paddle", report=False
    )
    patch.undo()
    return base


@pytest.fixture
def run(finished, monkeypatch):
    monkeypatch.chdir(finished)
    return finished / "runs/a"


def page_of(file):
    return check_closed(file.read_text("utf-8"))


def test_the_newest_run_gets_its_page(run):
    result = output_of(command, *ENGINE)
    assert result.stdout == "runs/a/report.html\n"
    page = page_of(run / "report.html")
    assert "of 12 test pictures" in page.text
    assert "Nothing was chosen on this list" in page.text
    assert len(page.all("img")) >= 12


def test_another_list_language_and_file_may_be_named(run, tmp_path):
    file = tmp_path / "page.html"
    result = output_of(command, run, "--on", "validate", "--lang", "zh", "-o", file, "--json", *ENGINE)
    assert json.loads(result.stdout) == {"schema_version": 1, "run": str(run), "page": str(file)}
    assert "张验证图片" in page_of(file).text
    output_of(command, run, "--on", "train", "-o", file, "--lang", "en", *ENGINE)
    assert "says nothing about new ones" in page_of(file).text
    output_of(command, run, "--on", run.parents[1] / "data/pics", "-o", file, "--lang", "en", *ENGINE)
    text = page_of(file).text
    assert "48 pictures" in text
    assert "of these pictures are in the training list" in text
    assert "not optimistic" not in text


def test_a_page_to_pass_on_has_no_picture_and_no_path(run, tmp_path):
    file = tmp_path / "page.html"
    output_of(command, run, "--no-pictures", "-o", file, *ENGINE)
    assert not page_of(file).all("img")
    assert str(run.parent) not in file.read_text("utf-8")


def test_a_run_whose_pictures_are_gone_has_a_page_with_its_figures(finished, run, tmp_path):
    pics = finished / "data/pics"
    pics.rename(finished / "data/moved")
    try:
        result = output_of(command, run, "-o", tmp_path / "page.html", "--lang", "en", *ENGINE)
    finally:
        (finished / "data/moved").rename(pics)
    assert "The page is made without them" in result.stderr
    assert "cannot be read any more" in page_of(tmp_path / "page.html").text


def test_what_is_not_a_run_and_what_cannot_be_written_is_refused(run, tmp_path):
    assert "is not a run" in refusal(4, command, run / "best_model")
    assert "There is no folder" in refusal(2, command, run, "-o", tmp_path / "gone/x.html")
    assert "is a folder" in refusal(2, command, run, "-o", tmp_path)
    assert "no such list file or folder" in refusal(2, command, run, "--on", "nothing", *ENGINE)
    unfinished = shutil.copytree(run, tmp_path / "unfinished")
    shutil.rmtree(unfinished / "best_model")
    assert "has no model yet" in refusal(4, command, unfinished, *ENGINE)


def test_a_multi_label_run_has_a_page_of_its_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    paths, truth = draw_labelled(tmp_path / "data", 100, difference=30)
    write_label_lists(tmp_path / "data", paths, truth)
    train_frozen(
        hubtune.Module("digitnet"), tmp_path / "data", tmp_path / "runs/a", engine="paddle", report=True
    )
    own = page_of(tmp_path / "runs/a/report.html").text
    output_of(command, *ENGINE, "--lang", "en", "-o", "again.html")
    again = page_of(tmp_path / "again.html").text
    for text in (own, again):
        assert "Mean average precision (mAP) of the labels, on 20 test pictures." in text
    # The commands name the run differently.
    assert own.partition("How sure the model is On")[2] == again.partition("How sure the model is On")[2]
    table = write_label_table(tmp_path / "data/table.csv", paths, truth)
    output_of(command, *ENGINE, "--on", table, "-o", "page.html", "--lang", "zh")
    assert "100 张图片上各标签的平均精度均值（mAP）" in page_of(tmp_path / "page.html").text
