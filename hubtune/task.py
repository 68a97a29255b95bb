"""``ImageClassifierTask``: joins a module, a data set and a configuration into a fine-tuned model."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from pydantic import ValidationError

from hubtune.data.augment import augment
from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.image import PictureError, Preprocessing, check_header, decode
from hubtune.data.lists import Example
from hubtune.data.loader import Batch, load_batches
from hubtune.errors import DataError, ModelError, StoppedError, UsageError
from hubtune.evaluate import Metrics, measure
from hubtune.files import sha256_of
from hubtune.hub.cache import home
from hubtune.hub.model_folder import ModelCard, write_model
from hubtune.hub.module import Module
from hubtune.log import EVAL, logger, show_on_stderr
from hubtune.model import Model, Prediction, load_model
from hubtune.models.classifier import Classifier
from hubtune.randomness import generator, seed_of
from hubtune.recipe.load import dump_recipe, load_recipe
from hubtune.recipe.schema import DataSection, ModuleSection, Recipe, RunConfig, TrainSection, parse_share
from hubtune.recipe.strategy import FrozenStrategy, ScratchStrategy
from hubtune.scores import Outcome, predict_scores, run_pictures
from hubtune.strategies.groups import Named, match_rules, optimizer_groups
from hubtune.strategies.schedules import linear_decay
from hubtune.train.checkpoint import Checkpoints, TrainState
from hubtune.train.device import select_device
from hubtune.train.head import solve_head
from hubtune.train.interrupt import Stop, StopRequested, stop_on_signals
from hubtune.train.loop import Plan, fit, log_evaluation
from hubtune.train.observer import Observer
from hubtune.train.run_folder import (
    BEST_MODEL,
    RECIPE_FILE,
    RunFolder,
    check_place,
    describe_machine,
    free_folder,
    latest_in_series,
    open_run,
    point_latest_at,
)

_SMALL_DATA = 10_000  # training pictures below which pretrained BatchNorm statistics are kept
_MANY_BAD = 50


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: the run folder.
        best_model: the model folder.
        best_step: the step the best model was reached at; 0 under ``frozen``.
        validate: the best model on the validation list, on which it was chosen; ``None`` without one.
        test: the best model on the test list, on which nothing was chosen; ``None`` without one.
    """

    path: Path
    best_model: Path
    best_step: int
    validate: Metrics | None
    test: Metrics | None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "run": str(self.path),
            "best_model": str(self.best_model),
            "best_step": self.best_step,
            "validate": self.validate.as_dict() if self.validate else None,
            "test": self.test.as_dict() if self.test else None,
        }


