"""One process's work on a run: from the pieces of a task to a finished run folder."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import paddle
from paddle import nn

from hubtune.data.dataset import LIST_NAMES
from hubtune.data.images.augment import augment_image, read_image
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.listing import ImageEntry
from hubtune.data.ram_cache import DecodedImages
from hubtune.errors import DataError, ModelError, StoppedError
from hubtune.evaluation.metrics import Metrics, measure
from hubtune.hub.entry import preprocessing_for
from hubtune.hub.module import Module
from hubtune.hub.module_code import CODE_FILE
from hubtune.inference.engine import start_engine
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.model import load_model
from hubtune.inference.model_folder import ModelCard, read_card, write_model
from hubtune.inference.predict import BackboneOutput, ImageScores, mean_of, predict_scores, sample_of, softmax
from hubtune.inference.program import Part
from hubtune.log import EVAL, logger
from hubtune.models.classifier import Classifier
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import (
    FromFrozenStrategy,
    HeadSettings,
    LastStageStrategy,
    ScratchStrategy,
    SolvedStrategy,
)
from hubtune.rng import rng_for, seed_for
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RunFolder
from hubtune.runs.signals import Stop, StopRequested
from hubtune.text import format_duration
from hubtune.train.changed import ChangedFiles
from hubtune.train.checkpoint import Checkpoints, TrainState
from hubtune.train.frozen_head import HeadSolver, Solution, first_views
from hubtune.train.gradient import Prepare, Training, balance_of
from hubtune.train.last_stage import check_room
from hubtune.train.loop import log_evaluation, log_waiting
from hubtune.train.plan import plan_training
from hubtune.train.rules import NamedParameter
from hubtune.train.skipped import BadImages

_Seen = TypeVar("_Seen", ImageScores, BackboneOutput)

# Of the time that a frozen trunk takes, if that is no moment, the share that is worth a word.
_LONG_SECONDS, _MUCH_WAITING = 2.0, 0.4
_SMALL_DATA = 10_000  # training pictures below which pretrained BatchNorm statistics are kept


class Session:
    """One process's work on a run."""

    def __init__(
        self,
        module: Module,
        labels: list[str],
        config: RunConfig,
        run: RunFolder,
        examples: dict[str, list[ImageEntry]],
        groups: Mapping[Path, int],
        stop: Stop,
        observer: Callback,
    ) -> None:
        """Build the network.

        Args:
            module: the pretrained module.
            labels: class names.
            config: how to train.
            run: the run folder, locked.
            examples: the pictures of each list.
            groups: number of the group of pictures that belong together, for those that are in one.
            stop: asked wherever the run can stop.
            observer: told about progress.

        Raises:
            UsageError: if ``fit`` or ``size`` do not go with the module.
            ModelError: if the network cannot be adapted to the number of channels.
        """
        self.module = module
        self.labels = labels
        self.config = config
        self.run = run
        self.examples = examples
        self.groups = groups
        self.stop = stop
        self.observer = observer
        self.views = [preprocessing_for(module.name, module.preprocessing, module.backbone, config)]
        self._cross_validated: float | None = None
        self.classifier = self._build()
        self.metrics: dict[str, dict[str, Any]] = {}
        self._sizes = {"batch_size": config.images_per_step, "workers": config.workers}
        self._score: Callable[[Sequence[Path]], Iterator[ImageScores]] = self._score_network
        self._cache = FeatureCache()
        # Of one epoch, nothing is decoded twice.
        self._decoded = DecodedImages(len(examples["train"]), 0 if config.epochs == 1 else None)

    def train(self) -> dict[str, Any]:
        """Do what is left of the run; returns the content of ``result.json``."""
        self._announce()
        self.skipped = BadImages(self.run, self.examples, self.config)
        self._changed = ChangedFiles(self.run.path, self.examples, self.config.workers + 2)
        try:
            self._changed.check(self.stop.check)
            self.skipped.check_headers(self.stop.check)
        except StopRequested:
            raise self._stopped_before_training() from None
        strategy = self.config.strategy
        if isinstance(strategy, LastStageStrategy):
            return self._fit_last_stage(strategy)
        if isinstance(strategy, FromFrozenStrategy):
            return self._fit_from_frozen(strategy)
        if isinstance(strategy, HeadSettings):
            return self._solve(strategy)
        self._fit(self.classifier, self._prepare_image, TrainState())
        return self._finish_fit()

    def _build(self) -> Classifier:
        config = self.config
        paddle.seed(seed_for(config.seed, "init"))  # for a trunk that starts from random values
        classifier = Classifier(
            self.module.backbone,
            len(self.labels),
            hidden_units=config.hidden_units,
            seed=config.seed,
            dropout=config.dropout,
        )
        if self.module.weights is not None:
            classifier.load_trunk(self.module.network)
        classifier.take_channels(config.channels, self.views[0].grey_in_colours)
        return classifier

    def _announce(self) -> None:
        counts = ", ".join(f"{len(self.examples[name]):,} {name}" for name in LIST_NAMES)
        logger.info(
            "%s, %s, %s: %s pictures of %d classes",
            *(self.module.name, self.config.strategy.name, paddle.device.get_device()),
            *(counts, len(self.labels)),
        )
        seen = Counter(example.label for example in self.examples["train"])
        missing = [name for number, name in enumerate(self.labels) if not seen[number]]
        if missing:
            logger.warning("no training picture: %s; these classes cannot be learned", ", ".join(missing))
        if self._leaves_fourth_channel():
            logger.warning(
                "strategy %s does not train the first layer, whose weights for the fourth channel start at "
                "zero: it will not be seen. Strategy default_finetune learns it",
                self.config.strategy.name,
            )
        if isinstance(self.config.strategy, HeadSettings):
            return  # what follows is about gradients
        if not self.examples["validate"]:
            logger.warning("no validation list: the model of the last step is kept, not the best one")
            if self.config.early_stopping or self.config.average_best:
                logger.warning("without a validation list, early_stopping and average_best do nothing")
        if self.module.weights is None and not isinstance(self.config.strategy, ScratchStrategy):
            logger.warning("the module has random weights: this is no fine-tuning, and needs many epochs")
        if self.config.images_per_step > len(self.examples["train"]):
            logger.warning(
                "batch_size %d is more than the %d training pictures: an epoch is a single step",
                *(self.config.images_per_step, len(self.examples["train"])),
            )

    def _leaves_fourth_channel(self) -> bool:
        """Whether there is a fourth channel, and nothing is learned of it."""
        strategy = self.config.strategy
        if self.config.channels != 4:
            return False
        if isinstance(strategy, HeadSettings):
            return not isinstance(strategy, FromFrozenStrategy)
        named = [NamedParameter(*entry) for entry in self.classifier.trained_parameters()]
        matched = plan_training(self.config, named, self.config.rate).matched
        return any(rule.frozen for parameter, rule in matched if parameter.name == self.classifier.adapted)

    def _solve(self, strategy: HeadSettings) -> dict[str, Any]:
        """Strategy `frozen`: compute the features of the pictures once, and solve the head on them."""
        self.run.history.keep_through(-1)  # of an attempt that was killed
        try:
            self._solve_head(strategy)
            metrics = self._evaluate("validate")
        except StopRequested:
            raise StoppedError(
                "Stopped before the head was solved; it will be solved anew",
                self.stop.exit_code,
                self.run.path,
            ) from None
        self._keep_solved(metrics)
        return self._finish(0)

    def _solve_head(self, strategy: HeadSettings) -> None:
        """Find views and head, and let the classifier have them."""
        trunk = self._trunk("features", self.classifier.features, self.classifier.state_before_head())
        solution = self._solution(strategy, trunk)
        linear: nn.Linear = self.classifier.head[0]
        linear.weight.set_value(solution.weight)
        linear.bias.set_value(solution.bias)
        self.views = solution.views
        self._score = lambda paths: _solved_outcomes(trunk, solution, paths, self._sizes)

    def _keep_solved(self, metrics: Metrics | None) -> None:
        if metrics is not None:
            log_evaluation("dev", metrics)
            self.run.history.append({"step": 0, "list": "validate", **metrics.as_dict()})
            self.observer.evaluated("validate", metrics, step=0, best=True)
        self._keep_best(metrics, step=0)

    def _start_from_frozen(self, strategy: SolvedStrategy) -> TrainState:
        """Take views and head from the solution of `frozen`; it is the first best model."""
        state = TrainState()
        self._solve_head(strategy)
        if Checkpoints(self.run.checkpoints).any():
            # As it began: what the budget allows depends on how busy the machine is.
            self.views = read_card(self.run.best_model).views
            return state
        self.run.history.keep_through(-1)
        metrics = self._evaluate("validate")
        if metrics is None:
            raise DataError(
                f"Strategy {strategy.name} is held against frozen on the validation list, which has no "
                "readable picture: repair it, or take strategy frozen"
            )
        self._keep_solved(metrics)
        # The best of many evaluations is better by chance alone, but not by a standard error.
        share = metrics.accuracy
        state.best_accuracy = share + math.sqrt(share * (1 - share) / metrics.count)
        return state

    def _fit_last_stage(self, strategy: LastStageStrategy) -> dict[str, Any]:
        """Strategy `last_stage`: from the solution of `frozen`, on kept activations."""
        classifier = self.classifier
        trunk = self._trunk(
            f"before {classifier.last_stage}",
            classifier.before_last_stage,
            classifier.state_before_last_stage(),
            half=True,
        )
        try:
            own, _ = self._first_views(strategy)
            self._check_room(trunk, [own], None)
            state = self._start_from_frozen(strategy)
            self._check_room(trunk, self.views, self.run.best_model)
            trunk.start(self.views, self._paths("train"))  # here, and not in the middle of a training step
            self._tell_activations(trunk)
            kept = trunk.keep(self.views, self._paths("train"), **self._sizes)
            for _ in self._watch("train", "activations", kept.compute()):
                pass
            self._tell_waiting(trunk)
        except StopRequested:
            raise self._stopped_before_training() from None

        def prepare(epoch: int, index: int) -> np.ndarray:
            return kept.row(index, self._drawn_view(epoch, index)).astype(np.float32)

        self._score = lambda paths: self._score_activations(trunk, paths)
        best_step = self._fit(classifier.from_last_stage, prepare, state)
        return self._finish_from_frozen(best_step, "the last stage")

    def _fit_from_frozen(self, strategy: FromFrozenStrategy) -> dict[str, Any]:
        """Strategy `from_frozen`: from the solution of `frozen`, on pictures."""
        try:
            state = self._start_from_frozen(strategy)
        except StopRequested:
            raise self._stopped_before_training() from None
        self._score = self._score_network
        best_step = self._fit(self.classifier, self._prepare_image, state)
        return self._finish_from_frozen(best_step, "all parameters")

    def _drawn_view(self, epoch: int, index: int) -> int:
        """The view in which a training picture is seen in an epoch."""
        return int(rng_for(self.config.seed, "view", epoch, index).integers(len(self.views)))

    def _stopped_before_training(self) -> StoppedError:
        return StoppedError("Stopped before training began", self.stop.exit_code, self.run.path)

    def _finish_from_frozen(self, best_step: int, what: str) -> dict[str, Any]:
        if best_step == 0:
            self.observer.notice(
                f"Training {what} did not help on the validation list by more than chance: the model is that "
                "of strategy frozen."
            )
        return self._finish_fit()

    def _check_room(self, trunk: FrozenBackbone, views: Sequence[Preprocessing], solved: Path | None) -> None:
        count = len(self.examples["train"]) + len(self.examples["validate"])
        check_room(trunk, self._cache, views, self._paths("train"), count, solved=solved)

    def _tell_activations(self, trunk: FrozenBackbone) -> None:
        """Say how long the activations will take, where they are not kept already."""
        paths = self._paths("train")
        pace = trunk.measure(self.views[0], paths, workers=self.config.workers, check=self.stop.check)
        if pace is not None:
            count = len(paths) + len(self.examples["validate"])
            seconds = count * pace.seconds_for(len(self.views))
            logger.info("%s computes the activations: about %s", trunk.name, format_duration(seconds))

    def _tell_waiting(self, trunk: FrozenBackbone) -> None:
        """Say how long the engine was without work, where that is much of the time."""
        if trunk.seconds > _LONG_SECONDS and trunk.waited > _MUCH_WAITING * trunk.seconds:
            log_waiting(trunk.waited / trunk.seconds)

    def _score_activations(self, trunk: FrozenBackbone, paths: Sequence[Path]) -> Iterator[ImageScores]:
        """Score pictures by the last stage and the head as they are now, from kept activations."""
        tail = start_engine(Part(self.classifier, self.classifier.from_last_stage), [], wanted="paddle")
        outputs = trunk.outputs(self.views, paths, **self._sizes)
        while some := [*islice(outputs, self.config.images_per_step)]:
            rows = [row.astype(np.float32) for output in some for row in output.rows or ()]
            logits = iter(tail.begin(rows)() if rows else [])
            for output in some:
                scores = [*islice(logits, len(output.rows or ()))]
                yield ImageScores(output.path, softmax(mean_of(scores)) if scores else None, output.error)

    def _paths(self, name: str) -> list[Path]:
        return [example.path for example in self.examples[name]]

    def _trunk(
        self,
        layer: str,
        forward: Callable[[paddle.Tensor], paddle.Tensor],
        tensors: Mapping[str, paddle.Tensor],
        *,
        half: bool = False,
    ) -> FrozenBackbone:
        return FrozenBackbone(
            Part(self.classifier, forward, self.views[0]),
            tensors,
            module=self.module.backbone.name,
            layer=layer,
            wanted=self.config.engine,
            cache=self._cache,
            code=self.module.code,
            half=half,
        )

    def _first_views(self, strategy: HeadSettings) -> tuple[Preprocessing, Preprocessing | None]:
        fixed, size_multiple = self.config.fit is not None, self.module.backbone.size_multiple
        return first_views(self.views[0], strategy, fixed=fixed, size_multiple=size_multiple)

    def _solution(self, strategy: HeadSettings, trunk: FrozenBackbone) -> Solution:
        labels = np.array([example.label for example in self.examples["train"]])
        solver = HeadSolver(
            trunk,
            self._cache,
            self.examples["train"],
            self.groups,
            strategy,
            num_classes=len(self.labels),
            balanced=balance_of(self.config.balance, labels) != "none",
            seed=self.config.seed,
            watch=lambda what, outputs, count: self._watch("train", what, outputs, count),
            check=self.stop.check,
            **self._sizes,
        )
        own, wider = self._first_views(strategy)
        others = len(self.examples["validate"]) + len(self.examples["test"])
        seconds = solver.estimate(own, wider, others)
        if seconds is not None:
            logger.info(
                "%s computes the features, to the result: about %s", trunk.name, format_duration(seconds)
            )
        solution = solver.solve(own, wider)
        self._tell_waiting(trunk)
        self._cross_validated = solution.accuracy
        if solution.accuracy is not None:
            logger.info(
                "regularisation C=%g, cross-validated acc=%.5f on the training list",
                *(solution.strength, solution.accuracy),
            )
        return solution

    def _fit(
        self, forward: Callable[[paddle.Tensor], paddle.Tensor], prepare: Prepare, state: TrainState
    ) -> int:
        """Train from the newest checkpoint, or from the start.

        Args:
            forward: what logits are made with of what ``prepare`` gives.
            prepare: makes the network's input of a training picture.
            state: where training starts if there is no checkpoint.

        Returns:
            The step of the best model.
        """
        training = Training(
            self.classifier,
            self.config,
            self.examples["train"],
            len(self.labels),
            self.run,
            self.skipped,
            self.stop,
            self.observer,
            keep_statistics=self._keeps_statistics(),
            forward=forward,
            prepare=prepare,
            mixing=self.config.augment if prepare == self._prepare_image else AugmentSettings(),
        )
        [pixels] = sample_of(self.views[:1], self._paths("train")) or [np.zeros((224, 224, 3))]
        try:
            state = training.fit(
                state,
                module=self.module.name,
                shape=(pixels.shape[0], pixels.shape[1]),
                evaluated=len(self.examples["validate"]) * len(self.views),
                evaluate=lambda: self._evaluate("validate"),
                keep_best=self._keep_best,
                adopt=self._adopt_newer_best,
            )
        except StopRequested:  # in the test of rates, or while the mean of the best weights is measured
            raise StoppedError(
                "Stopped outside the steps of training; what was done is saved",
                self.stop.exit_code,
                self.run.path,
            ) from None
        return state.best_step

    def _keeps_statistics(self) -> bool:
        if self.config.batch_norm == "auto":
            return self.module.weights is not None and len(self.examples["train"]) < _SMALL_DATA
        return self.config.batch_norm == "keep"

    def _adopt_newer_best(self, state: TrainState) -> None:
        """A best model that was saved after the newest checkpoint is this run's, too: keep its figure."""
        try:
            card = read_card(self.run.best_model)
        except ModelError:
            return  # none yet, or damaged: the coming evaluations write it anew
        if card.step > state.step and "validate" in card.metrics:
            state.best_accuracy, state.best_step = card.metrics["validate"]["accuracy"], card.step

    def _prepare_image(self, epoch: int, index: int) -> np.ndarray:
        view, settings, path = self.views[0], self.config.augment, self.examples["train"][index].path
        image = self._decoded.get(index, lambda: read_image(path, view, settings))
        pixels = augment_image(image, view, settings, rng_for(self.config.seed, "augment", epoch, index))
        # Views beside the first are its mirror images.
        seen = self.views[self._drawn_view(epoch, index)]
        return view.normalise(pixels if seen.mirror == view.mirror else pixels[:, ::-1])

    def _score_network(self, paths: Sequence[Path]) -> Iterator[ImageScores]:
        """Score pictures by the network as it is now; it changes too often to bring it into other engines."""
        part = Part(self.classifier, self.classifier, self.views[0])
        engine = start_engine(part, [], wanted="paddle")
        return predict_scores(engine, self.views, paths, **self._sizes)

    def _evaluate(self, name: str) -> Metrics | None:
        """Measure the classifier; ``None`` where the list has no readable picture, or there is none."""
        examples = self.examples[name]
        if not examples:
            return None
        watched = self._watch(name, None, self._score([example.path for example in examples]))
        metrics = measure((outcome.values for outcome in watched), [example.label for example in examples])
        if not metrics.count:
            logger.warning("none of the %d %s pictures can be read: no figure", len(examples), name)
            return None
        return metrics

    def _watch(
        self, name: str, shown: str | None, outcomes: Iterator[_Seen], count: int | None = None
    ) -> Iterator[_Seen]:
        """Pass outcomes on, noting bad pictures, and stopping where a signal has asked for it."""
        if shown:
            self.observer.start(shown, len(self.examples[name]) if count is None else count)
        for outcome in outcomes:
            self.stop.check()
            if outcome.error is not None:
                self.skipped.add(name, outcome.error)
            if shown:
                self.observer.advance(1)
            yield outcome

    def _keep_best(self, metrics: Metrics | None, step: int) -> None:
        self.metrics = {} if metrics is None else {"validate": metrics.as_dict()}
        self._save(step)
        shown = "" if metrics is None else f" [best acc={metrics.accuracy:.5f}]"
        logger.log(EVAL, "best model saved to %s%s", self.run.best_model, shown)

    def _save(self, step: int) -> None:
        write_model(self.run.best_model, self.classifier, self._card(step), code=self.module.code)

    def _card(self, step: int) -> ModelCard:
        return ModelCard(
            architecture=self.module.backbone.name if self.module.code is None else CODE_FILE,
            hidden_units=self.config.hidden_units,
            labels=self.labels,
            preprocessing=self.views[0],
            further_views=self.views[1:],
            module=self.module.name,
            module_sha256=self.module.weights_sha256,
            strategy=self.config.strategy.name,
            step=step,
            metrics=self.metrics,
        )

    def _finish_fit(self) -> dict[str, Any]:
        """Load the best model, and close the run with it."""
        logger.info("Load the best model from %s", self.run.best_model)
        trust = self.module.code is not None
        best = load_model(self.run.best_model, trust_code=trust, engine=self.config.engine)
        self.classifier, self.metrics = best.classifier, {**best.card.metrics}
        self._score = lambda paths: best.score(paths, **self._sizes)
        return self._finish(best.card.step)

    def _finish(self, step: int) -> dict[str, Any]:
        """Measure the best model, of a step, on the test list, and close the run."""
        try:
            test = self._evaluate("test")
        except StopRequested:
            raise StoppedError(
                "Stopped during the test at the end; the best model is saved",
                self.stop.exit_code,
                self.run.path,
            ) from None
        if test is not None:
            log_evaluation("test", test)
            self.run.history.append({"step": step, "list": "test", **test.as_dict()})
            self.observer.evaluated("test", test, step=step, best=False)
            self.metrics["test"] = test.as_dict()
            self._save(step)
        self._changed.check(lambda: None)
        result = {
            "best_step": step,
            "validate": None,
            "test": None,
            **self.metrics,
            "views": [view.description for view in self.views],
            "cross_validated": self._cross_validated,
            "skipped": self.skipped.counts(),
            "changed": self._changed.count,
        }
        Checkpoints(self.run.checkpoints).prune(1)
        self.run.write_result(result)
        self.run.remove_candidates()
        self.observer.finished(result)
        return result


def _solved_outcomes(
    trunk: FrozenBackbone, solution: Solution, paths: Sequence[Path], sizes: Mapping[str, int]
) -> Iterator[ImageScores]:
    """Score pictures by a solved head, their features from the cache where they are there."""
    for output in trunk.outputs(solution.views, paths, **sizes):
        scores = None if output.rows is None else softmax(solution.logits(output.rows))
        yield ImageScores(output.path, scores, output.error)
