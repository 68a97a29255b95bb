"""``hubtune serve``."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.console import say, shown
from hubtune.cli.inputs import model_or_newest
from hubtune.cli.options import COUNT, RUN, trust_option
from hubtune.doctor.packages import import_problem
from hubtune.errors import MachineError
from hubtune.extras import install_extra
from hubtune.log import show_on_stderr
from hubtune.messages.translation import translate
from hubtune.recipe.choices import ENGINES

if TYPE_CHECKING:
    from hubtune.serve.models import ModelTable

TOKEN_VARIABLE = "HUBTUNE_TOKEN"  # its name


@click.command()
@click.argument("runs", nargs=-1, type=RUN, metavar="[RUN]...")
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="NAME",
    help="Address to listen on; 0.0.0.0 lets other machines ask, with a token.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, help="Port; 0: any free one.")
@click.option(
    "--token",
    metavar="TEXT",
    help=f"Token that requests must name; {TOKEN_VARIABLE} hides it from other users. Made if needed.",
)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name of the server.")
@click.option("--model", "named", multiple=True, metavar="NAME=RUN", help="A further model, by name.")
@click.option("--reload", "reload_", is_flag=True, help="Switch to better models as a run gets them.")
@click.option("--threads", type=COUNT, help="Images computed at once, one a core; default: all cores.")
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, gpu or gpu:0.")
@click.option("--engine", type=click.Choice(ENGINES), default="auto", help="As for `hubtune predict`.")
@trust_option
def command(
    runs: tuple[Path | str, ...],
    host: str,
    port: int,
    token: str | None,
    hosts: tuple[str, ...],
    named: tuple[str, ...],
    reload_: bool,
    threads: int | None,
    device: str,
    engine: str,
    trust_code: bool,
) -> None:
    """Answer over HTTP which class images have, with a page for people; default: the newest run.

    The page is at the address that is printed. Programs send an image to /predict, and get the row of
    `hubtune predict --json`. Ctrl-C ends the server.

    \b
    hubtune serve
    hubtune serve runs/idol5 --port 8080
    curl --data-binary @photo.jpg http://127.0.0.1:8000/predict
    HUBTUNE_TOKEN=… hubtune serve runs/idol5 --host 0.0.0.0
    """
    try:
        from hubtune.serve.app import ServeApp, ServeOptions
        from hubtune.serve.models import ModelTable, named_sources
        from hubtune.serve.security import check_token, is_local, make_token
        from hubtune.serve.server import bind_port, run_server
    except ImportError as error:
        raise MachineError(
            import_problem(error) or f"A server needs more packages ({error}): {install_extra('serve')}"
        ) from error
    given = token if token is not None else os.environ.get(TOKEN_VARIABLE) or None
    secret = None
    if given is not None:
        secret = check_token(given)
    elif not is_local(host):
        secret = make_token()
    bound = bind_port(host, port)
    places = [*runs] if runs or named else [model_or_newest(None)]

    # This may import Paddle, which takes seconds; everything that can be refused without it has been.
    from hubtune.hardware.device import select_device
    from hubtune.inference.load_model import load_model
    from hubtune.inference.model import Model

    show_on_stderr()
    select_device(device)
    if threads is not None and engine.startswith(("auto", "openvino")):
        _limit_threads(threads)

    def load(folder: Path) -> Model:
        return load_model(folder, trust_code=trust_code, engine=engine)

    models = ModelTable(named_sources(places, named, load))
    options = ServeOptions((host, _public_name(host), *hosts), secret, threads, reload_)
    app = ServeApp(models, options)
    run_server(app, bound, options.limits, lambda: _say_open(models, bound, host, secret, given is None))


def _public_name(host: str) -> str:
    """Return the name under which other programs reach the host."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else host


def _limit_threads(threads: int) -> None:
    from hubtune.inference.engine_interface import expected_engine
    from hubtune.inference.openvino_program import limit_threads

    if expected_engine("auto") == "openvino":
        limit_threads(threads)


def _say_open(
    models: "ModelTable", bound: socket.socket, host: str, secret: str | None, is_new: bool
) -> None:
    for name in models.names:
        served = models.find(name)
        assert served is not None
        count = len(served.model.labels)
        model = served.model
        what = f"{count:,} {'labels, multi-label' if model.card.multi_label else 'classes'}"
        say(f"Model {shown(name)}: {what}, engine {model.engine_name}")
    reachable = _public_name(host)
    address = f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{bound.getsockname()[1]}/"
    if secret is not None and is_new:
        say(f"Token: {secret}")
        address += f"#token={secret}"
    # Not by say(), which leaves out what may be a key.
    click.echo(translate(f"Serving at {address}  (Ctrl-C ends it)"), err=True)
