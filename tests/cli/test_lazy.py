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


def test_help_has_the_sections_and_imports_no_command(group):
    text = group.get_help(click.Context(group, info_name="g"))
    assert (
        text.index("Often:")
        < text.index("Read a file.")
        < text.index("More:")
        < text.index("Something else.")
    )
    assert "lazy_import_" not in sys.modules


def test_a_command_that_is_called_like_a_keyword_is_in_a_module_with_an_underscore(group):
    context = click.Context(group, info_name="g")
    assert group.get_command(context, "import").name == "import"
    assert group.get_command(context, "unknown") is None
    assert group.list_commands(context) == ["import", "other"]


def test_a_former_command_names_its_script(group, run_here):
    with pytest.raises(UsageError, match=r"^g bench is now a script: run python bench\.py$"):
        group.get_command(click.Context(group, info_name="g"), "bench")
    done = run_here("bench", "--seconds", "10")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: hubtune bench is now a script: run python benchmarks/machine.py in hubtune's repository\n"
    )
