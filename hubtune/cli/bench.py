"""``hubtune bench``."""

import statistics
from typing import TYPE_CHECKING

import click

from hubtune.cli.answers import (
    device_option,
    engine_option,
    expand,
    named_weights,
    trust_option,
)
from hubtune.cli.output import print_json, say, shown
from hubtune.errors import DataError

if TYPE_CHECKING:
    from hubtune.bench import Benchmark

_MODULE = "paddle.vision:mobilenet_v2"
_ROWS = {
    "decode": ("decoding, to input", ""),
    "engine": ("engine, to features", "× Paddle"),
    "paddle": ("  by Paddle itself", ""),
    "pipeline": ("both together", "of the slower"),
    "cached": ("features from the cache", "× both"),
    "step": ("training all parameters", "× bare loop"),
    "bare_step": ("  a bare Paddle loop", ""),
    "product": ("matrix product (Paddle)", ""),
}


@click.command()
@click.option("--module", default=_MODULE, show_default=True, metavar="NAME", help="The network.")
@click.option(
    "--weights",
    default="none",
    metavar="FILE",
    help="Weights for it, or official; default: random values, which take as long.",
)
@click.option(
    "--data",
    metavar="FOLDER|LIST",
    help="Pictures to read; default: photos of 1600 × 1200 that are drawn.",
)
@device_option
@engine_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1, max=3600),
    default=40,
    show_default=True,
    help="About how long it takes; a slow network takes longer, as all is run twice at least.",
)
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    module: str,
    weights: str,
    data: str | None,
    device: str,
    engine: str,
    seconds: float,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Measure how fast this machine is, beside Paddle itself and what the machine can do at most.

    Decoding, the engine, both together, the cache and training take turns. Other programs that compute
    meanwhile make all of it slower.

    \b
    hubtune bench
    hubtune bench --data pics/ --module resnet50_imagenet --json
    """
    from pathlib import Path

    images = None if data is None else [Path(image) for image in expand((data,))]
    if data is not None and images == [Path(data)] and not images[0].exists():
        raise DataError(f"There is no {data}: give a folder of pictures, a list of them or a pattern")

    from hubtune.bench import run_benchmark
    from hubtune.cli.progress import counting_bar
    from hubtune.hardware.device import select_device
    from hubtune.hub.module import Module
    from hubtune.log import show_on_stderr

    show_on_stderr()
    select_device(device)
    source = Module(module, named_weights(weights), trust_code=trust_code)
    with counting_bar("measuring") as advance:
        found = run_benchmark(
            source,
            images,
            engine=engine,
            seconds=seconds,
            advance=advance,
        )
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)


def _print(found: "Benchmark") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    facts = found.facts
    photos = f"{facts['pictures']} {'drawn ' if facts['drawn'] else ''}pictures"
    size = "×".join(map(str, facts["input"][1:]))
    click.echo(
        f"{shown(facts['module'])} at {size}, {photos}\n"
        f"{facts['device']}, {facts['cores']} cores; engine {facts['engine']}, ready in "
        f"{found.start_seconds:.1f} s; threads of Paddle: {facts['paddle_threads']}"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rounds = len(found.speeds["decode"].rounds)
    table.add_column("")
    table.add_column("speed", justify="right")
    if rounds > 1:
        table.add_column(f"in {rounds} rounds", justify="right")
    table.add_column("beside")
    ratios = {name: statistics.median(rounds) for name, rounds in found.ratios().items()}
    for name, (words, other) in _ROWS.items():
        speed = found.speeds[name]
        beside = f"{ratios[name]:.2f} {other}" if other else ""
        span = f"{_figure(min(speed.rounds))}–{_figure(max(speed.rounds))}"
        table.add_row(words, f"{_figure(speed.median)} {speed.unit}", *([span] if rounds > 1 else []), beside)
    Console().print(table)
    click.echo("\n".join(_meaning(found, ratios)))
    if (load := facts["load"][0]) is not None and load > facts["cores"] / 2:
        say(f"Other programs were computing (load average {load:.1f}): on a quiet machine all is faster.")


def _meaning(found: "Benchmark", ratios: dict[str, float]) -> list[str]:
    speeds = {name: speed.median for name, speed in found.speeds.items()}
    if found.limit == "decode":
        limit = "Decoding is the limit: a quicker engine would gain little, smaller picture files would."
    else:
        limit = "The engine is the limit: decoding is quicker, so a smaller network would gain most."
    noisy = (
        "Both together cannot be quicker than the slower of them: more than 1 there is noise, as other "
        "programs make the machine quicker and slower. A longer measurement (--seconds) has less of it."
    )
    return [
        *([noisy] if ratios["pipeline"] > 1 else []),
        limit,
        f"A thousand pictures take {_time(1000 / speeds['pipeline'])} with a frozen network, "
        f"{_time(1000 / speeds['cached'])} from the cache, and {_time(1000 / speeds['step'])} in each epoch "
        "of training all parameters.",
        f"Its arithmetic ({_figure(found.gflop)} GFLOP a picture) runs at {ratios['engine_arithmetic']:.2f} "
        f"of the speed of Paddle's matrix product in the engine, and at {ratios['step_arithmetic']:.2f} in "
        "training.",
    ]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{_figure(seconds)} s"
