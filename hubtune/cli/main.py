"""The command line: its commands, and the only place that turns errors into words and exit codes."""

import json
import logging
import os
import sys
import warnings
from typing import NoReturn

import click

from hubtune.cli.lazy import LazyGroup
from hubtune.errors import HubtuneError, MachineError, RecipeError, StoppedError
from hubtune.log import logger
from hubtune.text import escaped

# In the order of work, which is the order of the help. A command is `hubtune/cli/<name>.py`.
_COMMANDS = {
    "scan": "Look at every picture: what cannot be read, is double, blurred or mislabelled.",
    "split": "Divide folders of pictures into training, validation and test lists.",
    "finetune": "Fine-tune a module on a data set, and keep the best model.",
    "evaluate": "Measure a model on a list.",
    "predict": "Name the class of pictures.",
    "hub": "Pretrained modules: list, fetch, verify, import; write your own.",
    "demo": "See it work on embedded data, offline, in a minute.",
}
_MORE = {
    "bench": "Measure how fast this machine is, and what it waits for.",
    "cache": "Features that were computed and kept: list, verify, remove.",
    "classify": "Name what is on pictures with a pretrained module, without training.",
    "data": "Look at data: what the network will see; CIFAR's files as pictures.",
    "embed": "Turn pictures into features, for search and for other programs.",
    "export": "Write a model in another program's form.",
    "import": "Turn another program's checkpoint into a model.",
    "recipe": "What a recipe comes to: each parameter's rule, and its rate in each epoch.",
    "tune": "Search for better settings, by cross-validation on the training list.",
}
_WITHOUT_PADDLE = ("cache", "data", "scan", "split")
_WITH_FEATURES = ("cache", "demo", "finetune", "scan", "split", "tune")


@click.command(
    cls=LazyGroup,
    sections={"Commands": _COMMANDS, "More": _MORE},
    prefix="hubtune.cli.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command explains itself: hubtune COMMAND --help",
)
@click.version_option(package_name="hubtune", message="hubtune %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Say more, also what was set for this machine and why.")
@click.pass_context
def _hubtune(context: click.Context, verbose: bool) -> None:
    """Turn folders of pictures into a classifier that can be trusted.

    \b
    hubtune split pics/ --val 20          pics/ holds a folder of photos for each class
    hubtune finetune pics/                or a recipe: hubtune finetune recipes/idol5.yaml
    hubtune predict new_photos/*.jpg
    """
    if verbose:
        logger.setLevel(logging.DEBUG)
    if {"-h", "--help"} & set(sys.argv):
        return
    if context.invoked_subcommand in _WITH_FEATURES and os.environ.get("HUBTUNE_CACHE_SIZE"):
        # A mistake in it is told before Paddle is imported.
        from hubtune.inference.feature_cache import limit_from_environment

        limit_from_environment()
    if context.invoked_subcommand in _WITHOUT_PADDLE:
        return
    # Before the command imports Paddle; help and what needs no Paddle do not wait for it.
    from hubtune.hardware.cpu import prepare

    prepared = prepare()
    if verbose:
        for line in prepared.lines():
            click.echo(line, err=True)


def main() -> NoReturn:
    """Run the command line and exit with the code that the outcome has."""
    # File names that are not valid text are shown escaped, whatever the terminal's encoding.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Pillow's and Paddle's remarks on files and compilers mean nothing to a person here.
    warnings.simplefilter("ignore")
    os.environ.setdefault("GLOG_minloglevel", "2")
    sys.exit(_run())


def _run() -> int:
    try:
        # What a command gives to ctx.exit() comes back here; others return nothing.
        return _hubtune.main(prog_name="hubtune", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return _fail(error.format_message(), error.exit_code, shown=True)
    except (click.Abort, KeyboardInterrupt):
        return _fail("Stopped.", 130)
    except StoppedError as error:
        trust = " --trust-code" if "--trust-code" in sys.argv else ""
        return _fail(f"{error}. Go on with: hubtune finetune {error.run} --resume{trust}", error.exit_code)
    except RecipeError as error:
        return _fail(str(error), error.exit_code, problems=error.problems)
    except HubtuneError as error:
        return _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if error.name != "paddle":
            raise
        from hubtune import PADDLE_MISSING

        return _fail(PADDLE_MISSING, MachineError.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (`hubtune predict … | head`); Python would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE, as shells have it
    except OSError as error:
        # A path that cannot even be looked at: in a locked folder, or longer than the system allows.
        if error.filename is None:
            raise
        return _fail(
            f"{error.filename} cannot be used ({error.strerror}): check the path and its permissions",
            MachineError.exit_code,
        )


def _fail(message: str, code: int, *, problems: list[str] | None = None, shown: bool = False) -> int:
    if not shown:
        # Names of files are in it, which may hold anything; its own line breaks stay.
        plain = "\n".join(map(escaped, message.split("\n")))
        click.echo(plain if code >= 128 else f"Error: {plain}", err=True)
    if "--json" in sys.argv[1:]:
        error = {"exit_code": code, "message": message} | ({"problems": problems} if problems else {})
        click.echo(json.dumps({"schema_version": 1, "error": error}))
    return code
