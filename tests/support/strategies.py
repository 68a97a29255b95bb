"""The names of all strategies, in the order of messages."""

from typing import get_args

from hubtune.recipe.strategies import Strategy

STRATEGY_NAMES = ", ".join(kind.model_fields["name"].default for kind in get_args(get_args(Strategy)[0]))
