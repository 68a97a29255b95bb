"""``hubtune evaluate --module``: a pretrained module measured on a list of class numbers."""

from support.commands import json_of


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
    )
