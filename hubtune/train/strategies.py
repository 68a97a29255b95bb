"""The table of strategies: how each one is trained, and what it needs. Nothing else asks which one it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hubtune.models.classifier import Classifier
from hubtune.train import from_frozen, frozen_head, gradient, last_stage
from hubtune.train.context import RunContext
from hubtune.train.evaluator import TrainedModel


@dataclass(frozen=True)
class Trainer:
    """How a strategy is trained, and what it needs.

    Attributes:
        train: trains a classifier in a run; returns the best model.
        start: ``pretrained``: from the module's weights; ``random``: from random values; ``either``;
            ``solved_head``: from the module's weights and a head that is solved in closed form.
        needs_validation: whether it cannot do without a validation list.
        min_stages: stages that the module must have.
        by_gradients: whether there are training steps, with a learning rate.
        sees_augmented: whether the whole network runs on augmented images in training.
        chosen_on_validation: whether the best model is chosen on the validation list.
        searchable: whether a search for settings tries it.
    """

    train: Callable[[RunContext, Classifier], TrainedModel] = gradient.train
    start: Literal["pretrained", "random", "either", "solved_head"] = "pretrained"
    needs_validation: bool = False
    min_stages: int = 1
    by_gradients: bool = True
    sees_augmented: bool = True
    chosen_on_validation: bool = True
    searchable: bool = True


TRAINERS = {
    "frozen": Trainer(
        frozen_head.train,
        start="solved_head",
        by_gradients=False,
        sees_augmented=False,
        chosen_on_validation=False,
    ),
    "from_frozen": Trainer(from_frozen.train, start="solved_head", needs_validation=True),
    "default_finetune": Trainer(),
    "last_stage": Trainer(
        last_stage.train,
        start="solved_head",
        needs_validation=True,
        min_stages=3,
        sees_augmented=False,
    ),
    "l2sp": Trainer(),
    "ulmfit": Trainer(),
    "adam_weight_decay": Trainer(start="either"),
    "scratch": Trainer(start="random"),
    "default": Trainer(searchable=False),
    "combined": Trainer(searchable=False),
    "rules": Trainer(searchable=False),
}
"""Name of a strategy → its trainer; a search tries strategies in this order."""
