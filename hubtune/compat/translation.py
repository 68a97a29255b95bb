"""A recipe made from another program's settings, with what it leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from hubtune.compat.config_values import ConfigValues
from hubtune.recipe.load import RecipeDumper, make_recipe
from hubtune.text import escaped, shortened


class LeftOut(NamedTuple):
    """A setting that the recipe does not have, and why, or what to do instead."""

    key: str
    value: Any
    reason: str

    def describe(self) -> str:
        value = escaped(shortened(str(self.value)))
        shown = "" if isinstance(self.value, Mapping | list) or not value else f" ({value})"
        return f"{escaped(self.key)}{shown}: {escaped(self.reason)}"


@dataclass
class Translation:
    """A recipe in the making.

    Attributes:
        source: name of the other program's settings, for messages.
        reasons: why keys, or sections, of the other program need no counterpart.
        recipe: sections of the recipe.
        left_out: settings that it does not have.
    """

    source: str
    reasons: Mapping[str, str]
    recipe: dict[str, Any] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def leave_out(self, key: str, value: Any, reason: str) -> None:
        self.left_out.append(LeftOut(key, value, reason))

    def finish(self, values: ConfigValues) -> None:
        """Add what was not read to the settings left out, and check the recipe.

        Raises:
            RecipeError: a value is one that recipes do not take.
        """
        known = {entry.key for entry in self.left_out}
        for key, value in values.unread():
            section = next((name for name in self.reasons if key == name or key.startswith(f"{name}.")), None)
            if section not in known and key not in known:
                reason = "hubtune has no such setting" if section is None else self.reasons[section]
                known.add(section or key)
                self.leave_out(section or key, "" if section not in (None, key) else value, reason)
        self.recipe = {name: values for name, values in self.recipe.items() if values}
        make_recipe(self.recipe, source=self.source)

    def as_yaml(self) -> str:
        """Return the recipe as a file, whose comments list the settings left out."""
        lines = [f"# Translated from {escaped(self.source)}."]
        if self.left_out:
            lines += ["# Left out:", *(f"#   {entry.describe()}" for entry in self.left_out)]
        text: str = yaml.dump(
            self.recipe,
            Dumper=RecipeDumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None,
            width=110,
        )
        return "\n".join(lines) + "\n" + text
