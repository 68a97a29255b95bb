"""The number of a fold on the command line."""

import pytest

from hubtune.cli.folds import fold_number
from hubtune.errors import UsageError


def test_a_fold_is_a_number_from_1_or_that_of_the_array_job(monkeypatch, capsys):
    assert fold_number("3", 5) == 3
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "4")
    assert fold_number("auto", 5) == 5
    assert "Fold 5 of 5, from JOB_COMPLETION_INDEX" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "6", "-1", "x", "1.0", ""])
def test_what_is_not_a_fold_is_refused(text):
    with pytest.raises(UsageError, match="write a number from 1 to 5, or auto"):
        fold_number(text, 5)