class ImageClassifierTask:
    """Fine-tunes a module on a data set, keeps the best model, and predicts with it.

    Example:
        >>> task = ImageClassifierTask(module=module, dataset=dataset, config=config)
        >>> run = task.finetune_and_eval()
        >>> run.test.accuracy, run.test.interval
        (0.8083, (0.7288, 0.8687))
        >>> [row.label for row in task.predict(data=["a.jpg", "b.jpg"])]
        ['glass', 'paper']
    """

    def __init__(
        self,
        module: Module,
        dataset: BaseCVDataset,
        config: RunConfig | None = None,
        hidden_units: Sequence[int] | None = None,
    ) -> None:
        """Join the pieces; nothing is read or trained yet.

        Args:
            module: the pretrained module; it is not changed, so other tasks can start from it, too.
            dataset: the pictures.
            config: how to train; default ``RunConfig()``.
            hidden_units: PaddleHub's place for ``config.hidden_units``.

        Raises:
            UsageError: if module, data and configuration cannot go together.
        """
        config = config or RunConfig()
        if hidden_units is not None:
            config = config.model_copy(update={"hidden_units": list(hidden_units)})
        self.module = module
        self.dataset = dataset
        self.config = config
        self._model: Model | None = None
        if isinstance(config.strategy, ScratchStrategy) and module.weights is not None:
            raise UsageError("Strategy scratch starts from random values: make the Module with weights=None")
        if isinstance(config.strategy, FrozenStrategy) and config.hidden_units:
            raise UsageError("Strategy frozen solves a linear head: leave hidden_units away")
        if config.fit == "whole" and not module.backbone.any_size:
            size = module.backbone.input_size
            raise UsageError(
                f"{module.name} takes pictures of {size}×{size} only, and fit: whole gives other sizes: "
                "take crop, pad or stretch"
            )

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "ImageClassifierTask":
        """Make the task that a recipe describes.

        Raises:
            HubtuneError: if the module cannot be had.
        """
        data = recipe.data
        dataset = ListDataset(data.base, data.train, data.validate_, data.test, label_list_file=data.labels)
        # Data first: a download would be in vain without it.
        _check_base(dataset.base_path)
        dataset.examples("train")
        random = recipe.module.weights == "none" or isinstance(recipe.strategy, ScratchStrategy)
        module = Module(recipe.module.name, None if random else recipe.module.weights)
        return cls(module, dataset, recipe.config())

    def finetune_and_eval(self, *, resume: bool = False, observer: Observer | None = None) -> Run:
        """Train, evaluating as it goes; then measure the best model on the test list, once.

        Args:
            resume: go on with the run that was interrupted, at the picture where it stopped.
            observer: told about progress; default: the log appears on the standard error stream.

        Returns:
            The finished run.

        Raises:
            DataError: if pictures or lists cannot be used.
            ModelError: if a run that is resumed does not fit any more, or is damaged.
            MachineError: if the device is missing or the run folder cannot be written.
            NumericError: if training diverges.
            LockedError: if another process uses the run folder.
            StoppedError: if Ctrl-C or SIGTERM stopped it, after its state was saved.
        """
        if observer is None:
            show_on_stderr()
        observer = observer or Observer()
        device = select_device(self.config.device)
        examples = {name: self.dataset.examples(name) for name in LIST_NAMES}
        if not examples["train"]:
            raise DataError(f"The training list {self.dataset.list_files['train']} has no picture")
        folder = self._folder()
        pictures = [example.path for listed in examples.values() for example in listed]
        check_place(folder, self.dataset.base_path, pictures, home())
        folder = latest_in_series(folder) if resume else free_folder(folder)
        # Paddle's own handler would print a C++ traceback at SIGTERM.
        paddle.disable_signal_handler()
        with open_run(folder) as run, stop_on_signals(observer.notice) as stop:
            session = _Session(self, run, examples, stop, observer)
            self._describe(run, device, resume=resume)
            finished = run.read_result()
            point_latest_at(run.path)
            if finished is None:
                finished = session.train()
            self._model = load_model(run.best_model)
            return _run_of(run, finished)

    def evaluate(self, on: str = "test") -> Metrics:
        """Measure the best model on a list of the data set.

        Args:
            on: ``train``, ``validate`` or ``test``.

        Raises:
            DataError: if there is no such list.
            ModelError: if there is no trained model, or its classes are not the data's.
        """
        if on not in LIST_NAMES or self.dataset.list_files[on] is None:
            raise DataError(f"The data set has no list {on!r}: it may be train, validate or test")
        return self._trained().evaluate(
            self.dataset, on, batch_size=self.config.batch_size, workers=self.config.workers
        )

    def predict(self, data: Sequence[str | Path], batch_size: int | None = None) -> list[Prediction]:
        """Name the class of pictures with the best model: one row a picture, in order, bad ones included.

        Args:
            data: picture files.
            batch_size: pictures that the network sees at once, default the configuration's; the scores do
                not depend on it.

        Raises:
            ModelError: if there is no trained model.
        """
        return list(
            self._trained().predict(data, batch_size=self.config.batch_size, workers=self.config.workers)
        )

    def _folder(self) -> Path:
        return Path(self.config.checkpoint_dir or Path("runs") / self.dataset.base_path.resolve().name)

    def _trained(self) -> Model:
        if self._model is None:
            folder = self._folder()
            if not (folder / RECIPE_FILE).is_file():
                raise ModelError(f"There is no trained model in {folder} yet: call finetune_and_eval() first")
            select_device(self.config.device)
            self._model = load_model(latest_in_series(folder) / BEST_MODEL)
        return self._model

    def _recipe(self, folder: Path) -> Recipe:
        """The recipe that describes this task, complete."""
        config, dataset = self.config, self.dataset
        given = config.model_dump()
        lists = {
            name: str(file.relative_to(dataset.base_path))
            if file.is_relative_to(dataset.base_path)
            else str(file)
            for name, file in (*dataset.list_files.items(), ("labels", dataset.label_list_file))
            if file is not None and name != "predict"
        }
        data = {name: given[name] for name in DataSection.model_fields if name in given}
        return Recipe(
            data=DataSection.model_validate({**data, **lists, "base": dataset.base_path}),
            module=ModuleSection(name=self.module.name, weights=self.module.weights or "none"),
            strategy=config.strategy,
            train=TrainSection(**{name: given[name] for name in TrainSection.model_fields}),
            run=str(folder),
        )

    def _describe(self, run: RunFolder, device: str, *, resume: bool) -> None:
        """Write what the run is, or hold a resumed one against it."""
        files = {**self.dataset.list_files, "labels": self.dataset.label_list_file}
        facts = {
            "lists": {name: sha256_of(file) for name, file in files.items() if file is not None},
            "labels": self.dataset.label_list,
            "module_sha256": self.module.weights_sha256,
        }
        manifest = {**describe_machine(device, _threads()), **facts}
        recipe = self._recipe(run.path)
        if not resume:
            run.write_description(dump_recipe(recipe), manifest)
            return
        _check_same(load_recipe(run.path / RECIPE_FILE), recipe)
        before = run.read_manifest()
        for name, what in (
            ("lists", "The lists"),
            ("labels", "The classes"),
            ("module_sha256", "The weights"),
        ):
            if before.get(name) != facts[name]:
                raise ModelError(
                    f"{what} have changed since {run.path} was started: bring them back, or start a new run "
                    "without --resume"
                )
        for name in ("device", "paddle_threads"):
            if before["machine"][name] != manifest["machine"][name]:
                logger.warning(
                    "resuming with %s %s, not %s: the result may differ in the last digits",
                    *(name.replace("_", " "), manifest["machine"][name], before["machine"][name]),
                )


