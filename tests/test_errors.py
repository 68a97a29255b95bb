"""Each error has its exit code, and near words are suggested."""

import pytest

from hubtune import errors


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("HubtuneError", 1), ("UsageError", 2), ("DataError", 3), ("ModelError", 4), ("MachineError", 5),
        ("NumericError", 6), ("LockedError", 7), ("CheckFailedError", 8),
    ],
)  # fmt: skip
def test_exit_codes_stay(name, code):
    assert getattr(errors, name).exit_code == code


def test_a_recipe_error_joins_its_problems():
    error = errors.RecipeError(["one", "two"])
    assert (str(error), error.exit_code) == ("one\ntwo", 2)


def test_the_nearest_word_is_suggested():
    assert errors.suggest("Epoch", ["epochs", "seed"]) == " Did you mean 'epochs'?"
    assert errors.suggest("zzz", ["epochs", "seed"]) == ""
