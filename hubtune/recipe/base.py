"""The base of everything that a recipe says."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Immutable, and without room for unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
