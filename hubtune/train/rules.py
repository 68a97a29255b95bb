"""Parameter groups from rules: which parameters are trained, when, at which rate, with which decay."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import paddle

from hubtune.errors import UsageError, suggest
from hubtune.recipe.rule import Rule


@dataclass(frozen=True)
class NamedParameter:
    """A parameter with the names that rules match: of its stage (``head``: the new head), and its own."""

    stage: str
    name: str
    tensor: paddle.Tensor

    def matches(self, rule: Rule) -> bool:
        if rule.dimensions is not None and len(self.tensor.shape) != rule.dimensions:
            return False
        return any(fnmatchcase(name, rule.match) for name in (self.stage, f"{self.stage}/{self.name}"))


def match_rules(
    rules: Sequence[Rule], parameters: Iterable[NamedParameter], *, idle: bool = False
) -> list[tuple[NamedParameter, Rule]]:
    """Find the rule of each parameter: the first that matches its stage, or ``<stage>/<name>``.

    Unless ``idle``, as in the presets, a rule that matches nothing is a mistake of the list's author.

    Raises:
        UsageError: if no rule matches a parameter, or a rule matches no parameter.
    """
    parameters = list(parameters)
    matched = []
    used = set()
    for parameter in parameters:
        number = next((number for number, rule in enumerate(rules) if parameter.matches(rule)), None)
        if number is None:
            raise UsageError(
                f"No rule of the strategy covers {parameter.stage}/{parameter.name}: "
                "end the list with a rule for the rest, {match: '*'}"
            )
        used.add(number)
        matched.append((parameter, rules[number]))
    for number, rule in enumerate(rules):
        if number not in used and not idle:
            stages = list(dict.fromkeys(parameter.stage for parameter in parameters))
            # An earlier rule may have taken all parameters of this pattern: it has no effect either.
            raise UsageError(
                f"The strategy's rule for {rule.match!r} matches no parameter that an earlier rule has not."
                f"{suggest(rule.match, stages)} Stages: {', '.join(stages)}"
            )
    return matched


def is_frozen(rule: Rule, step: int, steps_per_epoch: int) -> bool:
    """Whether a rule's parameters are frozen in the step after ``step`` steps."""
    return rule.frozen or step < max(rule.frozen_steps, rule.frozen_epochs * steps_per_epoch)


def optimizer_groups(
    matched: Iterable[tuple[NamedParameter, Rule]], *, decoupled: bool
) -> list[dict[str, Any]]:
    """Return Paddle's parameter groups, one for each rate and kind of decay.

    Parameters that are frozen for the whole run are in none. L2-SP starts from the current values. If
    ``decoupled``, ``weight_decay`` is subtracted from the weights directly, so the optimizer gets none.
    """
    groups: dict[tuple[float, float, float], list[paddle.Tensor]] = {}
    for parameter, rule in matched:
        if not rule.frozen:
            l2 = 0.0 if decoupled else rule.weight_decay
            groups.setdefault((rule.lr_mult, l2, rule.l2sp), []).append(parameter.tensor)
    return [
        {"params": tensors, "learning_rate": lr_mult, "weight_decay": _regularizer(l2, l2sp, tensors)}
        for (lr_mult, l2, l2sp), tensors in groups.items()
    ]


def _regularizer(l2: float, l2sp: float, tensors: Sequence[paddle.Tensor]) -> Any:
    if l2sp:
        return _StartingPoint(l2, l2sp, {tensor.name: tensor.detach().clone() for tensor in tensors})
    return paddle.regularizer.L2Decay(l2) if l2 else None


class _StartingPoint(paddle.regularizer.WeightDecayRegularizer):
    """L2-SP: the gradient of the distance to the values at the start (Li, Grandvalet and Davoine, 2018)."""

    def __init__(self, l2: float, l2sp: float, start: Mapping[str, paddle.Tensor]) -> None:
        super().__init__()
        self._l2, self._l2sp, self._start = l2, l2sp, start

    def __call__(self, param: paddle.Tensor, grad: paddle.Tensor, block: Any) -> paddle.Tensor:
        pull = self._l2sp * (param - self._start[param.name])
        return pull + self._l2 * param if self._l2 else pull

    def __str__(self) -> str:
        return f"L2SP, coefficient {self._l2sp:g}"
