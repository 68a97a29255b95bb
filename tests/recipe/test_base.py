"""Settings are immutable, strict, and refuse unknown keys."""

import pytest
from pydantic import ValidationError

from hubtune.recipe.base import Settings


class Example(Settings):
    share: float = 0.5
    """A share."""


def test_settings_cannot_be_changed_or_extended():
    assert Example.model_fields["share"].description == "A share."
    with pytest.raises(ValidationError):
        Example().share = 1.0
    for wrong in ({"other": 1}, {"share": "0.5"}, {"share": float("nan")}):
        with pytest.raises(ValidationError):
            Example(**wrong)
