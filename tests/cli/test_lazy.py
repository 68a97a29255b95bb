"""Groups import a command when it runs, and name the script that has replaced a former one."""

import sys

import click

from hubtune.cli.lazy import LazyGroup


def test_help_has_the_sections_and_only_a_command_that_runs_is_imported(
    tmp_path, monkeypatch, assert_refused
):
    (tmp_path / "lazy_import_.py").write_text("import click\n\ncommand = click.Command('import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    sections = {"Often": {"import": "Read a file."}, "More": {"other": "Something else."}}
    group = LazyGroup(name="g", sections=sections, prefix="lazy_")
    context = click.Context(group, info_name="g")
    text = group.get_help(context)
    places = [text.index(part) for part in ("Often:", "Read a file.", "More:", "Something else.")]
    assert places == sorted(places)
    assert group.list_commands(context) == ["import", "other"]
    assert "lazy_import_" not in sys.modules
    # A command that is called like a keyword is in a module with an underscore.
    assert group.get_command(context, "import").name == "import"
    assert group.get_command(context, "unknown") is None
    message = (
        "Error: hubtune bench is now a script: run python benchmarks/machine.py in hubtune's repository\n"
    )
    assert_refused(("bench --seconds 10", 2, message))
