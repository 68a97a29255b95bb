"""What the tests of commands share: working folders, and tables of refusals."""

import pytest
from support.images import draw_mixed_folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mixed(here):
    """A folder ``pics`` of five images and a file that is none, in the working folder."""
    return draw_mixed_folder(here / "pics")


@pytest.fixture
def assert_refused(run_here):
    """Checks commands that fail: arguments, exit code, and what the message has in it."""

    def check(*cases):
        for arguments, code, message in cases:
            done = run_here(*(arguments.split() if isinstance(arguments, str) else arguments))
            assert (done.returncode, done.stdout) == (code, ""), (arguments, done.stderr)
            assert message in done.stderr and "Traceback" not in done.stderr, (arguments, done.stderr)

    return check
