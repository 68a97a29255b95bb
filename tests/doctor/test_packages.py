"""The table of packages agrees with pyproject.toml, and errors of imports become a sentence."""

import sys
import tomllib
from importlib.metadata import distributions

import pytest
from support.scripts import ROOT

from hubtune.doctor.packages import (
    OPENVINO,
    PADDLE,
    PILLOW,
    REQUIRED,
    cure_of_import,
    import_problem,
    installed_versions,
    is_older,
    missing_extras,
    owner_of,
    reinstall_cure,
    shadow_of,
    shadow_problem,
)
from hubtune.errors import DataError
from hubtune.extras import PADDLE_NEEDS


def test_the_tables_agree_with_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [f"{package.distribution}>={package.minimum}" for package in REQUIRED] == project["dependencies"]
    extras = project["optional-dependencies"]
    cpu = [f"{package.distribution}>={package.minimum}" for package in (PADDLE, OPENVINO)]
    assert extras["cpu"] == [*cpu, PADDLE_NEEDS]


@pytest.mark.parametrize(
    ("version", "minimum", "older"),
    [
        *(("11.2.1", "11.3", True), ("11.3", "11.3", False), ("11.3.0", "11.3", False)),
        *(("9.5", "11.3", True), ("2025.0.0", "2025.0", False), ("3.1.0rc1", "3.1", False)),
        *(("3.10", "3.9", False), ("unknown", "1", True)),
    ],
)
def test_versions_are_compared_by_numbers(version, minimum, older):
    assert is_older(version, minimum) is older


def _write_record(folder, name, version):
    record = folder / f"{name}-{version}.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_installed_versions_are_those_of_the_records_and_damaged_ones_count_as_none(tmp_path):
    _write_record(tmp_path, "Scikit_Learn", "1.5")
    (tmp_path / "broken-1.0.dist-info").mkdir()
    assert installed_versions(distributions(path=[str(tmp_path)])) == {"scikit-learn": "1.5"}
    assert missing_extras({"optuna": "4.9", "psycopg": "3.1"})["tune-mysql"] == ["pymysql"]
    assert not {"tune", "tune-postgresql"} & set(missing_extras({"optuna": "4.9", "psycopg": "3.1"}))


def _error(monkeypatch, folder, source, *, module="PIL", statement="import PIL"):
    """The error of an import of a package with this source."""
    folder = folder / "site-packages"
    (folder / module).mkdir(parents=True)
    (folder / module / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(BaseException) as raised:
        exec(statement, {})  # noqa: S102
    return raised.value


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ImportError('libjpeg.so.62: cannot open shared object file')", "libjpeg.so.62: cannot open"),
        ("from PIL import _imaging", "cannot import name '_imaging'"),
        ("import PIL._imaging", "No module named 'PIL._imaging'"),
        ("x = (", "'(' was never closed"),
        ("raise ValueError('numpy.dtype size changed')", "numpy.dtype size changed"),
        ("None.x", "'NoneType' object has no attribute 'x'"),
        ("raise OSError('libgomp.so.1: cannot open')", "libgomp.so.1"),
        ("raise ImportError('A page\\nof advice') from ValueError('the reason')", "the reason"),
    ],
)
def test_a_broken_package_is_named_with_the_reason_and_the_cure(source, reason, tmp_path, monkeypatch):
    problem = import_problem(_error(monkeypatch, tmp_path, source))
    assert problem.startswith("Pillow cannot be loaded (") and reason in problem
    assert problem.endswith("pip install --upgrade --force-reinstall --no-deps pillow")


def test_what_a_package_itself_lacks_is_installed(tmp_path, monkeypatch):
    problem = import_problem(_error(monkeypatch, tmp_path, "import not_there_at_all"))
    assert problem.startswith("Pillow cannot be loaded (No module named 'not_there_at_all')")
    assert problem.endswith("pip install --upgrade pillow")
    # Paddle does not say that it needs it.
    problem = import_problem(
        _error(monkeypatch, tmp_path / "x", "raise ModuleNotFoundError(name='setuptools')")
    )
    assert problem.endswith("pip install setuptools")


def test_a_missing_package_is_named_with_the_cure():
    problem = import_problem(ModuleNotFoundError("No module named 'sklearn'", name="sklearn"))
    assert problem.startswith("scikit-learn is missing: ")
    assert problem.endswith("-m pip install --upgrade scikit-learn")


def test_other_errors_stay_as_they_are(tmp_path, monkeypatch):
    full = _error(monkeypatch, tmp_path, "raise OSError(28, 'No space left on device')")
    others = (full, ValueError("x"), DataError("x"), KeyboardInterrupt(), MemoryError())
    assert not any(import_problem(error) for error in (*others, ModuleNotFoundError("x", name="other")))


def test_a_file_that_is_imported_in_place_of_a_package_is_named(tmp_path, monkeypatch):
    assert not any(shadow_of(package) for package in (*REQUIRED, PADDLE, OPENVINO))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "numpy.py").touch()
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {package.module: path for package in REQUIRED if (path := shadow_of(package))}
    assert found == {"numpy": str(tmp_path / "numpy.py"), "yaml": str(tmp_path / "yaml")}
    # Whatever fails because of it.
    error = _error(monkeypatch, tmp_path / "x", "None.x")
    assert import_problem(error).startswith(
        f"NumPy is taken from {tmp_path / 'numpy.py'}, which comes before"
    )
    assert cure_of_import(PILLOW, error).startswith(("mv ", "ren "))
    assert shadow_problem() == import_problem(error)


def test_a_broken_package_that_another_one_needs_is_installed_again(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    (site / "inner_core").mkdir(parents=True)
    (site / "inner_core" / "__init__.py").write_text("def (")
    _write_record(site, "inner-core", "2.5")
    (site / "inner-core-2.5.dist-info" / "RECORD").write_text("inner_core/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(site))
    error = _error(monkeypatch, tmp_path, "import inner_core")
    assert owner_of(error) == "inner-core==2.5"
    assert cure_of_import(PILLOW, error).endswith(" install --force-reinstall --no-deps inner-core==2.5")
    library = ImportError("file too short", name="inner_core._x", path=str(site / "inner_core" / "_x.so"))
    assert owner_of(library) == "inner-core==2.5"
    own = ImportError("file too short", name="PIL._imaging", path="/lib/site-packages/PIL/_imaging.so")
    assert (owner_of(own), owner_of(ValueError("x")), owner_of(ImportError("x"))) == ("", "", "")
    assert owner_of(ImportError("x", path="/lib/site-packages/not_installed_at_all.so")) == ""


def test_a_variable_that_breaks_a_package_is_unset(tmp_path, monkeypatch):
    matplotlib = next(package for package in REQUIRED if package.module == "matplotlib")
    reason = "Key backend: 'x' is not a valid value for backend"
    assert "reinstall" in reinstall_cure(matplotlib, "", reason)
    monkeypatch.setenv("MPLBACKEND", "x")
    assert reinstall_cure(matplotlib, "", reason) in ("unset MPLBACKEND", "set MPLBACKEND=")
    assert "reinstall" in reinstall_cure(matplotlib, "", "libpng.so: cannot open")
    assert "reinstall" in reinstall_cure(PILLOW, "", reason)
