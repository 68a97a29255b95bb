"""Groups import a command when it runs, and name the script that has replaced a former one."""

import sys

import click
import pytest

from hubtune.cli.lazy import LazyGroup
from hubtune.errors import UsageError


@pytest.fixture
def group(tmp_path, monkeypatch):
    (tmp_path / "lazy_import_.py").write_text("import click\n\ncommand = click.Command('import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    sections = {"Often": {"import": "Read a file."}, "More": {"other": "Something else."}}
    return LazyGroup(name="g", sections=sections, prefix="lazy_", moved={"bench": "python bench.py"})


def test_help_has_the_sections_and_only_a_command_that_runs_is_imported(group):
    context = click.Context(group, info_name="g")
    text = group.get_help(context)
    places = [text.index(part) for part in ("Often:", "Read a file.", "More:", "Something else.")]
    assert places == sorted(places)
    assert group.list_commands(context) == ["import", "other"]
    assert "lazy_import_" not in sys.modules
    # A command that is called like a keyword is in a module with an underscore.
    assert group.get_command(context, "import").name == "import"
    assert group.get_command(context, "unknown") is None


def test_a_former_command_names_its_script(group, run_here):
    with pytest.raises(UsageError, match=r"^g bench is now a script: run python bench\.py$"):
        group.get_command(click.Context(group, info_name="g"), "bench")
    done = run_here("bench", "--seconds", "10")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: hubtune bench is now a script: run python benchmarks/machine.py in hubtune's repository\n"
    )
