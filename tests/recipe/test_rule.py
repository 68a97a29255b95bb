"""Rules say once when parameters are frozen, and gradual unfreezing trains the top stages first."""

import pytest

from hubtune.recipe.rule import Rule, rules_for


def test_only_one_kind_of_freezing_is_allowed():
    with pytest.raises(ValueError, match="exclude one another: keep one of them"):
        Rule(match="*", frozen=True, frozen_steps=3)


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("blocks", range(1, 7))
def test_in_epoch_e_the_top_stages_are_trained_and_the_head_always(count, blocks):
    stages = [f"s{number}" for number in range(count - 1)] + ["head"]
    rules = rules_for(stages, unfreezing=blocks)
    for epoch in range(1, blocks + 2):
        trained = {rule.match for rule in rules if rule.frozen_epochs < epoch}
        assert trained == {"head", *[*reversed(stages)][: count * epoch // blocks]}
