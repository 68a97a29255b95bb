"""``hubtune doctor`` on a machine that is well, and in environments with broken packages."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from support.environments import python_like_this
from support.scripts import ROOT
from support.waiting import HANG_SECONDS

import hubtune
from hubtune.errors import CheckFailedError, MachineError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="environments are made of links")


def _run(python, *arguments, folder, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [python, "-m", "hubtune", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def _checks(done):
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_the_result_as_text_and_json_and_in_a_bundle(tmp_path):
    done = _run(sys.executable, "doctor", "--bundle", "x.zip", folder=tmp_path, MY_TOKEN="canary-word")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Software\n  good  Python 3.") and "0 bad, " in done.stdout
    assert done.stderr == "Written to x.zip: look through it before you pass it on\n"
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert "doctor.json" in archive.namelist()
    start = time.monotonic()
    done = _run(sys.executable, "doctor", "--json", folder=tmp_path, HUBTUNE_CACHE_SIZE="x")
    seconds = time.monotonic() - start
    assert done.returncode == CheckFailedError.exit_code and done.stderr == ""
    assert json.loads(done.stdout)["schema_version"] == 1
    checks = _checks(done)
    assert checks["variables"]["state"] == "bad" and checks["paddle"]["state"] == "good"
    assert set(checks["paddle"]) == {"name", "group", "state", "finding", "cure"}
    assert seconds < 30  # 2 on a machine with nothing else to do


def test_wrong_arguments_are_refused(tmp_path, run_here):
    for arguments, code, words in (
        (("doctor", "runs/x"), 2, "name a run, a recipe or pictures"),
        (("doctor", "--bundle", str(tmp_path / "gone" / "x.zip")), 2, "There is no folder"),
    ):
        done = run_here(*arguments)
        assert done.returncode == code and words in done.stderr


@pytest.mark.slow
def test_the_doctor_imports_nothing_heavy():
    program = (
        "import sys\n"
        "heavy = 'paddle numpy scipy PIL pydantic yaml rich filelock fsspec openvino matplotlib'.split()\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"
        "sys.argv = ['hubtune', 'doctor', '--json']\n"
        "from hubtune.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "could not be checked: ImportError" not in done.stdout


COMMANDS = ("scan pics", "split pics", "finetune pics", "predict a.jpg", "hub list", "serve", "runs")


def _assert_explained(python, folder, sentence):
    for command in COMMANDS:
        done = _run(python, *command.split(), folder=folder)
        assert (done.returncode, done.stdout) == (MachineError.exit_code, ""), (command, done.stderr)
        lines = [line for line in done.stderr.splitlines() if "Loading" not in line]
        assert len(lines) == 1 and lines[0].startswith(f"Error: {sentence}"), (command, done.stderr)
    program = "import hubtune\ntry: hubtune.scan\nexcept hubtune.MachineError as error: print(error)"
    done = subprocess.run(
        [python, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(sentence)


@pytest.mark.slow
def test_an_environment_without_pillow(tmp_path):
    python, _ = python_like_this(tmp_path / "venv", without=("PIL", "pillow"))
    _assert_explained(python, tmp_path, "Pillow is missing: ")
    done = _run(python, "doctor", "--json", folder=tmp_path)
    assert done.returncode == CheckFailedError.exit_code, done.stderr
    checks = _checks(done)
    assert checks["pillow"]["finding"] == "Pillow is missing"
    assert checks["pillow"]["cure"] == f'{python} -m pip install --upgrade "pillow>=11.3"'
    assert checks["paddle"]["finding"].endswith("because Pillow is missing")
    assert checks["packages"]["finding"].startswith("11 of the required packages")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs libraries of Linux")
@pytest.mark.parametrize("cut", ["_imaging.*.so", "Image.py"])
def test_an_environment_with_a_pillow_that_is_cut_off(cut, tmp_path):
    python, own = python_like_this(tmp_path / "venv", without=("PIL",))
    shutil.copytree(Path(sysconfig.get_path("purelib"), "PIL"), own / "PIL")
    file = next((own / "PIL").glob(cut))
    file.write_bytes(file.read_bytes()[:50_000])
    _assert_explained(python, tmp_path, "Pillow cannot be loaded (")
    done = _run(python, "doctor", "--json", folder=tmp_path)
    assert done.returncode == CheckFailedError.exit_code, done.stderr
    pillow = _checks(done)["pillow"]
    assert pillow["finding"].startswith(f"Pillow {version('pillow')} cannot be loaded: ")
    assert pillow["cure"].endswith("--force-reinstall --no-deps pillow")


@pytest.mark.slow
def test_an_environment_without_any_package(tmp_path):
    # click is what the command line itself is made of.
    modules = (
        "PIL numpy scipy pydantic rich yaml filelock openvino paddle jinja2 matplotlib sklearn safetensors"
    )
    records = "pillow pyyaml PyYAML paddlepaddle Jinja2 scikit_learn threadpoolctl"
    without = (*modules.split(), *records.split())
    python, _ = python_like_this(tmp_path / "venv", without=without)
    done = _run(python, "doctor", "--json", folder=tmp_path)
    assert done.returncode == CheckFailedError.exit_code, done.stderr
    checks = _checks(done)
    missing = [name for name, check in checks.items() if check["finding"].endswith(" is missing")]
    assert len(missing) == 12 and "numpy" in missing
    assert checks["paddle"]["finding"].startswith("PaddlePaddle is not installed")
    python, _ = python_like_this(tmp_path / "bare", without=("click",))
    done = _run(python, "doctor", folder=tmp_path)
    assert (done.returncode, done.stdout) == (MachineError.exit_code, "")
    assert done.stderr.startswith("Error: click is missing: ")


def test_a_broken_package_in_a_script_raises_the_sentence(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    (site / "PIL").mkdir(parents=True)
    (site / "PIL" / "__init__.py").write_text("raise ImportError('damaged')")
    program = "import hubtune\ntry: hubtune.split\nexcept hubtune.MachineError as error: print(error)"
    paths = os.pathsep.join([str(site), str(Path(hubtune.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths}
    output = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    assert output.startswith("Pillow cannot be loaded (damaged): ")


# Name of the check → what is wrong: a line of a shell before it, and the state.
BROKEN = {
    "threads": ("export OMP_NUM_THREADS=0", "note"),
    "gpu": ("export CUDA_VISIBLE_DEVICES=0", "note"),
    "network": ("export http_proxy=:::/x", "bad"),
    "variables": ("export HUBTUNE_CACHE_SIZE=ten", "bad"),
    "text": ("export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0", "bad"),
    "text ": ("export PYTHONIOENCODING=ascii", "note"),
    "cache": ("export HUBTUNE_HOME=/proc/no-folder", "bad"),
    "cache ": ("export HUBTUNE_HOME='~nobody-of-this-name/x'", "bad"),
    "cache  ": ("export HUBTUNE_HOME=/etc/hosts", "bad"),
    "cache   ": ("unset HUBTUNE_HOME; export HUBTUNE_HOME=relative", "note"),
    "matplotlib": ("export MPLBACKEND=nonsense", "bad"),
    "pip": ("export PIP_CONFIG_FILE=/etc/passwd", "bad"),
    "temporary-folder": ("export TMPDIR=/no-folder", "note"),
    "open-files": ("ulimit -Sn 12", "bad"),
    "numpy": ("touch numpy.py", "bad"),
    "working-folder": ('mkdir gone; cd gone; rmdir "$PWD"', "bad"),
    "mkl": ("export MKL_DEBUG_CPU_TYPE=x", "note"),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="breaks what Linux has")
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_has_a_sentence_and_a_cure_that_works(name, tmp_path):
    breaking, state = BROKEN[name]
    doctor = f"'{sys.executable}' -m hubtune doctor --json"
    if name == "gpu" and shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU")

    def examine(line):
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, CheckFailedError.exit_code), done.stderr
        found = {}
        for check in json.loads(done.stdout)["checks"]:
            found.setdefault(check["name"], check)
        return done.returncode, found.get(name.strip())

    code, check = examine(f"{breaking}; {doctor}")
    assert check is not None and check["state"] == state and check["finding"] and check["cure"], check
    assert code == CheckFailedError.exit_code or state == "note"
    _, cured = examine(f"{breaking}; {check['cure']}; {doctor}")
    # A package that is well has no line of its own.
    assert cured is None or cured["state"] == "good" or cured["finding"] != check["finding"], cured
    assert cured is None or cured["state"] != "bad", cured


@pytest.mark.slow
def test_an_environment_with_a_broken_package_that_another_one_needs(tmp_path):
    python, own = python_like_this(tmp_path / "venv", without=("pydantic_core",))
    packages = Path(sysconfig.get_path("purelib"))
    shutil.copytree(packages / "pydantic_core", own / "pydantic_core")
    record = next(packages.glob("pydantic_core-*.dist-info"))
    shutil.copytree(record, own / record.name)
    library = next((own / "pydantic_core").glob("_pydantic_core.*.so"))
    library.write_bytes(b"junk")
    done = _run(python, "doctor", "--json", folder=tmp_path)
    assert done.returncode == CheckFailedError.exit_code and "Traceback" not in done.stderr, done.stderr
    check = _checks(done)["pydantic"]
    assert check["state"] == "bad" and "_pydantic_core" in check["finding"]
    expected = f" install --force-reinstall --no-deps pydantic_core=={version('pydantic-core')}"
    assert check["cure"].endswith(expected)
