"""The command line: its commands, and the only place that turns errors into messages and exit codes."""

import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

import click

from hubtune.cli.console import print_json, say
from hubtune.cli.help import HelpFormatter
from hubtune.cli.language import chosen_language
from hubtune.cli.lazy import LazyGroup
from hubtune.doctor.packages import import_problem
from hubtune.errors import HubtuneError, MachineError, RecipeError, StoppedError, file_name_error
from hubtune.log import TERMINAL_FORMATTER, logger
from hubtune.messages.catalogue import LANGUAGES
from hubtune.messages.translation import translate
from hubtune.text import format_bytes, without_keys
from hubtune.train.distributed.launch import RESTARTABLE

# In the order of use, which is the order of the help. A command is `hubtune/cli/<name>.py`.
_COMMANDS = {
    "scan": "Check every image: unreadable, duplicate, blurred or mislabelled.",
    "split": "Divide folders of images into training, validation and test lists.",
    "finetune": "Fine-tune a module on a data set, and keep the best model.",
    "evaluate": "Measure a model on a list.",
    "predict": "Name the class of images.",
    "hub": "Pretrained modules: list, fetch, verify, import; write your own.",
    "doctor": "Find out what is wrong with a run, pictures or this machine, and how to cure it.",
    "demo": "See it work on embedded data, offline, in a minute.",
}
_MORE = {
    "audit": "Rank the labels that may be wrong.",
    "cache": "Cached features and downloaded data: list, verify, remove.",
    "classify": "Name what is on images with a pretrained module, without training.",
    "compare": "Compare runs on one list: is there a difference?",
    "completion": "Print the script that completes commands in a shell.",
    "data": "Fetch public data sets; preview what the network sees; convert CIFAR.",
    "embed": "Turn images into features, for search and for other programs.",
    "explain": "Show where a model looked in images.",
    "export": "Write a model in another program's format.",
    "model": "Rename, merge and drop the classes of a model, without training.",
    "import": "Turn another program's checkpoint into a model.",
    "report": "Make the page of a run: how good, how sure, what is confused with what.",
    "recipe": "Recipes that come with hubtune; the rule and the rates of each parameter.",
    "runs": "List the runs in a folder with their figures.",
    "serve": "Answer over HTTP which class images have, with a page for people.",
    "suggest": "Choose which unlabelled images to label next.",
    "tune": "Search for better settings, by cross-validation on the training list.",
}
_MOVED = {"bench": "python benchmarks/machine.py in hubtune's repository"}
_WITHOUT_PADDLE = ("cache", "completion", "data", "doctor", "runs", "scan", "split")
_WITH_FEATURES = ("audit", "cache", "demo", "finetune", "scan", "split", "tune")


