"""Tables, figures and JSON as commands print them."""

import json
import math
import os

import pytest

from hubtune.cli.console import figures, native_output_on_stderr, print_json, print_table, shown
from hubtune.evaluation.metrics import Metrics

LINES = [["class", "pictures", ""], ["猫", "1,200", "x"], ["dog", "8", ""]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["class  pictures", "─────  ────────  ─", "猫        1,200  x", "dog           8"]),
        ({"rule": False}, ["class  pictures", "猫        1,200  x", "dog           8"]),
        (
            {"sides": "><<", "total": True},
            ["class  pictures", "─────  ────────  ─", "   猫  1,200     x", "─────  ────────  ─", "  dog  8"],
        ),
    ],
)
def test_columns_are_aligned_by_the_width_of_characters(capsys, options, expected):
    print_table(LINES, **options)
    assert capsys.readouterr().out.splitlines() == expected


def test_what_a_library_in_another_language_prints_is_not_part_of_the_result(capfd):
    with native_output_on_stderr():
        os.write(1, b"a note\n")
    print_json({"right": 1})
    assert capfd.readouterr() == ('{"schema_version": 1, "right": 1}\n', "a note\n")


def test_figures_and_json_are_one_line_and_names_cannot_control_the_terminal(capsys):
    metrics = Metrics(0.8083, 0.5, 120, (0.729, 0.868), unreadable=2, top5=0.991)
    assert figures(metrics) == (
        "80.8 % (97 of 120 right; 95 % interval 72.9–86.8 %; top-5 99.1 %; 2 unreadable)"
    )
    assert figures(Metrics(math.nan, math.nan, 0, (0.0, 1.0))) == "no readable picture"
    assert shown("a\x1b[2J\n") == "a\\x1b[2J\\n"
    print_json({"a": [1]})
    assert capsys.readouterr().out == json.dumps({"schema_version": 1, "a": [1]}) + "\n"