class _Session:
    """One process's work on a run."""

    def __init__(
        self,
        task: ImageClassifierTask,
        run: RunFolder,
        examples: dict[str, list[Example]],
        stop: Stop,
        observer: Observer,
    ) -> None:
        self.module = task.module
        self.labels = task.dataset.label_list
        self.config = task.config
        self.run = run
        self.examples = examples
        self.stop = stop
        self.observer = observer
        self.preprocessing = _preprocessing(task.module, task.config)
        self.skipped = _Skipped(run, examples, task.config)
        self.classifier = self._build()
        self.metrics: dict[str, dict[str, Any]] = {}

    def train(self) -> dict[str, Any]:
        """Do what is left of the run; returns the content of ``result.json``."""
        self._announce()
        self.skipped.check_headers()
        state = TrainState()
        if isinstance(self.config.strategy, FrozenStrategy):
            self._solve(state)
        else:
            self._fit(state)
        return self._finish(state)

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
        if not self.examples["validate"]:
            logger.warning("no validation list: the model of the last step is kept, not the best one")
        if self.module.weights is None and not isinstance(self.config.strategy, ScratchStrategy):
            logger.warning("the module has random weights: this is no fine-tuning, and needs many epochs")
        if self.config.batch_size > len(self.examples["train"]):
            logger.warning(
                "batch_size %d is more than the %d training pictures: an epoch is a single step",
                *(self.config.batch_size, len(self.examples["train"])),
            )

    def _solve(self, state: TrainState) -> None:
        """Strategy `frozen`: compute the features of the training pictures once, and solve the head."""
        assert isinstance(self.config.strategy, FrozenStrategy)
        examples = self.examples["train"]
        self.classifier.eval()
        outcomes = run_pictures(
            self.classifier.features,
            self.preprocessing,
            [example.path for example in examples],
            batch_size=self.config.batch_size,
            workers=self.config.workers,
        )
        try:
            watched = list(self._watch("train", "features", outcomes))
        except StopRequested:
            raise StoppedError(
                "Stopped while computing features; they will be computed anew",
                self.stop.exit_code,
                self.run.path,
            ) from None
        good = [(outcome.values, example.label) for outcome, example in zip(watched, examples, strict=True)]
        rows = [(values, label) for values, label in good if values is not None]
        if not rows:
            raise DataError("None of the training pictures can be read: see skipped.csv in the run folder")
        logger.info("solving the head on %d × %d features", len(rows), len(rows[0][0]))
        solved = solve_head(
            np.stack([values for values, _ in rows]),
            np.array([label for _, label in rows]),
            len(self.labels),
            folds=self.config.strategy.folds,
            seed=self.config.seed,
        )
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
            self.observer.evaluated("validate", metrics, best=True)
        self._keep_best(metrics, state)

    def _fit(self, state: TrainState) -> None:
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
        if restored is not None:
            vars(state).update(vars(restored))
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
            keep_best=lambda metrics: self._keep_best(metrics, state),
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
            card = load_model(self.run.best_model).card
        except ModelError:
            return  # none yet, or damaged: the coming evaluations write it anew
        if card.step > state.step and card.metrics:
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
        """Measure the network as it is; ``None`` where there is no such list."""
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
        return measure((outcome.values for outcome in watched), [example.label for example in examples])

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

    def _keep_best(self, metrics: Metrics | None, state: TrainState) -> None:
        if metrics is not None:
            self.metrics["validate"] = metrics.as_dict()
        write_model(self.run.best_model, self.classifier, self._card(state.step))
        shown = "" if metrics is None else f" [best acc={metrics.accuracy:.5f}]"
        logger.log(EVAL, "best model saved to %s%s", self.run.best_model, shown)

    def _card(self, step: int) -> ModelCard:
        return ModelCard(
            architecture=self.module.backbone.name,
            hidden_units=self.config.hidden_units,
            labels=self.labels,
            preprocessing=self.preprocessing,
            module=self.module.name,
            module_sha256=self.module.weights_sha256,
            strategy=self.config.strategy.name,
            step=step,
            metrics=self.metrics,
        )

    def _finish(self, state: TrainState) -> dict[str, Any]:
        """Load the best model, measure it on the test list, and close the run."""
        logger.info("Load the best model from %s", self.run.best_model)
        best = load_model(self.run.best_model)
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
            self.observer.evaluated("test", test, best=False)
            self.metrics["test"] = test.as_dict()
            write_model(self.run.best_model, self.classifier, self._card(best.card.step))
        result = {"best_step": best.card.step, "validate": None, "test": None, **self.metrics}
        Checkpoints(self.run.checkpoints).prune(1)
        self.run.write_result(result)
        return result


