"""Foreign code is run as given, and whatever it raises becomes one sentence."""

import pytest

from hubtune.errors import ModelError, UsageError
from hubtune.hub.user_code import explain_errors, run_code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"x = 1\n\n1 / 0\n", r"failed in line 3 \(ZeroDivisionError: division by zero\): correct it$"),
        (b"x = (\n", r"failed in line 1 \(SyntaxError: "),
        (b"raise SystemExit('bye')", r"failed in line 1 \(SystemExit: bye\)"),
        (b"import nowhere_at_all", r"failed in line 1 \(ModuleNotFoundError: "),
        (b"raise ValueError('a\\n  b' + 'x' * 1000)", r"\(ValueError: a bx{285}\): correct it$"),
    ],
)
def test_an_error_is_one_short_sentence_with_its_line(tmp_path, code, message):
    with pytest.raises(ModelError, match=message), explain_errors(tmp_path / "module.py"):
        run_code(tmp_path / "module.py", code)


def test_the_given_code_runs_and_leaves_nothing_behind_and_hubtunes_own_errors_pass(tmp_path):
    module = run_code(tmp_path / "module.py", b"x = __file__")
    assert module.x == str(tmp_path / "module.py")
    assert module.__name__ != run_code(tmp_path / "module.py", b"x = 2").__name__
    assert not any(tmp_path.iterdir())
    for error in (UsageError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), explain_errors(tmp_path / "module.py"):
            raise error
