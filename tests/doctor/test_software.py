"""Broken installations, by what their records and imports say."""

from pathlib import Path

import pytest

from hubtune.doctor import packages, software
from hubtune.doctor.check import BAD, GOOD, NOTE
from hubtune.doctor.import_probe import FONT_MODULE, ImportResult
from hubtune.doctor.packages import OPENVINO, PILLOW, REQUIRED
from hubtune.doctor.shadows import shadow_cure
from hubtune.doctor.software import PythonFacts

WELL = {package.distribution: package.minimum for package in (*REQUIRED, OPENVINO)}
IMPORTS = {package.tried or package.module: ImportResult() for package in (*REQUIRED, OPENVINO)}
FORMATS = {"jpg": True, "webp": True, "avif": True, "heic": True}


def _imports(**results):
    return {**IMPORTS, PILLOW.tried: ImportResult(facts=FORMATS), **results}


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({}, GOOD, "Python 3.12.1, 64-bit, in the environment /venv"),
        ({"version": (3, 10, 2)}, BAD, "hubtune needs Python 3.11 to 3.13"),
        ({"version": (3, 14, 0)}, BAD, "hubtune needs Python 3.11 to 3.13"),
        ({"bits": 32}, BAD, "Paddle needs a 64-bit Python"),
        ({"implementation": "PyPy"}, BAD, "Paddle needs CPython"),
        ({"is_musl": True}, BAD, "Alpine"),
        ({"is_isolated": False}, NOTE, "not a virtual environment: other programs share"),
        ({"is_isolated": False, "is_managed": True}, NOTE, "pip refuses to install into it"),
    ],
)
def test_python(facts, state, words):
    check = software.check_python(PythonFacts(**{"version": (3, 12, 1), "prefix": "/venv", **facts}))
    assert check.state == state and words in check.finding and bool(check.cure) == (state != GOOD)


def test_the_running_python_is_described():
    assert PythonFacts.of_this_process().bits in (32, 64)


def test_hubtune_that_is_not_installed(tmp_path):
    assert software.check_hubtune({"hubtune": "0.1.0"}, tmp_path / "hubtune").state == GOOD
    (tmp_path / "pyproject.toml").touch()
    check = software.check_hubtune({}, tmp_path / "hubtune")
    assert check.state == NOTE and check.cure.endswith(f"pip install --upgrade {tmp_path}")
    assert "in a clone" in software.check_hubtune({}, Path("/elsewhere/hubtune")).cure


def test_packages_that_are_well_share_a_line():
    (check,) = software.check_packages(WELL, _imports())
    assert check.state == GOOD and check.finding.startswith(f"{len(REQUIRED) - 1} required packages: present")


def test_missing_old_and_broken_packages_have_their_cures():
    versions = {**WELL, "scipy": "1.10.1", "rich": None, "safetensors": "0.5"}
    del versions["rich"]
    missing = ImportResult("No module named 'rich'", missing="rich", fault="rich")
    broken = ImportResult("undefined symbol: x", fault="safetensors")
    lacking = ImportResult("No module named 'dateutil'", missing="dateutil", fault="matplotlib")
    imports = _imports(rich=missing, safetensors=broken, **{"matplotlib.ft2font": lacking})
    checks = {check.name: check for check in software.check_packages(versions, imports)}
    assert {name: check.state for name, check in checks.items()} == {
        **dict.fromkeys(("matplotlib", "rich", "safetensors", "scipy"), BAD),
        "packages": GOOD,
    }
    assert checks["rich"].finding == "rich is missing"
    assert checks["rich"].cure.endswith('pip install --upgrade "rich>=13.7"')
    assert checks["scipy"].finding == "SciPy 1.10.1 is older than 1.11, which hubtune needs"
    assert checks["scipy"].cure.endswith('pip install --upgrade "scipy>=1.11"')
    assert checks["safetensors"].finding == "safetensors 0.5 cannot be loaded: undefined symbol: x"
    assert checks["safetensors"].cure.endswith("--force-reinstall --no-deps safetensors")
    assert checks["matplotlib"].cure.endswith("pip install --upgrade matplotlib")


def test_an_import_that_does_not_end_is_a_note_with_the_command_that_imports_it():
    late = ImportResult("its import takes longer than 20 seconds", is_late=True)
    checks = {check.name: check for check in software.check_packages(WELL, _imports(rich=late))}
    assert checks["rich"].state == NOTE and checks["rich"].cure.endswith(' -c "import rich"')
    assert "takes longer than 20 seconds" in checks["rich"].finding