class _Skipped:
    """The pictures that could not be read: named, counted, and held against the limit."""

    def __init__(self, run: RunFolder, examples: dict[str, list[Example]], config: RunConfig) -> None:
        self._run = run
        self._examples = examples
        self._config = config
        self._total = sum(map(len, examples.values()))
        self._entries: dict[tuple[str, str], str] = {}

    def check_headers(self) -> None:
        """Look at the header of every listed picture: most bad ones are known before the first step."""
        listed = [(name, example.path) for name, examples in self._examples.items() for example in examples]
        with ThreadPoolExecutor(max_workers=self._config.workers + 2) as pool:
            checked = pool.map(_header_error, [path for _, path in listed])
            bad = [(name, error) for (name, _), error in zip(listed, checked, strict=True) if error]
        if bad and self._config.bad_pictures == "stop":
            raise DataError(
                f"{len(bad)} of {self._total} pictures cannot be read, first {bad[0][1]}: repair or remove "
                "them (hubtune split leaves them out), or go on without them: -o data.bad_pictures=skip"
            )
        for name, error in bad:
            self._entries[name, error.path] = error.reason
            logger.warning("left out of %s: %s", name, error)
        self._save()
        self._check_limit()

    def add(self, name: str, error: PictureError) -> None:
        """Note a picture that could not be read.

        Raises:
            DataError: if the recipe says to stop, or too many are bad.
        """
        if (name, error.path) in self._entries:
            return
        self._entries[name, error.path] = error.reason
        logger.warning("left out of %s: %s", name, error)
        self._save()
        if self._config.bad_pictures == "stop":
            raise DataError(f"{error}: repair or remove it, or go on without it: -o data.bad_pictures=skip")
        self._check_limit()

    def _save(self) -> None:
        self._run.write_skipped([(name, path, reason) for (name, path), reason in self._entries.items()])

    def _check_limit(self) -> None:
        bad, share = len(self._entries), parse_share(self._config.max_bad)
        if bad > share * self._total or (bad > _MANY_BAD and share <= 0.01):
            (_, path), reason = next(iter(self._entries.items()))
            raise DataError(
                f"{bad} of {self._total} pictures cannot be read (first: {path}: {reason}), more than "
                f"data.max_bad allows. Repair or remove them (hubtune split leaves them out), or allow more: "
                f"-o data.max_bad={-(-bad * 100 // self._total)}%"
            )


