"""Each error has its exit code, and near words are suggested."""

from hubtune import errors

CODES = {
    "HubtuneError": 1, "UsageError": 2, "RecipeError": 2, "DataError": 3, "ModelError": 4,
    "MachineError": 5, "NumericError": 6, "LockedError": 7, "CheckFailedError": 8,
}  # fmt: skip


def test_exit_codes_stay_and_the_nearest_word_is_suggested():
    assert {name: getattr(errors, name).exit_code for name in CODES} == CODES
    assert str(errors.RecipeError(["one", "two"])) == "one\ntwo"
    assert "KEY" not in str(errors.RecipeError(["s3://u:KEY@b"])) + str(errors.DataError("http://h/?a=KEY"))
    assert errors.suggest("Epoch", ["epochs", "seed"]) == " Did you mean 'epochs'?"
    assert errors.suggest("zzz", ["epochs", "seed"]) == ""
