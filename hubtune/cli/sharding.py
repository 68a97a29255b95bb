"""Options of commands that write their rows in parts, from several processes, and join the parts."""

import functools
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hubtune.cli.console import print_json, say, shown
from hubtune.cli.inputs import check_output_folder, expand_named_images
from hubtune.cli.options import DIR
from hubtune.data.sharding import ImageShard, names_digest
from hubtune.errors import UsageError, writing
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.inference.part_files import Part

_SHARD = re.compile(r"(\d{1,5})/(\d{1,5})")
_AUTO = re.compile(r"auto(?:/(\d{1,5}))?")


@dataclass(frozen=True)
class ShardRequest:
    """What the options ask for.

    Attributes:
        shard: the shard to work on; ``None`` for all images, or to join.
        gather: the folder of parts to join.
        part_format: ending of the part files, without the dot.
    """

    shard: ImageShard | None
    gather: Path | None
    part_format: str

    @property
    def suffix(self) -> str:
        return f".{self.part_format}"


def shard_options(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command ``--shard``, ``--gather`` and ``--part-format``, its argument ``request``."""
    options = [
        click.option(
            "--shard",
            "shard_text",
            metavar="I/N",
            help="Only the I-th of N shares, from 0, as a part file in -o DIR; auto: from the array job.",
        ),
        click.option("--gather", type=DIR, help="Join the part files of all shards in this folder."),
        click.option(
            "--part-format",
            type=click.Choice(formats),
            default=formats[0],
            help="With --shard: of the parts.",
        ),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(*, shard_text: str | None, gather: Path | None, part_format: str, **more: Any) -> Any:
            if shard_text is not None and gather is not None:
                raise UsageError("--shard makes a part and --gather joins all of them: use one at a time")
            shard = None if shard_text is None else parse_shard(shard_text)
            return command(request=ShardRequest(shard, gather, part_format), **more)

        for option in reversed(options):
            call = option(call)
        return call

    return decorate


def parse_shard(text: str) -> ImageShard:
    """Return the shard of ``3/64``, or of ``auto`` or ``auto/64``, which say on stderr what they took.

    Raises:
        UsageError: it is not a shard, or no array job gives its number.
    """
    if automatic := _AUTO.fullmatch(text):
        from hubtune.runs.array_job import array_task

        task = array_task(os.environ, int(automatic[1]) if automatic[1] else None)
        say(f"Shard {task.index}/{task.count}, from {task.variable}")
        return ImageShard(task.index, task.count)
    parts = _SHARD.fullmatch(text)
    if parts is None:
        raise UsageError(f"--shard {text}: write i/n with i from 0, such as 3/64, or auto in an array job")
    index, count = int(parts[1]), int(parts[2])
    if index >= count:
        raise UsageError(
            f"--shard {text}: i counts from 0, so the last shard of {count} is {count - 1}/{count}"
        )
    return ImageShard(index, count)


def check_options(option: str, used: Collection[str], reason: str) -> None:
    """Refuse options on the command line that have no effect together with another one.

    Args:
        option: the other option, such as ``--gather``.
        used: names of the parameters that go with it.
        reason: what it does, for the message.

    Raises:
        UsageError: there is one.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in used and (not isinstance(parameter, click.Argument) or context.params[name]):
            title = "the pictures" if isinstance(parameter, click.Argument) else parameter.opts[-1]
            raise UsageError(f"{option} {reason}: leave out {title}")


class ShardRun:
    """The images of one shard, and the folder that its part is written into."""

    def __init__(
        self, request: ShardRequest, folder: Path, images: Sequence[str], settings: "SourceSettings"
    ) -> None:
        """List all images, and choose those of the shard.

        Raises:
            UsageError: the folder cannot be one for parts.
            DataError: there is no image.
        """
        from hubtune.inference.part_files import PartFolder

        check_output_folder(folder, "-o")
        assert request.shard is not None
        self.shard, self.suffix, self.sources = request.shard, request.suffix, list(images)
        self.parts = PartFolder(folder)
        found = [*expand_named_images(images, settings)]
        names = [name for _, name in found]
        self.positions = self.shard.positions(names)
        self.paths = [found[place][0] for place in self.positions]
        self._common: dict[str, Any] = {"pictures": len(found), "names_sha256": names_digest(names)}

    def is_finished(self, *, as_json: bool, **common: Any) -> bool:
        """Return whether the part is there already, and say so.

        Args:
            as_json: whether the part's record is printed.
            common: ``command``, ``model_sha256`` and ``options``, which all parts have in common.

        Raises:
            UsageError: the folder has parts that do not go with this one.
            MachineError: the folder cannot be made.
        """
        self._common |= common
        with writing(self.parts.folder):
            self.parts.folder.mkdir(exist_ok=True)
        part = self.parts.find(self.shard, self._common, self.suffix)
        if part is None:
            say(
                f"Shard {self.shard} has {len(self.paths):,} of {plural(self._common['pictures'], 'picture')}"
            )
            return False
        say(f"Shard {self.shard} is finished already: {shown(part.file)}")
        _print_record(part, as_json=as_json)
        return True

    def write(self, content: bytes, *, errors: int, model: str, engine: str, as_json: bool) -> None:
        """Write the part, and say so.

        Args:
            content: of the part file.
            errors: number of unreadable images.
            model: its name, as it was given.
            engine: what ran it.
            as_json: whether the part's record is printed.
        """
        from importlib.metadata import version

        record = {
            **self._common,
            "model": model,
            "engine": engine,
            "hubtune": version("hubtune"),
            "source": self.sources,
            "arguments": sys.argv[1:],
            "count": len(self.paths),
            "errors": errors,
            "positions": self.positions,
        }
        part = self.parts.write(self.shard, content, self.suffix, record)
        say(f"{plural(len(self.paths), 'row')} written to {shown(part.file)}")
        if errors:
            say(f"{errors:,} of {plural(len(self.paths), 'picture')} could not be read; their rows say why")
        _print_record(part, as_json=as_json)


def _print_record(part: "Part", *, as_json: bool) -> None:
    if as_json:
        record = {key: value for key, value in part.record.items() if key != "positions"}
        print_json({"part": str(part.file), **record})
