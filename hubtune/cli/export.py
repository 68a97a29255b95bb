"""``hubtune export``."""

import re
from pathlib import Path

import click

from hubtune.cli.console import echo, native_output_on_stderr, print_json, shown
from hubtune.cli.export_output import describe_parity, export_as_dict, print_export
from hubtune.cli.inputs import run_or_newest
from hubtune.cli.options import DIR, RUN, json_option, trust_option
from hubtune.errors import UsageError
from hubtune.export.formats import FORMATS
from hubtune.log import show_on_stderr

_SUMMARIES = "; ".join(f"{name}: {form.summary}" for name, form in FORMATS.items())

_WITH_INT8 = [form.title for form in FORMATS.values() if form.int8_packages]


@click.command()
@click.argument("run", metavar="[RUN]", required=False, type=RUN)
@click.option("--format", "form", type=click.Choice([*FORMATS]), help=f"{_SUMMARIES}.")
@click.option(
    "-o",
    "--output",
    type=DIR,
    help="The folder to write, new or empty; default: exported/RUN-FORMAT or RUN-FORMAT-int8.",
)
@click.option("--name", metavar="NAME", help="The module's name in PaddleHub; default: the folder's name.")
@click.option(
    "--int8",
    is_flag=True,
    help=f"Quantise the network to 8 bits, {' or '.join(_WITH_INT8)}: smaller and faster. Refused where it "
    "loses accuracy on the validation pictures, or is not clearly faster on this machine.",
)
@click.option(
    "--bench",
    is_flag=True,
    help="Measure accuracy, milliseconds a picture and megabytes, beside those of hubtune itself.",
)
@click.option("--check", type=DIR, help="Write nothing: compare this earlier export with the model again.")
@trust_option
@json_option
def command(
    run: Path | str | None,
    form: str | None,
    output: Path | None,
    name: str | None,
    int8: bool,
    bench: bool,
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
    hubtune export --format openvino --int8 --bench
    hubtune export runs/idol5 --check exported/idol5
    """
    if (form is None) == (check is None):
        raise UsageError(f"Name a --format, {', '.join(FORMATS)}, or --check an export that was written")
    if check is not None and (output is not None or name is not None or int8 or bench):
        raise UsageError("--check writes and measures nothing: omit --output, --name, --int8 and --bench")
    show_on_stderr()
    run = run_or_newest(run)
    from hubtune import export_model, load_model, prove_export
    from hubtune.export.exporter import check_export

    if check is not None:
        parity = prove_export(check, load_model(run, trust_code=trust_code))
        if as_json:
            print_json({"folder": str(check), "parity": parity.as_dict()})
        else:
            echo(f"{shown(check)} gives the answers of {shown(run)}: {describe_parity(parity)}")
        return
    assert form is not None
    folder = output or Path("exported") / _default_name(run, form, int8)
    check_export(folder, form, name, int8=int8, bench=bench)
    model = load_model(run, trust_code=trust_code)
    with native_output_on_stderr():
        export = export_model(model, folder, form, name=name, int8=int8, bench=bench)
    print_json(export_as_dict(export)) if as_json else print_export(export)


def _default_name(run: Path, form: str, int8: bool) -> str:
    """Return a folder's name for a run; one that Python can import, where the format needs it."""
    name = f"{run.resolve().name}-{form}{'-int8' if int8 else ''}"
    return re.sub(r"^(?=\d)|\W", "_", name, flags=re.ASCII) if FORMATS[form].needs_name else name
