"""One step of a network's parameters, as rules, optimiser, limits on gradients and loss scale have it."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import paddle

from hubtune.errors import UsageError
from hubtune.log import logger
from hubtune.recipe.optimization import ClipSettings, OptimizerSettings
from hubtune.train.plan import TrainingPlan
from hubtune.train.rules import is_frozen, optimizer_groups

_FIRST_SCALE = 2.0**15
_GROWTH_STEPS = 1000  # without overflow, after which the loss scale doubles


@dataclass
class Precision:
    """Mixed precision: what is computed in fewer bits, and the factor that keeps small gradients from 0.

    Parameters stay in float32. Micikevicius et al., "Mixed Precision Training", 2018. Paddle's ``GradScaler``
    works on a GPU only, and keeps its state to itself; this one is a part of checkpoints, and of tests.

    Attributes:
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        scale: the factor on the loss.
        is_dynamic: whether it is changed as steps go well or not.
        good: steps since it was last changed.
    """

    dtype: str = "float32"
    scale: float = 1.0
    is_dynamic: bool = False
    good: int = 0

    def cast(self) -> AbstractContextManager[None]:
        """The context that the network is run in."""
        if self.dtype == "float32":
            return nullcontext()
        context: AbstractContextManager[None] = paddle.amp.auto_cast(dtype=self.dtype)
        return context

    def adapt(self, *, finite: bool) -> None:
        """Halve the factor after a step that had to be left out, double it after many that had not."""
        if not self.is_dynamic:
            return
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.scale = max(1.0, self.scale / 2)
        elif self.good == _GROWTH_STEPS:
            self.scale, self.good = 2 * self.scale, 0


def precision_of(amp: str, loss_scale: float | str) -> Precision:
    """The precision that a recipe asks for, as far as the device has it."""
    if amp == "off":
        return Precision()
    if not paddle.device.get_device().startswith("gpu"):
        if amp != "auto":
            logger.warning("amp: %s is off, as there is no GPU: the CPU computes in float32", amp)
        return Precision()
    has_bf16 = paddle.amp.is_bfloat16_supported()
    if amp == "bf16" and not has_bf16:
        raise UsageError("This GPU has no bfloat16 arithmetic: take train.amp: fp16, or auto")
    if amp == "bf16" or (amp == "auto" and has_bf16):
        return Precision("bfloat16")
    if loss_scale == "dynamic":
        return Precision("float16", _FIRST_SCALE, is_dynamic=True)
    return Precision("float16", float(loss_scale))


class Optimizer:
    """Changes a network's parameters by their gradients.

    Attributes:
        optimizer: Paddle's, which holds what it remembers of earlier steps.
        precision: what the network is computed in.
    """

    def __init__(
        self, method: TrainingPlan, steps_per_epoch: int, precision: Precision | None = None
    ) -> None:
        """Build the optimiser; L2-SP holds parameters to the values that they have now.

        Args:
            method: how each parameter is trained.
            steps_per_epoch: for rules that count epochs.
            precision: what the network is computed in; default: float32.

        Raises:
            UsageError: if the optimiser cannot do what the rules say.
        """
        self._method = method
        self._steps_per_epoch = steps_per_epoch
        self._decoupled = method.optimizer.name == "adamw"
        self.optimizer = _build(method, decoupled=self._decoupled)
        self.precision = precision or Precision()

    def begin(self, step: int) -> bool:
        """Freeze and unfreeze for the step after ``step`` steps; returns whether anything changed."""
        changed = False
        for parameter, rule in self._method.matched:
            frozen = is_frozen(rule, step, self._steps_per_epoch)
            changed |= parameter.tensor.stop_gradient != frozen
            parameter.tensor.stop_gradient = frozen
        return changed

    def apply(self, rate: float) -> None:
        """Make a step of the gradients that have been added up, and forget them.

        A step whose gradients have overflowed float16 is left out.
        """
        trained = [
            (parameter.tensor, rule)
            for parameter, rule in self._method.matched
            if not parameter.tensor.stop_gradient and parameter.tensor.grad is not None
        ]
        gradients = [tensor.grad for tensor, _ in trained]
        finite = True
        with paddle.no_grad():
            if self.precision.scale != 1:
                for gradient in gradients:
                    gradient.scale_(1 / self.precision.scale)
                finite = bool(paddle.isfinite(_global_norm(gradients)))
            if finite:
                limit(gradients, self._method.clip)
                for tensor, rule in trained:
                    decay = rule.decoupled_decay + (rule.weight_decay if self._decoupled else 0.0)
                    if decay:
                        tensor.scale_(1 - rate * rule.lr_mult * decay)
        if finite:
            self.optimizer.set_lr(rate)
            self.optimizer.step()
        self.optimizer.clear_grad()
        self.precision.adapt(finite=finite)


def limit(gradients: Iterable[paddle.Tensor], clip: ClipSettings) -> None:
    """Scale or cut gradients, in place, to what is allowed: single numbers, each norm, then the common norm.

    Not Paddle's own clipping, which takes the common norm of each parameter group by itself.
    """
    gradients = list(gradients)
    if clip.value is not None:
        for gradient in gradients:
            gradient.clip_(-clip.value, clip.value)
    if clip.norm is not None:
        for gradient in gradients:
            _shrink([gradient], gradient.norm(), clip.norm)
    if clip.global_norm is not None and gradients:
        _shrink(gradients, _global_norm(gradients), clip.global_norm)


def _global_norm(gradients: Iterable[paddle.Tensor]) -> paddle.Tensor:
    return paddle.add_n([gradient.astype("float32").square().sum() for gradient in gradients]).sqrt()


def _shrink(gradients: Iterable[paddle.Tensor], norm: paddle.Tensor, most: float) -> None:
    factor = most / paddle.maximum(norm, paddle.to_tensor(most, norm.dtype))
    for gradient in gradients:
        gradient.multiply_(factor.astype(gradient.dtype))


def _build(method: TrainingPlan, *, decoupled: bool) -> paddle.optimizer.Optimizer:
    settings = method.optimizer
    kind, given = paddle.optimizer.Adam, _adam(settings)
    if settings.name == "sgd":
        kind, given = paddle.optimizer.SGD, {}
    elif settings.name == "momentum":
        kind = paddle.optimizer.Momentum
        given = {"momentum": settings.momentum, "use_nesterov": settings.nesterov}
    elif settings.name in ("lamb", "lars"):
        return _layer_wise(method)
    groups = optimizer_groups(method.matched, decoupled=decoupled)
    return kind(learning_rate=method.rate, parameters=groups, **given)


def _adam(settings: OptimizerSettings) -> dict[str, float]:
    return {"beta1": settings.beta1, "beta2": settings.beta2, "epsilon": settings.epsilon}


def _layer_wise(method: TrainingPlan) -> paddle.optimizer.Optimizer:
    """Lamb and LARS, which decay within the step that they fit to each layer's norm."""
    settings, trained = method.optimizer, [entry for entry in method.matched if not entry[1].frozen]
    decays = {rule.weight_decay for _, rule in trained if rule.weight_decay}
    if len(decays) > 1 or any(rule.l2sp for _, rule in trained):
        raise UsageError(
            f"The optimiser {settings.name} takes one weight_decay for all parameters, or none for some, and "
            "no l2sp: change the strategy's rules, or take adam"
        )
    for parameter, rule in trained:
        parameter.tensor.optimize_attr["learning_rate"] = rule.lr_mult
    tensors = [parameter.tensor for parameter, _ in trained]
    spared = {parameter.tensor.name for parameter, rule in trained if not rule.weight_decay}
    decay = max(decays, default=0.0)
    if settings.name == "lamb":
        return paddle.optimizer.Lamb(
            learning_rate=method.rate,
            lamb_weight_decay=decay,
            parameters=tensors,
            exclude_from_weight_decay_fn=lambda tensor: tensor.name in spared,
            **_adam(settings),
        )
    return paddle.incubate.optimizer.LarsMomentumOptimizer(
        learning_rate=method.rate,
        momentum=settings.momentum,
        lars_coeff=settings.trust,
        lars_weight_decay=decay,
        parameter_list=tensors,
        exclude_from_weight_decay=[*spared],
    )
