"""A multi-label evaluation is readable with few labels and many, with any names, and without figures."""

import csv

import numpy as np
import pytest
from rich.cells import cell_len
from support.label_answers import draw_label_scores, label_answers_of

from hubtune.cli.label_evaluation_output import (
    describe_probability,
    print_label_evaluation,
    write_label_evaluation_csv,
)
from hubtune.errors import MachineError
from hubtune.evaluation.label_evaluation import evaluate_labels

HEADING = "label pictures predicted precision recall 95 % interval F1 AP threshold"


def _evaluation(count, labels, *, unreadable=(), absent=None, **how):
    scores, truth = draw_label_scores(count, len(labels), **how)
    if absent is not None:
        truth[:, absent] = False
    return evaluate_labels(label_answers_of(scores, truth, unreadable), labels)


@pytest.fixture
def printed(capsys):
    """Returns the lines that are printed for an evaluation."""

    def call(evaluation):
        print_label_evaluation("test_list.txt", evaluation)
        return capsys.readouterr().out.splitlines()

    return call


def test_figures_are_followed_by_a_row_for_each_label(printed):
    lines = printed(_evaluation(60, ["red", "round", "old"], skill=4.0, unreadable=[1]))
    assert lines[0] == (
        "test_list.txt: mAP 93.6 %; all labels right 66.1 % (39 of 59 right; "
        "95 % interval 53.4–76.9 %; 1 unreadable), loss 0.2948"
    )
    assert lines[1] == "Labels:      macro F1 82.5 %; micro F1 82.7 %; 85.3 % of the decisions right"
    assert lines[2] == "Probability: 43.2 % on average; the label is true in 41.2 % of the decisions"
    assert lines[3].startswith("             calibration error ") and lines[3].endswith("177 decisions")
    assert lines[4] == "" and lines[5].split() == HEADING.split() and len(lines) == 10
    assert lines[7].split()[:3] == ["red", "18", "23"] and lines[7].split()[-1] == "0.50"


def test_above_20_labels_only_the_worst_are_shown(printed):
    lines = printed(_evaluation(60, [f"k{number}" for number in range(30)], rarity=3.0, absent=4))
    table = lines[lines.index("") + 3 : -1]
    assert lines[-1] == "These have the lowest F1; 20 more labels: --csv FILE or --json"
    f1 = [float(line.split()[-5]) for line in table]
    assert len(f1) == 10 and f1 == sorted(f1) and not any(line.startswith("k4 ") for line in table)


def test_names_of_any_script_and_length_leave_the_columns_in_place(printed):
    lines = printed(_evaluation(60, ["猫", "狗" * 50, "x\x1b[31m " + "long " * 30]))
    table = lines[lines.index("") + 1 :]
    assert len({cell_len(line) for line in table}) == 1 and cell_len(table[0]) < 125
    assert "\x1b" not in "".join(lines)


def test_what_has_no_figure_is_a_dash_and_an_answer_like_guessing_is_named(printed):
    lines = printed(_evaluation(30, ["a", "b"], rarity=3.0, absent=1))
    assert lines[1].startswith("Careful:     not shown to be better than guessing: always naming the most")
    row = next(line for line in lines if line.startswith("b "))
    assert row.split()[1] == "0" and row.split()[-5:] == ["–", "–", "–", "–", "0.50"]
    none = evaluate_labels(label_answers_of(np.full((3, 1), 0.1), np.zeros((3, 1))), ["a"])
    assert printed(none)[0].startswith("test_list.txt: mAP –; all labels right 100.0 % (3 of 3 right")


def test_no_readable_image_has_one_line_and_broken_scores_no_calibration(printed):
    lines = printed(_evaluation(5, ["a", "b"], unreadable=range(5)))
    assert len(lines) == 1 and lines[0].startswith("test_list.txt: no readable picture")
    broken = evaluate_labels(label_answers_of(np.full((3, 2), np.nan), np.eye(3, 2)), ["a", "b"])
    assert describe_probability(broken) == ["none: the scores are not numbers"]
    assert "Probability: none: the scores are not numbers" in printed(broken)


def test_a_calibration_error_that_chance_does_not_give_is_shown_beside_it():
    scores, truth = draw_label_scores(200, 5)
    found = describe_probability(evaluate_labels(label_answers_of(scores**0.3, truth), "abcde"))
    assert "on 1,000 decisions, and more than" in found[1] and found[1].endswith("in one case of 20")


def test_the_file_of_labels_has_empty_cells_for_what_does_not_exist(tmp_path):
    evaluation = _evaluation(30, ["=a", "b"], absent=1, rarity=5.0)
    write_label_evaluation_csv(tmp_path / "c.csv", evaluation)
    rows = list(csv.DictReader((tmp_path / "c.csv").open(newline="")))
    first = evaluation.per_label[0]
    assert (rows[0]["label"], rows[0]["count"]) == ("'=a", str(first.count))
    assert float(rows[0]["average_precision"]) == first.average_precision
    assert float(rows[0]["low"]) == first.interval[0] and float(rows[0]["roc_auc"]) == first.roc_auc
    assert {rows[1][name] for name in ("recall", "low", "high", "f1", "average_precision", "roc_auc")} == {""}
    assert {row["threshold"] for row in rows} == {"0.5"}
    with pytest.raises(MachineError):
        write_label_evaluation_csv(tmp_path / "gone" / "c.csv", evaluation)
