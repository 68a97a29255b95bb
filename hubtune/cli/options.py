"""Options that several commands have."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hubtune.recipe.choices import ENGINES
from hubtune.storage.address import check_path, is_bucket_address


class _Path(click.Path):
    """A path on this machine, and no address; its name in the help is ``name`` in capitals."""

    def __init__(self, name: str) -> None:
        super().__init__(path_type=Path)
        self.name = name

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        # The longer name of an option.
        check_path(value, max(param.opts, key=len) if isinstance(param, click.Option) else self.name)
        return super().convert(value, param, ctx)


class _RunPath(_Path):
    """A run or a model: a path on this machine, or as text the address of a folder in a bucket."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        text = os.fspath(value)
        return text if is_bucket_address(text) else super().convert(value, param, ctx)


class _Share(click.ParamType):
    """A share as ``0.8`` or ``80%``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from hubtune.recipe.base import parse_share  # here, as help should not wait for its imports

        try:
            return parse_share(value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


PATH, FILE, DIR, RUN = _Path("path"), _Path("file"), _Path("dir"), _RunPath("run")
COUNT = click.IntRange(min=1)
SHARE = _Share()

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_batch_size = click.option(
    "--batch-size", type=COUNT, default=32, help="Pictures at once; results do not depend on it."
)
_device = click.option("--device", default="auto", metavar="NAME", help="auto, cpu, gpu or gpu:0.")
_engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    help="What runs the network; auto: OpenVINO on a CPU, Paddle with mixed precision on a GPU.",
)
overrides_option = click.option(
    "-o",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe: -o train.epochs=3. May be repeated.",
)
trust_option = click.option(
    "--trust-code", is_flag=True, help="Run the code (module.py) of a user's own architecture."
)
_MODULE_HELP = "A hub name (`hubtune hub list` shows all), a module folder or a weights file."
module_option = click.option("--module", required=True, metavar="NAME", help=_MODULE_HELP)
optional_module_option = click.option("--module", metavar="NAME", help=_MODULE_HELP)
weights_option = click.option(
    "--weights",
    default="official",
    metavar="FILE",
    help="A .safetensors or .pdparams file, or Paddle 1's parameters; none for random values.",
)


_parts = click.option(
    "--parts",
    metavar="LIST=FOLDER,…",
    help="Which folders are the lists: train=seg_train,val=seg_val,test=seg_test.",
)
_as_classes = click.option(
    "--as-classes",
    is_flag=True,
    help="Every folder is a class and every picture counts, whatever their names.",
)
_column = click.option(
    "--column",
    "columns",
    metavar="NAME=COLUMN,…",
    help="A table's columns: path=file,label=breed, also group and split; or numbers, path=1,label=2.",
)
_encoding = click.option(
    "--encoding", metavar="NAME", help="Encoding of lists, tables, names in archives: gbk, …"
)
_labels_are = click.option(
    "--labels-are",
    type=click.Choice(("numbers", "numbers-from-1", "names", "multi-label")),
    help="What the labels in lists and tables are.",
)
_no_list = click.option(
    "--no-list",
    is_flag=True,
    help="Of a bucket: take the listing of the last time; new and changed objects are not seen.",
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--batch-size``, ``--device`` and ``--engine``."""
    for option in (_engine, _device, _batch_size):
        command = option(command)
    return command


_listing = click.option(
    "--listing",
    type=FILE,
    help="Of a bucket: its listing, an inventory or a table of key, size and etag, so that it is not listed.",
)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that settle what a source does not say, as one argument ``settings``."""

    @functools.wraps(command)
    def with_settings(
        *arguments: Any,
        parts: str | None,
        as_classes: bool,
        columns: str | None,
        encoding: str | None,
        labels_are: str | None,
        no_list: bool,
        listing: Path | None,
        **options: Any,
    ) -> Any:
        from hubtune.data.sources.settings import SourceSettings, parse_columns, parse_parts

        given = parse_parts(parts) if parts else {}, parse_columns(columns) if columns else {}
        settings = SourceSettings(given[0], as_classes, encoding, given[1], labels_are, no_list, listing)
        return command(*arguments, settings=settings, **options)

    decorated: Callable[..., Any] = with_settings
    for option in (_listing, _no_list, _labels_are, _encoding, _column, _as_classes, _parts):
        decorated = option(decorated)
    return decorated


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--column`` and ``--encoding``, as one argument ``settings``."""

    @functools.wraps(command)
    def with_settings(*, columns: str | None, encoding: str | None, **options: Any) -> Any:
        from hubtune.data.sources.settings import SourceSettings, parse_columns

        named = parse_columns(columns) if columns else {}
        return command(settings=SourceSettings(encoding=encoding, columns=named), **options)

    return _column(_encoding(with_settings))


def parse_weights(weights: str) -> str | None:
    """Return the value of ``--weights`` as :class:`~hubtune.hub.module.Module` takes it."""
    return None if weights == "none" else weights
