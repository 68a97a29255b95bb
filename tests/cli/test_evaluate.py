"""``hubtune evaluate --module``: a pretrained module measured on a list of class numbers."""

import pytest
from support.commands import json_of
from support.images import draw_mixed_folder


@pytest.fixture(autouse=True)
def _digits(tmp_path):
    draw_mixed_folder(tmp_path / "pics")


def test_a_module_is_measured_on_a_list_of_class_numbers(tmp_path, run_here):
    arguments = ("pics", "--module", "digitnet", "--json", "--top", 7)
    rows = json_of(run_here("classify", *arguments, cwd=tmp_path))["rows"][:5]
    # Right, second, fifth, sixth and last: two ways to be wrong that top-5 forgives, two that it does not.
    labels = [int(row["top"][place]["label"]) for row, place in zip(rows, (0, 1, 4, 5, 6), strict=True)]
    lines = [f"{row['path']} {label}\n" for row, label in zip(rows, labels, strict=True)]
    (tmp_path / "val_list.txt").write_text("".join(lines) + "pics/bad.png 0\n")
    (tmp_path / "label_list.txt").write_text("other\nnames\n")  # the numbers are the module's own
    done = run_here("evaluate", "--module", "digitnet", "--on", "val_list.txt", "--json", cwd=tmp_path)
    figures = json_of(done)
    assert (figures["accuracy"], figures["top5"]) == (1 / 5, 3 / 5)
    assert (figures["count"], figures["unreadable"]) == (5, 1)
    shown = run_here("evaluate", "--module", "digitnet", "--on", "val_list.txt", cwd=tmp_path)
    assert "20.0 % (1 of 5 right; 95 % interval 3.6–62.4 %; top-5 60.0 %; 1 unreadable)" in shown.stdout


def test_a_module_needs_a_list_and_no_run(tmp_path, run_here):
    for arguments, said in (
        ((), "Name the list to measure on"),
        (("--on", "test"), "no such list file"),
        (("runs/x", "--on", "val_list.txt"), "either the run"),
    ):
        refused = run_here("evaluate", *arguments, "--module", "digitnet", cwd=tmp_path)
        assert refused.returncode == 2, refused.stderr
        assert said in refused.stderr
    (tmp_path / "val_list.txt").write_text("pics/0.png 7\n")
    refused = run_here("evaluate", "--module", "digitnet", "--on", "val_list.txt", cwd=tmp_path)
    assert refused.returncode == 3
