"""``hubtune doctor``."""

import logging
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from hubtune.cli.console import echo, print_json, say, shown
from hubtune.cli.options import FILE, PATH, json_option
from hubtune.errors import CheckFailedError, UsageError
from hubtune.log import logger
from hubtune.messages.catalogue import language
from hubtune.text import escaped_lines


@click.command()
@click.argument("target", required=False, type=PATH)
@click.option(
    "--bundle",
    type=FILE,
    metavar="FILE.zip",
    help="Also write the result, versions and settings into a zip file for others, without secrets.",
)
@click.option("--faq", is_flag=True, help="Print the failures that people ask about most, with their cures.")
@json_option
def command(target: Path | None, bundle: Path | None, faq: bool, as_json: bool) -> None:
    """Find out what is wrong, and how to cure it: with a run, a recipe or pictures, or with this machine.

    Without TARGET: the machine, the installation and its settings; it works where Pillow, NumPy or Paddle is
    missing or broken. Of a run: does it learn, does it overfit, was the learning rate right, are its lists
    sound? It needs no network. Each line is good, a note (it costs something) or bad, with the command that
    cures it. The exit code is 8 if something is bad.

    \b
    hubtune doctor
    hubtune doctor runs/latest
    hubtune doctor pics/
    hubtune doctor --bundle doctor.zip
    """
    from hubtune.cli.inputs import check_output_file
    from hubtune.doctor.bundle import report_text, summary, write_bundle
    from hubtune.doctor.check import BAD
    from hubtune.doctor.examine import examine_machine
    from hubtune.doctor.faq import KNOWN_FAILURES, faq_text
    from hubtune.doctor.target import examine_target

    if faq:
        if target is not None or bundle is not None:
            raise UsageError("--faq prints a text, and examines nothing: leave out the rest")
        print_json({"failures": [asdict(entry) for entry in KNOWN_FAILURES]}) if as_json else echo(faq_text())
        return
    check_output_file(bundle, "--bundle")
    logger.addHandler(logging.NullHandler())  # warnings of the settings are lines of the result
    environment = dict(os.environ)  # before hubtune adds its own choices
    texts: dict[str, str] = {}
    if target is not None:
        checks, texts = examine_target(target)
    else:
        checks = examine_machine(environment)
    if bundle is not None:
        home = None
        with suppress(RuntimeError):
            home = Path.home()
        write_bundle(bundle, checks, texts, environment, home)
    if as_json:
        print_json({"checks": [check.as_dict() for check in checks], "bundle": bundle and str(bundle)})
    else:
        click.echo(escaped_lines(report_text(checks, language())))
        echo(f"\n{summary(checks)}")
        if bundle is not None:
            say(f"Written to {shown(bundle)}: look through it before you pass it on")
    if any(check.state == BAD for check in checks):
        click.get_current_context().exit(CheckFailedError.exit_code)
