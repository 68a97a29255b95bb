"""The table of strategies: how each one is trained, and what it needs. Nothing else asks which one it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hubtune.models.classifier import Classifier
from hubtune.train.context import RunContext
from hubtune.train.evaluator import TrainedModel
from hubtune.train.from_frozen import train_from_frozen
from hubtune.train.frozen_head import train_frozen
from hubtune.train.gradient import train_by_gradients
from hubtune.train.last_stage import train_last_stage


@dataclass(frozen=True)
class Trainer:
    """How a strategy is trained, and what it needs.

    Attributes:
        start: ``pretrained``: from the module's weights; ``random``: from random values; ``either``;
            ``solved_head``: from the module's weights and a head that is solved in closed form.
        by_gradients: whether there are training steps, with a learning rate.
        sees_augmented: whether the whole network runs on augmented images in training.
        chosen_on_validation: whether the best model is chosen on the validation list.
        searchable: whether a search for settings tries it.
        paddlehub: whether PaddleHub 1.x has it.
    """

    train: Callable[[RunContext, Classifier], TrainedModel] = train_by_gradients
    start: Literal["pretrained", "random", "either", "solved_head"] = "pretrained"
    needs_validation: bool = False
    min_stages: int = 1
    by_gradients: bool = True
    sees_augmented: bool = True
    chosen_on_validation: bool = True
    searchable: bool = True
    paddlehub: bool = False


TRAINERS = {
    "frozen": Trainer(
        train_frozen,
        start="solved_head",
        by_gradients=False,
        sees_augmented=False,
        chosen_on_validation=False,
    ),
    "from_frozen": Trainer(train_from_frozen, start="solved_head", needs_validation=True),
    "default_finetune": Trainer(paddlehub=True),
    "last_stage": Trainer(
        train_last_stage, start="solved_head", needs_validation=True, min_stages=3, sees_augmented=False
    ),
    "l2sp": Trainer(paddlehub=True),
    "ulmfit": Trainer(paddlehub=True),
    "adam_weight_decay": Trainer(start="either", paddlehub=True),
    "scratch": Trainer(start="random"),
    "default": Trainer(searchable=False, paddlehub=True),
    "combined": Trainer(searchable=False, paddlehub=True),
    "rules": Trainer(searchable=False),
}
"""Name of a strategy → its trainer; a search tries strategies in this order."""