@click.command(
    cls=LazyGroup,
    sections={"Commands": _COMMANDS, "More": _MORE},
    prefix="hubtune.cli.",
    moved=_MOVED,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Help on a command: hubtune COMMAND --help",
)
@click.version_option(package_name="hubtune", message="hubtune %(version)s")
@click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    expose_value=False,
    help="Language of messages, anywhere on the line; default: HUBTUNE_LANG, else this machine's.",
)
@click.option("-v", "--verbose", is_flag=True, help="Verbose output, including hardware settings.")
@click.pass_context
def hubtune_command(context: click.Context, verbose: bool) -> None:
    """Turn folders of images into a classifier that can be trusted.

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
        # A mistake in the variable is reported before Paddle is imported, which takes seconds.
        from hubtune.inference.feature_cache import limit_from_environment

        limit_from_environment()
    if context.invoked_subcommand in _WITHOUT_PADDLE:
        return
    # MKL reads its settings once, when Paddle is imported: they must be set before the command imports it.
    from hubtune.hardware.cpu import prepare

    prepared = prepare()
    if verbose:
        for line in prepared.lines():
            say(line)


def run_commands(received: Sequence[int]) -> int:
    """Run the command line and return its exit code; ``received`` grows with each signal that is caught."""
    # A file name that is not valid text must not end a command by an encoding error.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Warnings of Pillow and Paddle about files and compilers do not help the user.
    warnings.simplefilter("ignore")
    os.environ.setdefault("GLOG_minloglevel", "2")
    # JSON, exceptions and the files of a run stay English.
    TERMINAL_FORMATTER.translate = translate
    click.Context.formatter_class = HelpFormatter
    try:
        arguments = chosen_language(sys.argv[1:])
        # Without standalone mode, click returns the code given to ctx.exit(); other commands return None.
        code: int = hubtune_command.main(arguments, prog_name="hubtune", standalone_mode=False) or 0
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk or a closed pipe gets its exit code
        return code
    except BaseException as error:
        if received:  # whatever has become of the exception on its way
            return _fail("Stopped.", 128 + received[0])
        if (explained := _explain(error)) is None:
            raise
        return explained


def _explain(error: BaseException) -> int | None:
    """Print an error that a person can cause, and return its exit code; ``None`` for any other."""
    trust = " --trust-code" if "--trust-code" in sys.argv else ""
    match error:
        case BrokenPipeError() | SystemExit(code=1):  # click exits so at EPIPE, and nothing else does
            # The reader has closed the pipe (`hubtune predict … | head`).
            _drop_stdout()
            return 141  # 128 + SIGPIPE, as shells have it
        case click.Abort() | KeyboardInterrupt():
            return _fail("Stopped.", 130)
        case click.ClickException():
            usage = io.StringIO()
            error.show(usage)
            return _fail(error.format_message(), error.exit_code, usage=usage.getvalue().rstrip())
        case StoppedError():
            more = f"Continue with: hubtune finetune {error.run} --resume{trust}"
            return _fail(f"{error}. {more}", error.exit_code)
        case RecipeError():
            return _fail(str(error), error.exit_code, problems=error.problems)
        case HubtuneError():
            return _fail(str(error), error.exit_code)
        case ModuleNotFoundError(name="paddle"):
            from hubtune.extras import paddle_missing

            return _fail(paddle_missing(), MachineError.exit_code)
        case MemoryError() | ImportError() | RuntimeError() | OSError() if _is_shortage(error):
            from hubtune.hardware.memory import free_memory

            free = free_memory(swap=True)
            known = "" if free is None else f" ({format_bytes(free)} are free)"
            advice = "close other programs, or take fewer pictures at once or smaller ones"
            return _fail(f"Memory or threads have run out{known}: {advice}", MachineError.exit_code)
        case Exception() if (problem := import_problem(error)) is not None:
            return _fail(problem, MachineError.exit_code)
        case UnicodeEncodeError() if error.encoding == sys.getfilesystemencoding():
            return _fail(str(file_name_error(error.object, error.encoding)), MachineError.exit_code)
        case OSError():
            # A path in a locked folder, or longer than the system allows, fails wherever it is first used.
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "free some space" if full else "check the path and its permissions"
            what = "The output or a file" if error.filename is None else error.filename
            return _fail(
                f"{what} cannot be used ({error.strerror or error}): {advice}", MachineError.exit_code
            )
    return None


def _is_shortage(error: BaseException) -> bool:
    from hubtune.hardware.memory import ran_out_of_memory

    text = str(error)  # of the system's loader, and of Python
    return ran_out_of_memory(error) or "failed to map" in text or "can't start new thread" in text


def _fail(message: str, code: int, *, problems: list[str] | None = None, usage: str = "") -> int:
    try:
        say(usage or (message if code >= 128 else f"Error: {message}"))
        if "--json" in sys.argv[1:] and code != RESTARTABLE:  # after a restart, there will be a result
            error = {"exit_code": code, "message": without_keys(message)} | (
                {"problems": problems} if problems else {}
            )
            print_json({"error": error})
        elif sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # the outputs themselves are closed, or on a full disk
        _drop_stdout()
    return code


def _drop_stdout() -> None:
    """Point standard output nowhere: Python would raise again at exit, when it flushes what is left."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