def test_a_package_that_a_file_hides_is_named_with_the_file(monkeypatch):
    hidden = lambda package: "/x/numpy.py" if package.module == "numpy" else None  # noqa: E731
    monkeypatch.setattr(software, "shadow_of", hidden)
    monkeypatch.setattr(packages, "shadow_of", hidden)
    broken = ImportResult("module 'numpy' has no attribute 'dtype'")
    checks = software.check_packages(WELL, _imports(**{"scipy.linalg": broken}))
    assert checks[0].name == "numpy" and checks[0].state == BAD
    assert checks[0].finding == "NumPy is taken from /x/numpy.py, which comes before the one that is meant"
    assert {check.cure for check in checks if check.state == BAD} == {shadow_cure("/x/numpy.py")}


def test_numpy_comes_first_and_is_blamed_for_what_needs_it():
    versions = {name: version for name, version in WELL.items() if name != "numpy"}
    gone = ImportResult("No module named 'numpy'", missing="numpy", fault="numpy")
    imports = _imports(numpy=gone, **{"scipy.linalg": gone, "matplotlib.ft2font": gone})
    first, *others = software.check_packages(versions, imports)
    assert first.finding == "NumPy is missing"
    assert "SciPy cannot be loaded, because NumPy is missing" in {check.finding for check in others}
    assert {check.cure for check in others if check.state == BAD} == {first.cure}


def test_a_package_that_was_not_reached_is_a_note():
    imports = {name: result for name, result in _imports().items() if name != "sklearn"}
    first, _ = software.check_packages(WELL, imports)
    assert (first.state, first.finding) == (
        NOTE,
        "scikit-learn could not be checked: no answer in time",
    )


@pytest.mark.parametrize(
    ("version", "result", "state", "words", "cure"),
    [
        ("13.0", ImportResult(facts=FORMATS), GOOD, "reads JPEG, PNG, WebP, AVIF and HEIC", ""),
        ("13.0", ImportResult(facts={**FORMATS, "heic": False}), NOTE, "HEIC", 'install "pillow-heif>=0.20"'),
        ("13.0", ImportResult(facts={**FORMATS, "webp": False}), NOTE, "does not read WEBP", "pillow"),
        (
            None,
            ImportResult("No module", missing="PIL", fault="PIL"),
            BAD,
            "Pillow is missing",
            '"pillow>=11.3"',
        ),
        ("9.5", ImportResult(facts=FORMATS), BAD, "Pillow 9.5 is older than 11.3", '"pillow>=11.3"'),
        (
            *("13.0", ImportResult("cannot import name '_imaging' from 'PIL'", fault="PIL"), BAD),
            *("Pillow 13.0 cannot be loaded: cannot import name '_imaging'", "--no-deps pillow"),
        ),
    ],
)
def test_pillow(version, result, state, words, cure):
    versions = {**WELL, "pillow": version} if version else {}
    check = software.check_pillow(versions, _imports(**{PILLOW.tried: result}))
    assert check.state == state and words in check.finding and check.cure.endswith(cure)


@pytest.mark.parametrize(
    ("version", "result", "state", "words"),
    [
        ("2025.1.0", ImportResult(), GOOD, "runs networks on the CPU"),
        (
            None,
            ImportResult("No module", missing="openvino"),
            NOTE,
            "Paddle runs networks on the CPU, several",
        ),
        ("2024.6.0", ImportResult(), BAD, "older than 2025.0"),
        ("2025.1.0", ImportResult("libtbb.so.12: cannot open shared object file"), BAD, "libtbb.so.12"),
    ],
)
def test_openvino(version, result, state, words):
    versions = {"openvino": version} if version else {}
    check = software.check_openvino(versions, _imports(openvino=result))
    assert check.state == state and words in check.finding and bool(check.cure) == (state != GOOD)


def test_extras_and_fonts():
    check = software.check_extras({"optuna": "4.9"})
    assert check.state == GOOD and "installed: tune; not installed: heic," in check.finding
    assert "none" in software.check_extras({}).finding
    fonts = software.check_fonts
    assert fonts({FONT_MODULE: ImportResult(facts={"chinese": True})}).state == GOOD
    lacking = fonts({FONT_MODULE: ImportResult(facts={"chinese": False})})
    assert lacking.state == NOTE and lacking.cure
    assert "in time" in fonts({}).finding
    assert "Pillow cannot be loaded" in fonts({FONT_MODULE: ImportResult("x", fault="PIL")}).finding
