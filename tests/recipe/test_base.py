"""Settings are immutable, strict, and refuse unknown keys."""

import pytest
from pydantic import ValidationError

from hubtune.recipe.base import Settings, Switch


class Example(Settings):
    share: float = 0.5
    """A share."""
    page: Switch = True


def test_settings_cannot_be_changed_or_extended():
    assert Example.model_fields["share"].description == "A share."
    with pytest.raises(ValidationError):
        Example().share = 1.0
    for wrong in ({"other": 1}, {"share": "0.5"}, {"share": float("nan")}):
        with pytest.raises(ValidationError):
            Example(**wrong)


def test_a_switch_may_be_written_as_a_word():
    assert (Example(page="off").page, Example(page="on").page, Example(page=False).page) == (
        False,
        True,
        False,
    )
    for wrong in ("of", 1, None):
        with pytest.raises(ValidationError):
            Example(page=wrong)
