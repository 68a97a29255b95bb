"""All checks together, on this machine, and with parts of it broken."""

import pytest

from hubtune.doctor import examine
from hubtune.doctor.check import GOOD, NOTE
from hubtune.doctor.import_probe import ImportResult

NAMES = (
    *("python", "hubtune", "packages", "pillow", "extras", "fonts", "paddle", "gpu", "openvino", "processor"),
    *(
        "mkl",
        "cores",
        "threads",
        "memory",
        "open-files",
        "shared-memory",
        "cache",
        "working-folder",
        "temporary-folder",
    ),
    *("variables", "network", "pip", "text"),
)


@pytest.fixture
def _quick(monkeypatch):
    """Imports that need no time."""
    monkeypatch.setattr(examine, "import_all", lambda names, seconds: dict.fromkeys(names, ImportResult()))


@pytest.mark.usefixtures("_quick")
def test_every_check_has_a_line_in_its_group():
    checks = [check for check in examine.examine_machine({}) if check.name != "python-variables"]
    assert tuple(check.name for check in checks) == NAMES
    groups = ["Software", "Paddle and engines", "Machine", "Folders", "Settings"]
    assert [*dict.fromkeys(check.group for check in checks)] == groups
    assert not [
        check for check in checks if "could not be checked: " in check.finding and check.name != "fonts"
    ]
    assert all(bool(check.cure) or check.state in (GOOD, NOTE) for check in checks)


@pytest.mark.usefixtures("_quick")
def test_parts_that_fail_do_not_break_the_others(monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("broken")

    for module, name in (
        *((examine.cpu, "processor"), (examine.cpu, "prepare"), (examine.cpu, "cores")),
        *((examine, "installed_versions"), (examine, "free_memory"), (examine, "import_all")),
        *((examine.paddle, "read_driver"), (examine, "cache_root"), (examine, "current_rank")),
        (examine.places.tempfile, "gettempdir"),
    ):
        monkeypatch.setattr(module, name, broken)
    checks = examine.examine_machine({})
    assert {check.name for check in checks} == set(NAMES)
    failed = [
        check for check in checks if check.finding.endswith("could not be checked: RuntimeError: broken")
    ]
    assert len(failed) > 10 and {check.state for check in failed} == {NOTE}


@pytest.mark.usefixtures("_quick")
def test_the_environment_that_is_given_counts(monkeypatch):
    monkeypatch.setenv("HUBTUNE_HOME", "relative")
    checks = {
        check.name: check for check in examine.examine_machine({"HUBTUNE_HOME": "/", "PYTHONPATH": "/x"})
    }
    assert checks["python-variables"].finding.startswith("PYTHONPATH=/x")
    assert "another folder" not in checks["cache"].finding
