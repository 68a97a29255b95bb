"""Places in a recipe: paths on this machine, and addresses in buckets where they are understood."""

import os
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from hubtune.errors import UsageError
from hubtune.storage.address import address_problem, is_bucket_address, parse_bucket_address


def _as_text(value: Any) -> Any:
    # A shell expands `~` in an argument, but not inside a recipe. Path's expanduser raises.
    return os.path.expanduser(value) if isinstance(value, str | os.PathLike) else value  # noqa: PTH111


def _refuse_address(value: str) -> str:
    if problem := address_problem(value):
        raise ValueError(problem)
    return value


def _refuse_other_address(value: str) -> str:
    if problem := address_problem(value, buckets=True):
        raise ValueError(problem)
    if is_bucket_address(value):
        try:
            parse_bucket_address(value)
        except UsageError as error:
            raise ValueError(str(error)) from error
    return value


Place = Annotated[str, BeforeValidator(_as_text), AfterValidator(_refuse_address)]
"""A path as text with ``~`` expanded; Python callers may pass a ``pathlib.Path``."""

PlaceOrBucket = Annotated[str, BeforeValidator(_as_text), AfterValidator(_refuse_other_address)]
"""A :data:`Place`, or the address of a folder in a bucket."""
