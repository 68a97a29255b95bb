"""Rules decide what is trained, when, how fast, and with how much decay."""

import pytest

from hubtune.errors import UsageError
from hubtune.recipe.rule import Rule
from hubtune.train.rules import match_rules


def test_the_first_rule_that_matches_decides(parameters):
    rules = [Rule(match="*/*.bias"), Rule(match="head", lr_mult=10), Rule(match="*", weight_decay=0.1)]
    matched = {parameter.name: rule.match for parameter, rule in match_rules(rules, parameters)}
    assert matched == {"0.weight": "*", "0.bias": "*/*.bias", "1.weight": "head", "1.bias": "*/*.bias"}
    rules = [Rule(match="stem", dimensions=1), Rule(match="*")]
    matched = {parameter.name: rule.dimensions for parameter, rule in match_rules(rules, parameters)}
    assert matched == {"0.weight": None, "0.bias": 1, "1.weight": None, "1.bias": None}


def test_a_parameter_without_a_rule_and_a_rule_that_matches_nothing_are_errors(parameters):
    for matches, message in (
        (["head"], r"No rule .* covers stem/0.weight: end the list with a rule for the rest, {match: '\*'}"),
        (["steem", "*"], r"'steem' matches no parameter .* Did you mean 'stem'\? Stages: stem, head"),
        (["*", "head"], "rule for 'head' matches no parameter that an earlier rule has not"),
    ):
        with pytest.raises(UsageError, match=message):
            match_rules([Rule(match=each) for each in matches], parameters)
    matched = match_rules([Rule(match="steem"), Rule(match="*")], parameters, idle=True)
    assert {rule.match for _, rule in matched} == {"*"}
