"""One process's work on a run: from the pieces of a task to a finished run folder."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import paddle
from paddle import nn
from pydantic import ValidationError

from hubtune.data.augment import augment
from hubtune.data.dataset import LIST_NAMES
from hubtune.data.image import Preprocessing, decode
from hubtune.data.lists import Example
from hubtune.data.loader import Batch, load_batches
from hubtune.errors import DataError, ModelError, StoppedError, UsageError
from hubtune.evaluate import Metrics, measure
from hubtune.files import sha256_of
from hubtune.hub.model_folder import ModelCard, read_card, write_model
from hubtune.hub.module import Module
from hubtune.hub.module_code import CODE_FILE
from hubtune.log import EVAL, logger
from hubtune.model import load_model
from hubtune.models.classifier import Classifier
from hubtune.randomness import generator, seed_of
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategy import FrozenStrategy, ScratchStrategy
from hubtune.scores import Outcome, predict_scores, run_pictures
from hubtune.strategies.groups import Named, match_rules, optimizer_groups
from hubtune.strategies.schedules import linear_decay
from hubtune.train.checkpoint import Checkpoints, TrainState
from hubtune.train.head import solve_head
from hubtune.train.interrupt import Stop, StopRequested
from hubtune.train.loop import Plan, fit, log_evaluation
from hubtune.train.observer import Observer
from hubtune.train.run_folder import RunFolder
from hubtune.train.skipped import Skipped

_SMALL_DATA = 10_000  # training pictures below which pretrained BatchNorm statistics are kept


class Session:
    """One process's work on a run."""

    def __init__(
        self,
        module: Module,
        labels: list[str],
        config: RunConfig,
        run: RunFolder,
        examples: dict[str, list[Example]],
        stop: Stop,
        observer: Observer,
    ) -> None:
        """Build the network.

        Args:
            module: the pretrained module.
            labels: class names.
            config: how to train.
            run: the run folder, locked.
            examples: the pictures of each list.
            stop: asked wherever the run can stop.
            observer: told about progress.

        Raises:
            UsageError: if ``fit`` does not go with the module.
        """
        self.module = module
        self.labels = labels
        self.config = config
        self.run = run
        self.examples = examples
        self.stop = stop
        self.observer = observer
        self.preprocessing = _preprocessing(module, config)
        self.classifier = self._build()
        self.metrics: dict[str, dict[str, Any]] = {}

    def train(self) -> dict[str, Any]:
        """Do what is left of the run; returns the content of ``result.json``."""
        self._announce()
        self.skipped = Skipped(self.run, self.examples, self.config)
        try:
            self.skipped.check_headers(self.stop.check)
        except StopRequested:
            raise StoppedError("Stopped before training began", self.stop.exit_code, self.run.path) from None
        if isinstance(self.config.strategy, FrozenStrategy):
            self._solve()
        else:
            self._fit()
        return self._finish()

    def _build(self) -> Classifier:
        config = self.config
        paddle.seed(seed_of(config.seed, "init"))  # for a trunk that starts from random values
        classifier = Classifier(
            self.module.backbone, len(self.labels), hidden_units=config.hidden_units, seed=config.seed
        )
        if self.module.weights is not None:
            classifier.load_trunk(self.module.network)
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
        if isinstance(self.config.strategy, FrozenStrategy):
            return  # what follows is about gradients
        if not self.examples["validate"]:
            logger.warning("no validation list: the model of the last step is kept, not the best one")
        if self.module.weights is None and not isinstance(self.config.strategy, ScratchStrategy):
            logger.warning("the module has random weights: this is no fine-tuning, and needs many epochs")
        if self.config.batch_size > len(self.examples["train"]):
            logger.warning(
                "batch_size %d is more than the %d training pictures: an epoch is a single step",
                *(self.config.batch_size, len(self.examples["train"])),
            )

    def _solve(self) -> None:
        """Strategy `frozen`: compute the features of the training pictures once, and solve the head."""
        strategy, examples = self.config.strategy, self.examples["train"]
        assert isinstance(strategy, FrozenStrategy)
        self.run.history.keep_through(-1)  # of an attempt that was killed
        self.classifier.eval()
        outcomes = run_pictures(
            self.classifier.features,
            self.preprocessing,
            [example.path for example in examples],
            batch_size=self.config.batch_size,
            workers=self.config.workers,
        )
        rows, labels, sums = [], [], []
        try:
            watched = self._watch("train", "features", outcomes)
            for outcome, example in zip(watched, examples, strict=True):
                if outcome.values is not None:
                    rows.append(outcome.values)
                    labels.append(example.label)
                    sums.append(sha256_of(example.path))
            if not rows:
                raise DataError(
                    "None of the training pictures can be read: see skipped.csv in the run folder"
                )
            logger.info("solving the head on %d × %d features", len(rows), len(rows[0]))
            solved = solve_head(
                np.stack(rows),
                np.array(labels),
                sums,
                num_classes=len(self.labels),
                folds=strategy.folds,
                seed=self.config.seed,
                check=self.stop.check,
            )
        except StopRequested:
            raise StoppedError(
                "Stopped before the head was solved; it will be solved anew",
                self.stop.exit_code,
                self.run.path,
            ) from None
        linear: nn.Linear = self.classifier.head[0]
        linear.weight.set_value(solved.weight)
        linear.bias.set_value(solved.bias)
        if solved.accuracy is not None:
            logger.info(
                "regularisation C=%g, cross-validated acc=%.5f on the training list",
                *(solved.strength, solved.accuracy),
            )
        try:
            metrics = self._evaluate("validate")
        except StopRequested:
            raise StoppedError(
                "Stopped before the model was saved; it will be solved anew",
                self.stop.exit_code,
                self.run.path,
            ) from None
        if metrics is not None:
            log_evaluation("dev", metrics)
            self.run.history.append({"step": 0, "list": "validate", **metrics.as_dict()})
            self.observer.evaluated("validate", metrics, step=0, best=True)
        self._keep_best(metrics, step=0)

    def _fit(self) -> None:
        """Gradient strategies: train from the newest checkpoint, or from the start."""
        config, examples = self.config, self.examples["train"]
        assert not isinstance(config.strategy, FrozenStrategy)
        named = [Named(*entry) for entry in self.classifier.trained_parameters()]
        matched = match_rules(config.strategy.rules(), named)
        for parameter, rule in matched:
            parameter.tensor.stop_gradient = rule.frozen
        groups = optimizer_groups(matched)
        if not groups:
            raise UsageError("The strategy's rules freeze everything: leave at least the head to be trained")
        optimizer = paddle.optimizer.Adam(learning_rate=config.rate, parameters=groups)
        restored = Checkpoints(self.run.checkpoints).restore(self.classifier, optimizer)
        state = restored or TrainState()
        if restored:
            self._adopt_newer_best(state)
        self.run.history.keep_through(state.evaluated)
        steps = -(-len(examples) // config.batch_size)
        total = steps * config.epochs
        plan = Plan(
            steps_per_epoch=steps,
            total_steps=total,
            eval_interval=config.eval_interval,
            log_interval=config.log_interval,
            save_interval=config.save_ckpt_interval,
            keep_statistics=self._keeps_statistics(),
            rate=lambda step: config.rate * linear_decay(step, total),
            seed=config.seed,
        )
        done = len(examples) * (state.step // steps) + config.batch_size * (state.step % steps)
        self.observer.start("training", len(examples) * config.epochs, done)
        fit(
            self.classifier,
            optimizer,
            self._batches(state.step, steps),
            [example.path for example in examples],
            plan,
            state,
            evaluate=lambda: self._evaluate("validate"),
            keep_best=lambda metrics: self._keep_best(metrics, state.step),
            run=self.run,
            stop=self.stop,
            observer=self.observer,
        )

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

    def _batches(self, first_step: int, steps: int) -> Iterator[tuple[Batch, np.ndarray]]:
        """All batches from a step on; an epoch's order is drawn from (seed, epoch) alone."""
        config, examples = self.config, self.examples["train"]
        paths = [example.path for example in examples]
        labels = np.array([example.label for example in examples], dtype=np.int64)
        for epoch in range(first_step // steps, config.epochs):
            order = generator(config.seed, "order", epoch).permutation(len(examples)).tolist()
            starts = range(0, len(order), config.batch_size)
            batches = [order[start : start + config.batch_size] for start in starts]
            if epoch == first_step // steps:
                batches = batches[first_step % steps :]

            def prepare(index: int, epoch: int = epoch) -> np.ndarray:
                image = decode(paths[index])
                random = generator(config.seed, "augment", epoch, index)
                return self.preprocessing(augment(image, config.augment, random))

            for batch in load_batches(paths, batches, prepare, workers=config.workers):
                for error in batch.bad.values():
                    self.skipped.add("train", error)
                yield batch, labels[batch.indices]

    def _evaluate(self, name: str) -> Metrics | None:
        """Measure the network as it is; ``None`` where the list has no readable picture, or there is none."""
        examples = self.examples[name]
        if not examples:
            return None
        outcomes = predict_scores(
            self.classifier,
            self.preprocessing,
            [example.path for example in examples],
            batch_size=self.config.batch_size,
            workers=self.config.workers,
        )
        watched = self._watch(name, None, outcomes)
        metrics = measure((outcome.values for outcome in watched), [example.label for example in examples])
        if not metrics.count:
            logger.warning("none of the %d %s pictures can be read: no figure", len(examples), name)
            return None
        return metrics

    def _watch(self, name: str, shown: str | None, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """Pass outcomes on, noting bad pictures, and stopping where a signal has asked for it."""
        if shown:
            self.observer.start(shown, len(self.examples[name]))
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
            preprocessing=self.preprocessing,
            module=self.module.name,
            module_sha256=self.module.weights_sha256,
            strategy=self.config.strategy.name,
            step=step,
            metrics=self.metrics,
        )

    def _finish(self) -> dict[str, Any]:
        """Load the best model, measure it on the test list, and close the run."""
        logger.info("Load the best model from %s", self.run.best_model)
        best = load_model(self.run.best_model, trust_code=self.module.code is not None)
        self.classifier, self.metrics = best.classifier, {**best.card.metrics}
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
            self.run.history.append({"step": best.card.step, "list": "test", **test.as_dict()})
            self.observer.evaluated("test", test, step=best.card.step, best=False)
            self.metrics["test"] = test.as_dict()
            self._save(best.card.step)
        result = {"best_step": best.card.step, "validate": None, "test": None, **self.metrics}
        Checkpoints(self.run.checkpoints).prune(1)
        self.run.write_result(result)
        return result


def _preprocessing(module: Module, config: RunConfig) -> Preprocessing:
    if config.fit is None:
        return module.preprocessing
    try:
        return Preprocessing.model_validate({**module.preprocessing.model_dump(), "fit": config.fit})
    except ValidationError as error:
        raise UsageError(
            f"fit: {config.fit} does not go with {module.name}: {error.errors()[0]['msg']}"
        ) from error
