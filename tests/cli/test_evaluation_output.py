"""An evaluation is readable with few classes and many, with any names, and where figures are missing."""

import csv

import numpy as np
import pytest
from rich.cells import cell_len
from support.answers import answers_of, draw_scores

from hubtune.cli.evaluation_output import describe_confidence, print_evaluation, write_classes
from hubtune.errors import MachineError
from hubtune.evaluation.evaluation import evaluate_answers


def _evaluation(count, labels, *, truth=None, skill=3.0, scale=1.0, unreadable=()):
    scores, drawn = draw_scores(count, len(labels), skill=skill, scale=scale)
    return evaluate_answers(answers_of(scores, truth or drawn, unreadable), labels)


@pytest.fixture
def printed(capsys):
    """Returns the lines that are printed for an evaluation."""

    def call(evaluation):
        print_evaluation("test_list.txt", evaluation)
        return capsys.readouterr().out.splitlines()

    return call


def test_few_classes_have_a_table_and_the_confusion_matrix(printed):
    evaluation = _evaluation(60, ["a", "b", "c"])
    lines = printed(evaluation)
    assert lines[0].startswith("test_list.txt: 76.7 % (46 of 60 right; 95 % interval 64.6–85.6 %), loss 0.49")
    assert lines[1] == "Per class:   balanced accuracy 75.8 %; macro F1 76.0 %"
    assert lines[2] == "Confidence:  80.3 % on average, within the interval of the accuracy"
    assert (
        lines[3] == "             calibration error 3.6 %; a perfect model shows about 5.9 % on 60 pictures"
    )
    assert lines[5].split() == "class pictures precision recall 95 % interval F1 most often taken for".split()
    assert lines[7].split() == "a 18 73.3 % 61.1 % 39–80 % 66.7 % c (4)".split()
    matrix = [line.split()[2:] for line in lines[-3:]]
    assert matrix == [["11", "3", "4"], ["1", "16", "3"], ["3", "·", "19"]]


def test_more_classes_have_pairs_and_above_20_only_the_worst(printed):
    lines = printed(_evaluation(200, [f"k{number}" for number in range(15)]))
    assert "top-3 89.0 %" in lines[1] and "top-5" in lines[0]
    assert "  k1 taken for k13: 2 pictures" in lines and not any("Confusion" in line for line in lines)
    lines = printed(_evaluation(300, [f"k{number}" for number in range(300)]))
    table = lines[7 : lines.index("These have the lowest recall; 290 more classes: --csv FILE or --json")]
    assert len(table) == 10 and all(" 0.0 %" in line for line in table)


def test_names_of_any_script_and_length_leave_the_columns_in_place(printed):
    lines = printed(_evaluation(60, ["猫", "狗" * 50, "x\x1b[31m " + "long " * 30]))
    table = lines[5:10]
    place = lines[6].index("  ") + 2  # the line of dashes
    assert all(cell_len(line[:40]) >= 30 for line in table[1:])
    assert {cell_len(line.partition(" %")[0]) for line in table[2:]} == {place + len("pictures") + 2 + 9 - 2}
    assert "\x1b" not in "".join(lines) and max(map(cell_len, lines)) < 125


def test_what_has_no_figure_is_a_dash(printed):
    lines = printed(_evaluation(30, ["a", "b", "c"], truth=[0] * 30))
    assert lines[1].startswith("Careful:     not shown to be better than guessing")
    row = next(line for line in lines if line.startswith("b "))
    assert row.split() == ["b", "0", "–", "–", "–", "–"]


def test_a_single_class_and_no_readable_image_have_one_or_two_lines(printed):
    assert len(printed(_evaluation(5, ["only"]))) == 2
    lines = printed(_evaluation(5, ["a", "b"], unreadable=range(5)))
    assert lines[0].startswith("test_list.txt: no readable picture")


def test_a_class_that_attracts_the_others_has_a_sentence(printed):
    truth = [0] * 20 + [1] * 20 + [2] * 20
    predicted = [0] * 20 + [0] * 9 + [1] * 11 + [0] * 8 + [2] * 12
    evaluation = evaluate_answers(answers_of(np.eye(3)[predicted], truth), ["a", "b", "c"])
    sentence = "a attracts the others: 17 of the 17 wrong answers for their pictures name it"
    assert sentence in printed(evaluation)


def test_confidence_is_compared_with_accuracy_and_its_error_with_chance():
    place, error = describe_confidence(_evaluation(200, ["a", "b", "c"], scale=5))
    assert place.endswith("above the interval of the accuracy: too confident")
    assert "a perfect model shows about" in error and "in one case of 20" in error
    assert "too cautious" in describe_confidence(_evaluation(200, ["a", "b", "c"], scale=0.2))[0]
    nothing = evaluate_answers(answers_of(np.full((3, 2), np.nan), [0, 1, 1]), ["a", "b"])
    assert describe_confidence(nothing) == ["none: the scores are not numbers"]


def test_the_file_of_classes_has_empty_cells_for_what_does_not_exist(tmp_path):
    write_classes(tmp_path / "c.csv", _evaluation(30, ["=a", "b", "c"], truth=[0] * 30))
    rows = list(csv.DictReader((tmp_path / "c.csv").open(newline="")))
    assert (rows[0]["label"], rows[0]["count"], rows[0]["taken_for"]) == ("'=a", "30", "c")
    assert float(rows[0]["recall"]) == 8 / 30 and float(rows[0]["low"]) < 8 / 30
    assert {rows[1][name] for name in ("precision", "recall", "low", "high", "f1", "taken_for")} == {""}
    with pytest.raises(MachineError):
        write_classes(tmp_path / "gone" / "c.csv", _evaluation(3, ["a", "b"]))
