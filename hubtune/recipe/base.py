"""The base class of all parts of a recipe."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Settings(BaseModel):
    """Immutable settings that refuse unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def _as_bool(value: Any) -> Any:
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_as_bool)]
"""``True`` or ``False``, which a recipe may also write as ``on`` and ``off``."""


def parse_share(value: str | float) -> float:
    """Turn ``"5%"`` or ``0.05`` into 0.05.

    Raises:
        ValueError: it is not a share between 0 and 1.
    """
    text = str(value).strip()
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise ValueError("not a share between 0 and 1 (or 0% and 100%)")
    return share
