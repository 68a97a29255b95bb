"""Foreign code is run as given, and whatever it raises becomes one sentence."""

import pytest

from hubtune.errors import ModelError, UsageError
from hubtune.hub.user_code import describe_exception, explain_errors, run_code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"x = 1\n\n1 / 0\n", r"failed in line 3 \(ZeroDivisionError: division by zero\): correct it$"),
        (b"x = (\n", r"failed in line 1 \(SyntaxError: "),
        (b"raise SystemExit('bye')", r"failed in line 1 \(SystemExit: bye\)"),
        (b"import nowhere_at_all", r"failed in line 1 \(ModuleNotFoundError: "),
    ],
)
def test_an_error_is_one_sentence_with_its_line(tmp_path, code, message):
    with pytest.raises(ModelError, match=message), explain_errors(tmp_path / "module.py"):
        run_code(tmp_path / "module.py", code)


def test_the_given_code_runs_and_leaves_nothing_behind(tmp_path):
    module = run_code(tmp_path / "module.py", b"x = __file__")
    assert module.x == str(tmp_path / "module.py")
    assert module.__name__ != run_code(tmp_path / "module.py", b"x = 2").__name__
    assert not any(tmp_path.iterdir())


def test_hubtunes_own_errors_and_interrupts_pass(tmp_path):
    for error in (UsageError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), explain_errors(tmp_path / "module.py"):
            raise error


def test_a_description_is_short_and_on_one_line():
    assert describe_exception(ValueError("a\n  b")) == "ValueError: a b"
    assert len(describe_exception(ValueError("x" * 1000))) == 300
