"""Foreign code is run as given, and whatever it raises becomes one sentence."""

import pytest

from hubtune.errors import ModelError, UsageError
from hubtune.hub.user_code import explain_errors, read_code, run_code


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder / "module.py"


def run(folder, **files):
    return run_code(read_code(write(folder, **files)))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\n\n1 / 0\n", r"failed in line 3 \(ZeroDivisionError: division by zero\): correct it$"),
        ("x = (\n", r"failed in line 1 \(SyntaxError: "),
        ("raise SystemExit('bye')", r"failed in line 1 \(SystemExit: bye\)"),
        ("import nowhere_at_all", r"failed in line 1 \(ModuleNotFoundError: "),
        ("raise ValueError('a\\n  b' + 'x' * 1000)", r"\(ValueError: a bx{285}\): correct it$"),
    ],
)
def test_an_error_is_one_short_sentence_with_its_line(tmp_path, code, message):
    with pytest.raises(ModelError, match=message), explain_errors(tmp_path / "module.py"):
        run(tmp_path, module=code)


def test_the_given_code_runs_and_leaves_nothing_behind_and_hubtunes_own_errors_pass(tmp_path):
    module = run(tmp_path, module="x = __file__")
    assert module.x == str(tmp_path / "module.py")
    assert module.__name__ != run(tmp_path, module="x = 2").__name__
    assert [path.name for path in tmp_path.iterdir()] == ["module.py"]
    for error in (UsageError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), explain_errors(tmp_path / "module.py"):
            raise error


@pytest.mark.parametrize(
    "imports",
    [
        "import layers\nx = layers.x",
        "import json, layers as l\nx = l.x",
        "from layers import x",
        "from .layers import x",
    ],
)
def test_files_of_the_folder_are_imported_as_in_a_script_and_as_in_a_package(tmp_path, imports):
    code = read_code(
        write(tmp_path, module=imports, layers="from .parts import x\n", parts="x = 7\n", other="1 / 0")
    )
    assert sorted(code.files) == ["layers.py", "module.py", "parts.py"]
    (tmp_path / "parts.py").write_text("x = 8\n")  # what was read runs
    assert run_code(code).x == 7


def test_modules_with_files_of_one_name_do_not_meet_and_the_standard_library_goes_first(tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
    text = "import json\n\ndef late():\n    from layers import x\n    return x, hasattr(json, 'loads')\n"
    one, two = (
        run(tmp_path / str(number), module=text, layers=f"x = {number}\n", json="1 / 0\n")
        for number in (1, 2)
    )
    assert (one.late(), two.late()) == ((1, True), (2, True))


def test_code_is_identified_by_all_of_its_files_and_alone_by_its_bytes(tmp_path):
    assert read_code(write(tmp_path, module="x = 1", layers="y = 1")).content == b"x = 1"
    start = write(tmp_path, module="import layers")
    before = read_code(start).content
    (tmp_path / "layers.py").write_text("y = 2")
    assert read_code(start).content != before
    assert read_code(start, ["module.py"]).content == b"import layers"  # layers.py is not one of the names


def test_an_error_names_the_file_in_which_it_is(tmp_path):
    for layers, message in (
        ("\n\n1 / 0\n", r"layers\.py failed in line 3 \(ZeroDivisionError"),
        ("x = (\n", r"layers\.py failed in line 1 \(SyntaxError"),
    ):
        with pytest.raises(ModelError, match=message), explain_errors(tmp_path / "module.py"):
            run(tmp_path, module="import layers\n", layers=layers)
    (tmp_path / "layers.py").unlink()
    missing = pytest.raises(ModelError, match=r"module\.py failed in line 1 \(ModuleNotFoundError")
    with missing, explain_errors(tmp_path / "module.py"):
        run(tmp_path, module="from .layers import x\n")
    with pytest.raises(ModelError, match=r"module\.py cannot be read: No such file"):
        read_code(tmp_path / "gone" / "module.py")
