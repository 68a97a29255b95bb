"""The entry point: a signal ends the program with one line and its exit code, whenever it comes."""

import os
import signal
import subprocess
import sys

import pytest

_SEND = """
import os, signal, sys
# A process in the background of a shell starts with SIGINT ignored, and hubtune leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)
def hook(event, arguments):
    if event == "import" and arguments[0] == os.environ["AT"]:
        os.kill(os.getpid(), int(os.environ["NUMBER"]))
sys.addaudithook(hook)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("at", ["click", "hubtune.cli.lazy", "numpy"])
def test_a_signal_at_an_import_ends_with_one_line(number, code, at, tmp_path, run_hubtune):
    (tmp_path / "sitecustomize.py").write_text(_SEND)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = run_hubtune("scan", ".", cwd=tmp_path, PYTHONPATH=path, AT=at, NUMBER=str(int(number)))
    assert (done.returncode, done.stderr, done.stdout) == (code, "Stopped.\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize(
    ("arguments"),
    [pytest.param(("hub", "list"), marks=pytest.mark.slow), ("hub", "list", "--json"), ("--help",)],
)
def test_an_output_that_is_full_or_closed_has_an_exit_code(arguments, tmp_path):
    command = [sys.executable, "-m", "hubtune", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for target, code in (("full", 5), ("closed", 141)):
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            out = full if target == "full" else writer
            for streams in ({"stdout": out, "stderr": subprocess.PIPE}, {"stdout": out, "stderr": out}):
                done = subprocess.run(command, env=environment, check=False, **streams)
                assert done.returncode == code
                assert b"Traceback" not in (done.stderr or b"")
        os.close(writer)


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_standard_output_closed_before_the_start_is_no_failure():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = ["sh", "-c", '"$0" -m hubtune hub list >&-', sys.executable]
    done = subprocess.run(command, env=environment, check=False, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_old_python_is_named_by_every_command():
    program = (
        "import sys; sys.version_info = (3, 10, 2, 'final', 0); sys.modules['tomllib'] = None\n"
        "sys.argv = ['hubtune', 'doctor']\nfrom hubtune.cli.main import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 5 and "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: hubtune needs Python 3.11, 3.12 or 3.13, and this is 3.10: ")


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [("json.py", "x = (", "Python's module json"), ("random.py", "", "module"), ("click.py", "", "click")],
)
def test_a_file_of_a_person_that_hides_a_module_is_named(name, content, title, tmp_path):
    (tmp_path / name).write_text(content)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path[1:]])}
    done = subprocess.run(
        [sys.executable, "-m", "hubtune", "doctor"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 5 and "Traceback" not in done.stderr, done.stderr
    assert title in done.stderr and f" is taken from {tmp_path / name}, which comes" in done.stderr
