"""From rules to parameter groups: which parameters are trained, how fast, and with how much decay."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import paddle

from hubtune.errors import UsageError, suggest
from hubtune.recipe.strategy import Rule


@dataclass(frozen=True)
class Named:
    """A parameter with the names that rules know it by.

    Attributes:
        stage: the stage it belongs to; ``head`` for the classifier's new head.
        name: its name in the state dict.
        tensor: the parameter.
    """

    stage: str
    name: str
    tensor: paddle.Tensor


def match_rules(rules: Sequence[Rule], parameters: Iterable[Named]) -> list[tuple[Named, Rule]]:
    """Find the rule of each parameter: the first that matches its stage, or ``<stage>/<name>``.

    Raises:
        UsageError: if a parameter is matched by no rule, or a rule matches no parameter.
    """
    parameters = list(parameters)
    matched = []
    hits = dict.fromkeys(range(len(rules)), 0)
    for parameter in parameters:
        for number, rule in enumerate(rules):
            if fnmatchcase(parameter.stage, rule.match) or fnmatchcase(
                f"{parameter.stage}/{parameter.name}", rule.match
            ):
                hits[number] += 1
                break
        else:
            raise UsageError(
                f"No rule of the strategy covers {parameter.stage}/{parameter.name}: "
                "end the list with a rule for the rest, {match: '*'}"
            )
        matched.append((parameter, rule))
    stages = list(dict.fromkeys(parameter.stage for parameter in parameters))
    for number, count in hits.items():
        if not count:
            pattern = rules[number].match
            # A pattern whose parameters an earlier rule took is as idle as one that fits nothing.
            raise UsageError(
                f"The strategy's rule for {pattern!r} matches no parameter that an earlier rule has not."
                f"{suggest(pattern, stages)} Stages: {', '.join(stages)}"
            )
    return matched


def optimizer_groups(matched: Iterable[tuple[Named, Rule]]) -> list[dict[str, object]]:
    """Paddle's parameter groups for the parameters that are trained; one group a (rate, decay) pair."""
    groups: dict[tuple[float, float], list[paddle.Tensor]] = {}
    for parameter, rule in matched:
        if not rule.frozen:
            groups.setdefault((rule.lr_mult, rule.weight_decay), []).append(parameter.tensor)
    return [
        {
            "params": tensors,
            "learning_rate": lr_mult,
            "weight_decay": paddle.regularizer.L2Decay(weight_decay) if weight_decay else None,
        }
        for (lr_mult, weight_decay), tensors in groups.items()
    ]
