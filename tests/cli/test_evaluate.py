"""``hubtune evaluate``: a pretrained module measured on a list of class numbers, and what it writes."""

import json

import pytest
from support.commands import json_of

from hubtune.evaluation.answer_file import read_answers
from hubtune.evaluation.evaluation import evaluate_answers


@pytest.mark.slow
def test_a_module_is_measured_on_a_list_of_class_numbers(mixed, here, run_here, assert_refused):
    arguments = ("pics", "--module", "digitnet", "--json", "--top", 7)
    rows = json_of(run_here("classify", *arguments))["rows"][:5]
    # Right, second, fifth, sixth and last: two ways to be wrong that top-5 forgives, two that it does not.
    labels = [int(row["top"][place]["label"]) for row, place in zip(rows, (0, 1, 4, 5, 6), strict=True)]
    lines = [f"{row['path']} {label}\n" for row, label in zip(rows, labels, strict=True)]
    (here / "val_list.txt").write_text("".join(lines) + "pics/bad.png 0\n")
    (here / "label_list.txt").write_text("other\nnames\n")  # the numbers are the module's own
    evaluate = ("evaluate", "--module", "digitnet", "--on", "val_list.txt")
    figures = json_of(run_here(*evaluate, "--json"))
    assert (figures["accuracy"], figures["top5"]) == (1 / 5, 3 / 5)
    assert (figures["count"], figures["unreadable"]) == (5, 1)
    shown = "20.0 % (1 of 5 right; 95 % interval 3.6–62.4 %; top-5 60.0 %; 1 unreadable)"
    assert shown in run_here(*evaluate).stdout
    assert (figures["top_k"]["1"], figures["top_k"]["5"]) == (1 / 5, 3 / 5)
    assert len(figures["per_class"]) == len(figures["confusion"]) == 7
    files = ("--csv", "classes.csv", "--predictions", "answers.csv", "--min-accuracy", 0.21)
    done = run_here(*evaluate, *files)
    assert done.returncode == 8 and "is 20.0 %, below the 21.0 % of --min-accuracy" in done.stderr
    assert shown in done.stdout
    assert len((here / "classes.csv").read_text().splitlines()) == 8
    model = [str(number) for number in range(7)]
    answers = read_answers(here / "answers.csv", model)
    assert evaluate_answers(answers, model).accuracy == 1 / 5 and answers.unreadable == 1
    assert run_here(*evaluate, "--min-accuracy", 0.2).returncode == 0
    assert run_here(*evaluate, "--min-accuracy", "21%").returncode == 8
    document = json.loads(run_here(*evaluate, "--min-accuracy", 0.3, "--json").stdout)  # and nothing else
    assert document["accuracy"] == 1 / 5
    for row, label in zip(rows, labels, strict=True):
        (here / "folders" / str(label)).mkdir(parents=True, exist_ok=True)
        (here / "folders" / str(label) / row["path"][-5:]).write_bytes((here / row["path"]).read_bytes())
    assert shown[:16] in run_here("evaluate", "--module", "digitnet", "--on", "folders").stdout
    (here / "seven.txt").write_text("pics/0.png 7\n")
    (here / "gone.txt").write_text("gone/0.png 6\ngone/1.png 6\n")
    assert_refused(
        ("evaluate --module digitnet", 2, "Name the list to measure on"),
        ("evaluate --module digitnet --on test", 2, "no such list file"),
        ("evaluate runs/x --on val_list.txt --module digitnet", 2, "either the run"),
        ("evaluate --module digitnet --on seven.txt", 3, "seven.txt"),
        ("evaluate --module digitnet --on gone.txt", 3, "None of the 2 files"),
        ("evaluate --module digitnet --on val_list.txt --csv pics", 2, "--csv pics is a folder"),
        ("evaluate --module digitnet --on val_list.txt --predictions no/p.csv", 2, "no folder no"),
        ("evaluate --module digitnet --on val_list.txt --min-accuracy 80", 2, "min-accuracy"),
    )