def _header_error(path: Path) -> PictureError | None:
    try:
        check_header(path)
    except PictureError as error:
        return error
    return None


def _preprocessing(module: Module, config: RunConfig) -> Preprocessing:
    if config.fit is None:
        return module.preprocessing
    try:
        return Preprocessing.model_validate({**module.preprocessing.model_dump(), "fit": config.fit})
    except ValidationError as error:
        raise UsageError(
            f"fit: {config.fit} does not go with {module.name}: {error.errors()[0]['msg']}"
        ) from error


def _check_base(base: Path) -> None:
    if base.is_dir():
        return
    descriptor = base.with_suffix(".yaml")
    more = f"; {descriptor} says more" if descriptor.is_file() else ""
    raise DataError(
        f"There is no data folder {base}: put a folder of pictures for each class into {base / 'pics'}, "
        f"then run hubtune split {base / 'pics'} --val 20{more}"
    )


def _threads() -> int:
    return int(paddle.get_flags("FLAGS_paddle_num_threads")["FLAGS_paddle_num_threads"])


def _check_same(before: Recipe, now: Recipe) -> None:
    """Refuse to resume a run under another recipe; device and workers may differ."""
    changed = []
    for section in Recipe.model_fields:
        if section == "run":
            continue
        old, new = getattr(before, section).model_dump(), getattr(now, section).model_dump()
        changed += [
            f"{section}.{key}: {old.get(key)!r}, now {new.get(key)!r}"
            for key in {**old, **new}
            if old.get(key) != new.get(key) and key not in ("device", "workers")
        ]
    if changed:
        raise UsageError(
            f"The recipe has changed since the run was started ({'; '.join(changed)}): resume it as it was "
            f"with hubtune finetune RUN --resume, or start a new run without --resume"
        )


def _run_of(run: RunFolder, result: dict[str, Any]) -> Run:
    def metrics(name: str) -> Metrics | None:
        figures = result[name]
        return figures and Metrics(**{**figures, "interval": tuple(figures["interval"])})

    return Run(run.path, run.best_model, result["best_step"], metrics("validate"), metrics("test"))
