"""Optimizer: updates parameters by rules, with limits on gradients, mixed precision and loss scaling."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import paddle

from hubtune.errors import UsageError
from hubtune.log import logger
from hubtune.recipe.optimization import ClipSettings, OptimizerSettings
from hubtune.train.plan import TrainingPlan
from hubtune.train.rules import is_frozen, optimizer_groups

# As Paddle's GradScaler starts; too large a scale costs one skipped step for each halving.
_FIRST_SCALE = 2.0**15
_GROWTH_STEPS = 1000  # steps without overflow after which the loss scale doubles


# Of each parameter, where it is not two.
_MOMENTS = {"sgd": 0, "momentum": 1, "lars": 1, "adagrad": 1, "rmsprop": 3}


@dataclass
class Precision:
    """Mixed precision: the type of the computation, and the factor that keeps small gradients from 0.

    Parameters stay in float32. Micikevicius et al., "Mixed Precision Training", 2018. Paddle's ``GradScaler``
    works on a GPU only and does not expose its state; this one is stored in checkpoints, and can be tested.

    Attributes:
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        scale: factor on the loss.
        is_dynamic: whether the factor is halved after an overflow, and doubled after many good steps.
        good: steps since its latest change.
    """

    dtype: str = "float32"
    scale: float = 1.0
    is_dynamic: bool = False
    good: int = 0

    def cast(self) -> AbstractContextManager[None]:
        """Return the context to run the network in."""
        if self.dtype == "float32":
            return nullcontext()
        context: AbstractContextManager[None] = paddle.amp.auto_cast(dtype=self.dtype)
        return context

    def adapt(self, *, finite: bool) -> None:
        """Halve the factor after a skipped step, double it after many good ones."""
        if not self.is_dynamic:
            return
        self.good = self.good + 1 if finite else 0
        if not finite:
            # Below 1 the scale would no longer keep small gradients from 0.
            self.scale = max(1.0, self.scale / 2)
        elif self.good == _GROWTH_STEPS:
            self.scale, self.good = 2 * self.scale, 0


def precision_of(amp: str, loss_scale: float | str) -> Precision:
    """Return the recipe's precision, or float32 on a CPU.

    Raises:
        UsageError: if the GPU has no bfloat16 arithmetic, and the recipe requires it.
    """
    if amp == "off":
        return Precision()
    if not paddle.device.get_device().startswith("gpu"):
        if amp != "auto":
            logger.warning("amp: %s is off, as there is no GPU: the CPU computes in float32", amp)
        return Precision()
    has_bf16 = paddle.amp.is_bfloat16_supported()
    if amp == "bf16" and not has_bf16:
        raise UsageError("This GPU has no bfloat16 arithmetic: take train.amp: fp16, or auto")
    # bfloat16 has the exponents of float32: small gradients do not vanish, and no scale is needed.
    if amp == "bf16" or (amp == "auto" and has_bf16):
        return Precision("bfloat16")
    if loss_scale == "dynamic":
        return Precision("float16", _FIRST_SCALE, is_dynamic=True)
    return Precision("float16", float(loss_scale))


class Optimizer:
    """Changes a network's parameters by their gradients.

    Attributes:
        optimizer: Paddle's optimizer, which holds the moments of earlier steps.
        precision: type and loss scale.
    """

    def __init__(self, plan: TrainingPlan, steps_per_epoch: int, precision: Precision | None = None) -> None:
        """Build the optimizer; L2-SP pulls parameters towards their current values.

        Raises:
            UsageError: if the optimizer does not support the rules.
        """
        self._plan, self._steps_per_epoch = plan, steps_per_epoch
        self._decoupled = plan.optimizer.name == "adamw"
        self.optimizer = _build(plan, decoupled=self._decoupled)
        self.precision = precision or Precision()

    def begin(self, step: int) -> bool:
        """Freeze and unfreeze for the step after ``step`` steps; returns whether anything changed."""
        changed = False
        for parameter, rule in self._plan.matched:
            frozen = is_frozen(rule, step, self._steps_per_epoch)
            # Saves the gradient's computation as well, unlike a rate of 0.
            changed |= parameter.tensor.stop_gradient != frozen
            parameter.tensor.stop_gradient = frozen
        return changed

    @property
    def trained(self) -> list[paddle.Tensor]:
        """The parameters that are not frozen now, in a fixed order."""
        tensors = [parameter.tensor for parameter, _ in self._plan.matched]
        return [tensor for tensor in tensors if not tensor.stop_gradient]

    @property
    def moment_bytes(self) -> int:
        """The bytes of all moments, also of parameters that are frozen now."""
        count = _MOMENTS.get(self._plan.optimizer.name, 2)
        return 4 * count * sum(each.tensor.size for each, rule in self._plan.matched if not rule.frozen)

    @property
    def has_moments(self) -> bool:
        """Whether the moments take their memory already: from the first update on."""
        return bool(self.optimizer.state_dict())

    def find_infinite(self) -> str | None:
        """Name a trained weight or a moment that is not finite: it would make later steps idle."""
        parameters = {parameter.tensor.name: parameter for parameter, _ in self._plan.matched}
        tensors = {
            **{name: each.tensor for name, each in parameters.items() if not each.tensor.stop_gradient},
            **self.optimizer.state_dict(),
        }
        with paddle.no_grad():
            # A number for all, as each has to be waited for; sums take a tenth of the time of norms.
            sums = [tensor.astype("float32").sum() for tensor in tensors.values()]
            if math.isfinite(paddle.add_n(sums)):
                return None
            bad = next((key for key, tensor in tensors.items() if not paddle.isfinite(tensor).all()), None)
        if bad is None or bad in parameters:
            return bad and f"the weight {parameters[bad].name}"
        owners = (each.name for name, each in parameters.items() if bad.startswith(f"{name}_"))
        return f"the optimizer's moment of {next(owners, bad)}"

    def apply(self, rate: float) -> None:
        """Update the parameters by the accumulated gradients, and clear these.

        A step whose gradients overflowed float16 is skipped.
        """
        trained = [
            (parameter.tensor, rule)
            for parameter, rule in self._plan.matched
            if not parameter.tensor.stop_gradient and parameter.tensor.grad is not None
        ]
        gradients = [tensor.grad for tensor, _ in trained]
        finite = True
        with paddle.no_grad():
            if self.precision.scale != 1:
                for gradient in gradients:
                    gradient.scale_(1 / self.precision.scale)
                # One norm for all: an overflow in any gradient makes it infinite.
                finite = bool(paddle.isfinite(_global_norm(gradients)))
            if finite:
                clip_gradients(gradients, self._plan.clip)
                for tensor, rule in trained:
                    decay = rule.decoupled_decay + (rule.weight_decay if self._decoupled else 0.0)
                    # Before the step, and scaled by the rate (Loshchilov and Hutter, 2019).
                    if decay:
                        tensor.scale_(1 - rate * rule.lr_mult * decay)
        if finite:
            # Set for each step: a scheduler of Paddle would be more state for checkpoints.
            self.optimizer.set_lr(rate)
            self.optimizer.step()
        self.optimizer.clear_grad()
        self.precision.adapt(finite=finite)


def clip_gradients(gradients: Sequence[paddle.Tensor], clip: ClipSettings) -> None:
    """Clip gradients in place: by value, by each norm, then by the global norm."""
    # Paddle's own clipping would take the global norm of each parameter group by itself.
    if clip.value is not None:
        for gradient in gradients:
            gradient.clip_(-clip.value, clip.value)
    if clip.norm is not None:
        for gradient in gradients:
            _shrink([gradient], gradient.norm(), clip.norm)
    if clip.global_norm is not None and gradients:
        _shrink(gradients, _global_norm(gradients), clip.global_norm)


def _global_norm(gradients: Sequence[paddle.Tensor]) -> paddle.Tensor:
    # In float32: squares of float16 gradients overflow at 256.
    return paddle.add_n([gradient.astype("float32").square().sum() for gradient in gradients]).sqrt()


def _shrink(gradients: Sequence[paddle.Tensor], norm: paddle.Tensor, most: float) -> None:
    # Without a comparison in Python, which would wait for the GPU.
    factor = most / paddle.maximum(norm, paddle.to_tensor(most, norm.dtype))
    for gradient in gradients:
        gradient.multiply_(factor.astype(gradient.dtype))


def _build(plan: TrainingPlan, *, decoupled: bool) -> paddle.optimizer.Optimizer:
    settings = plan.optimizer
    # Their decay is part of the step that is scaled to the layer's norm, so it cannot be applied apart.
    if settings.name in ("lamb", "lars"):
        return _layer_wise(plan)
    kind, given = _PADDLE[settings.name]
    groups = optimizer_groups(plan.matched, decoupled=decoupled)
    return kind(learning_rate=plan.rate, parameters=groups, **given(settings))


def _momentum(settings: OptimizerSettings) -> dict[str, float]:
    return {"momentum": settings.momentum, "use_nesterov": settings.nesterov}


def _fixed(_: OptimizerSettings) -> dict[str, float]:
    return {}


def _adam(settings: OptimizerSettings) -> dict[str, float]:
    return {"beta1": settings.beta1, "beta2": settings.beta2, "epsilon": settings.epsilon}


# Name → Paddle's class, and its arguments from the settings.
_PADDLE: dict[str, tuple[type, Callable[[OptimizerSettings], dict[str, float]]]] = {
    "adam": (paddle.optimizer.Adam, _adam),
    "adamw": (paddle.optimizer.Adam, _adam),
    "adamax": (paddle.optimizer.Adamax, _adam),
    "momentum": (paddle.optimizer.Momentum, _momentum),
    "sgd": (paddle.optimizer.SGD, _fixed),
    "adagrad": (paddle.optimizer.Adagrad, _fixed),
    "rmsprop": (paddle.optimizer.RMSProp, _fixed),
}


def _layer_wise(plan: TrainingPlan) -> paddle.optimizer.Optimizer:
    """Build Lamb or LARS, which scale the step, decay included, to each layer's norm."""
    settings, trained = plan.optimizer, [entry for entry in plan.matched if not entry[1].frozen]
    decays = {rule.weight_decay for _, rule in trained if rule.weight_decay}
    if len(decays) > 1 or any(rule.l2sp for _, rule in trained):
        raise UsageError(
            f"The optimiser {settings.name} takes one weight_decay for all parameters, or none for some, and "
            "no l2sp: change the strategy's rules, or take adam"
        )
    # These two classes of Paddle take no parameter groups; this attribute scales the rate instead.
    for parameter, rule in trained:
        parameter.tensor.optimize_attr["learning_rate"] = rule.lr_mult
    tensors = [parameter.tensor for parameter, _ in trained]
    spared = {parameter.tensor.name for parameter, rule in trained if not rule.weight_decay}
    decay = max(decays, default=0.0)
    if settings.name == "lamb":
        return paddle.optimizer.Lamb(
            learning_rate=plan.rate,
            lamb_weight_decay=decay,
            parameters=tensors,
            exclude_from_weight_decay_fn=lambda tensor: tensor.name in spared,
            **_adam(settings),
        )
    return paddle.incubate.optimizer.LarsMomentumOptimizer(
        learning_rate=plan.rate,
        momentum=settings.momentum,
        lars_coeff=settings.trust,
        lars_weight_decay=decay,
        parameter_list=tensors,
        exclude_from_weight_decay=[*spared],
    )
