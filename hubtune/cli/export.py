"""``hubtune export``."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.console import echo, percent, print_json, say, shown
from hubtune.cli.inputs import run_or_newest
from hubtune.cli.options import DIR, PATH, json_option, trust_option
from hubtune.errors import UsageError
from hubtune.export.formats import FORMATS
from hubtune.log import show_on_stderr
from hubtune.storage.cache_folder import size_on_disk
from hubtune.text import format_bytes, plural

if TYPE_CHECKING:
    from hubtune import Export
    from hubtune.export.parity import Difference, Parity

_SUMMARIES = "; ".join(f"{name}: {form.summary}" for name, form in FORMATS.items())


@click.command()
@click.argument("run", required=False, type=PATH)
@click.option("--format", "form", type=click.Choice([*FORMATS]), help=f"{_SUMMARIES}.")
@click.option(
    "-o",
    "--output",
    type=DIR,
    help="The folder to write, new or empty; default: exported/RUN-FORMAT.",
)
@click.option("--name", metavar="NAME", help="The module's name in PaddleHub; default: the folder's name.")
@click.option("--check", type=DIR, help="Write nothing: compare this earlier export with the model again.")
@trust_option
@json_option
def command(
    run: Path | None,
    form: str | None,
    output: Path | None,
    name: str | None,
    check: Path | None,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Write a model for another program, and prove that it gives the same answers there.

    RUN is a run folder or a model folder; default: the newest run. The folder that is written has the
    network, the class names, the preprocessing, a script that classifies pictures without hubtune, and the
    result of comparing it with hubtune in a process of its own.

    \b
    hubtune export --format onnx
    hubtune export runs/idol5 --format paddle -o exported/idol5
    python exported/idol5/predict.py photo.jpg
    hubtune export runs/idol5 --check exported/idol5
    """
    if (form is None) == (check is None):
        raise UsageError(f"Name a --format, {', '.join(FORMATS)}, or --check an export that was written")
    show_on_stderr()
    run = run_or_newest(run)
    from hubtune import export_model, load_model, prove_export
    from hubtune.export.exporter import check_export

    if check is not None:
        parity = prove_export(check, load_model(run, trust_code=trust_code))
        if as_json:
            print_json({"folder": str(check), "parity": parity.as_dict()})
        else:
            echo(f"{shown(check)} gives the answers of {shown(run)}: {_describe(parity)}")
        return
    assert form is not None
    folder = output or Path("exported") / _default_name(run, form)
    check_export(folder, form, name)
    export = export_model(load_model(run, trust_code=trust_code), folder, form, name=name)
    print_json(_as_dict(export)) if as_json else _print(export)


def _default_name(run: Path, form: str) -> str:
    """Return a folder's name for a run; one that Python can import, where the format needs it."""
    name = f"{run.resolve().name}-{form}"
    return re.sub(r"^(?=\d)|\W", "_", name, flags=re.ASCII) if FORMATS[form].needs_name else name


def _as_dict(export: "Export") -> dict[str, Any]:
    files = {path.name: path.stat().st_size for path in sorted(export.folder.iterdir())}
    return {
        "folder": str(export.folder),
        "format": export.format,
        "files": files,
        "parity": None if export.parity is None else export.parity.as_dict(),
        "accuracies": {
            name: {"model": before, "export": after} for name, (before, after) in export.accuracies.items()
        },
    }


def _print(export: "Export") -> None:
    form = FORMATS[export.format]
    size = format_bytes(size_on_disk(export.folder))
    echo(f"{form.title} written to {shown(export.folder)} ({size})")
    if export.parity is None:
        say(f"Not compared with hubtune: {form.title} is not installed (pip install {form.runner})")
    else:
        own = f"{plural(export.images, 'picture')} of the run" if export.images else "no picture of a run"
        echo(f"Compared with hubtune on {own} and drawn ones: {_describe(export.parity)}")
    for name, (before, after) in export.accuracies.items():
        what = {"validate": "validation", "test": "test"}[name]
        echo(
            f"The format looks at a picture in one way, for which the head was solved again: on the {what} "
            f"list {percent(after)} instead of {percent(before)}"
        )
    say(f"Use it: python {shlex.quote(shown(export.folder / 'predict.py'))} PHOTO; README.md there has more")


def _describe(parity: "Parity") -> str:
    parts = [_differences(parity.files)]
    if parity.resized is not None:
        parts.append(f"where the program resizes pictures by itself, {_differences(parity.resized)}")
    if parity.unread:
        parts.append(f"{plural(len(parity.unread), 'picture')} that its script does not read")
    return "; ".join(parts)


def _differences(difference: "Difference") -> str:
    labels = (
        "the same label for all"
        if not difference.labels
        else f"another label for {difference.labels:,} of {difference.images:,}"
    )
    return f"{labels}, scores differ by at most {difference.scores:.1g}"
