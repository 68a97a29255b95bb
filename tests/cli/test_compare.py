"""``hubtune compare``: what a person reads of two runs."""

from support.commands import json_of
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train_frozen


def test_runs_on_one_list_are_compared_and_those_of_other_lists_refused(here, run_here, assert_refused):
    data, module = draw_faint_split(here / "data", each=12, validate=3, test=3), smallnet()
    train_frozen(module, data, here / "a", settings={"views": 1}, engine="paddle")
    train_frozen(module, data, here / "b\x1b", settings={"views": 1, "head": "logistic"}, engine="paddle")
    done = run_here("compare", "a", "b\x1b", "--engine", "paddle")
    lines = done.stdout.splitlines()
    assert lines[0] == "data/test_list.txt: 9 pictures" or lines[0].endswith("test_list.txt: 9 pictures")
    assert lines[2].split() == ["run", "accuracy", "95", "%", "interval", "right"]
    assert lines[4].startswith("a  ") and lines[5].startswith("b\\x1b  ")
    assert "no difference that these 9 pictures could show" in lines[7]
    assert "95 % interval" in lines[8] and "only the first right" in lines[9]
    document = json_of(run_here("compare", "a", "b\x1b", "--on", "validate", "--engine", "paddle", "--json"))
    assert [run["run"] for run in document["runs"]] == ["a", "b\x1b"]
    assert document["pairs"][0]["differs"] is False
    done = run_here("compare", "a", "b\x1b", "--on", "validate", "--engine", "paddle")
    assert "Slightly optimistic" in done.stderr
    manifest = here / "a" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"test": "', '"test": "0'))
    assert_refused(
        (("compare", "a", "b\x1b"), 3, "different test lists"),
        ("compare a", 2, "two or more"),
        ("compare", 2, "RUN"),
        ("compare a gone", 4, "There is no run or model gone"),
        ("compare a gone --on data/test_list.txt", 4, "There is no run or model gone"),
        (("compare", "a", "b\x1b", "--on", "gone"), 2, "no such list"),
    )
    named = run_here("compare", "a", "b\x1b", "--on", "data/test_list.txt", "--engine", "paddle")
    assert named.returncode == 0 and "Slightly" not in named.stderr
    assert "training list" not in named.stderr
    named = run_here("compare", "a", "b\x1b", "--on", "data/train_list.txt", "--engine", "paddle")
    assert "18 of these 18 pictures are in the training list of a:" in named.stderr
    assert "in the training list of b\\x1b:" in named.stderr
    document = json_of(run_here("compare", "a", "b\x1b", "--on", "train", "--engine", "paddle", "--json"))
    assert document["remarks"] == []
