"""Strategy `from_frozen`: trains all parameters, from the solution of `frozen`."""

from dataclasses import replace

from hubtune.models.classifier import Classifier
from hubtune.train.checkpoint import TrainState
from hubtune.train.context import RunContext
from hubtune.train.evaluator import TrainedModel
from hubtune.train.frozen_head import start_from_frozen
from hubtune.train.gradient import TrainedPart, train_part, whole_network


def train_from_frozen(context: RunContext, classifier: Classifier) -> TrainedModel:
    with context.stops_with("Stopped before training began"):
        head, state = start_from_frozen(context, classifier)
    part = whole_network(context, classifier, head.views)
    return continue_from_frozen(context, head, part, state, name="all parameters")


def continue_from_frozen(
    context: RunContext, head: TrainedModel, part: TrainedPart, state: TrainState, *, name: str
) -> TrainedModel:
    """Train a part from the solution of `frozen`, and say by the part's name if that did not help."""
    trained = train_part(context, head.classifier, part, head.views, state)
    if trained.step == 0:
        context.callback.notice(
            f"Training {name} did not help on the validation list by more than chance: the model is that of "
            "strategy frozen."
        )
        # Its features are cached; the network was trained in place, and the best model read from the run.
        return replace(head, classifier=trained.classifier, metrics=trained.metrics)
    return replace(trained, cross_validated=head.cross_validated)
