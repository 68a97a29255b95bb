"""What the tests of commands share: working folders, and tables of refusals."""

import pytest
from support.images import draw_mixed_folder
from support.split_folder import draw_faint_split
from support.tiny_task import smallnet, train_frozen


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
def small_run(here):
    """A run ``runs/small``, and pictures in ``pics`` with awkward names and broken files."""
    data = draw_faint_split(here / "data", each=12, validate=3, test=3, difference=40)
    train_frozen(smallnet(), data, here / "runs" / "small")
    draw_mixed_folder(here / "pics")
    (here / "pics" / "0.png").rename(here / "pics" / 'a "quoted", name.png')
    (here / "pics" / "1.png").rename(here / "pics" / "=1+1\r\n.png")


@pytest.fixture
def assert_refused(run_here):
    """Checks commands that fail: arguments, exit code, and what the message has in it."""

    def check(*cases):
        for arguments, code, message in cases:
            done = run_here(*(arguments.split() if isinstance(arguments, str) else arguments))
            assert (done.returncode, done.stdout) == (code, ""), (arguments, done.stderr)
            assert message in done.stderr and "Traceback" not in done.stderr, (arguments, done.stderr)

    return check
