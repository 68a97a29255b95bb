"""``ImageClassifierTask``: joins a module, a data set and a configuration into a fine-tuned model."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.list_files import LABEL_LIST, relative_to
from hubtune.data.splits.files import read_groups
from hubtune.errors import DataError, ModelError, UsageError
from hubtune.evaluation.metrics import Metrics
from hubtune.hardware.cpu import cores, prepare
from hubtune.hardware.device import select_device
from hubtune.hardware.throughput import estimate_seconds, measure_step, threads, use_threads
from hubtune.hub.entry import check_size, preprocessing_for
from hubtune.hub.module import Module
from hubtune.hub.registry import resolve_module
from hubtune.inference.engine import check_engine
from hubtune.inference.model import Model, Prediction, load_model
from hubtune.log import logger, show_on_stderr
from hubtune.models.classifier import Classifier
from hubtune.recipe.load import dump_recipe, load_recipe
from hubtune.recipe.schema import DataSection, ModuleSection, Recipe, RunConfig, TrainSection
from hubtune.recipe.strategies import (
    FromFrozenStrategy,
    HeadSettings,
    LastStageStrategy,
    ScratchStrategy,
)
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import (
    BEST_MODEL,
    LISTS,
    RECIPE_FILE,
    RunFolder,
    check_place,
    describe_machine,
    free_folder,
    is_run,
    latest_in_series,
    open_run,
    point_latest_at,
)
from hubtune.runs.signals import stop_on_signals
from hubtune.storage.atomic import sha256_of
from hubtune.storage.cache_folder import cache_root
from hubtune.train.run import Session


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: the run folder.
        best_model: the model folder.
        best_step: the step the best model was reached at; 0 where it is the solution of ``frozen``.
        validate: the best model on the validation list, on which it was chosen; ``None`` without one.
        test: the best model on the test list, on which nothing was chosen; ``None`` without one.
        views: the ways in which the model looks at each picture, in words.
        cross_validated: accuracy on the training list by cross-validation, under strategies that solve a
            head; views and regularisation were chosen with it. ``None`` under others.
        skipped: how many pictures of each list could not be read; ``skipped.csv`` names them.
        changed: how many files changed after the run had begun; ``changed.csv`` names them.
    """

    path: Path
    best_model: Path
    best_step: int
    validate: Metrics | None
    test: Metrics | None
    views: list[str]
    cross_validated: float | None
    skipped: dict[str, int]
    changed: int

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "run": str(self.path),
            "best_model": str(self.best_model),
            "best_step": self.best_step,
            "validate": self.validate.as_dict() if self.validate else None,
            "test": self.test.as_dict() if self.test else None,
            "views": self.views,
            "cross_validated": self.cross_validated,
            "skipped": self.skipped,
            "changed": self.changed,
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
        for given, kind, name in (
            (module, Module, "module"),
            (dataset, BaseCVDataset, "dataset"),
            (config, RunConfig, "config"),
        ):
            if not isinstance(given, kind):
                raise UsageError(f"{name} is to be a {kind.__name__}, not a {type(given).__name__}")
        if hidden_units is not None:
            config = RunConfig(**{**dict(config), "hidden_units": list(hidden_units)})
        self.module = module
        self.dataset = dataset
        self.config = config
        self._best: Path | None = None  # of the latest run of this task
        self._model: Model | None = None
        if isinstance(config.strategy, ScratchStrategy) and module.weights is not None:
            raise UsageError("Strategy scratch starts from random values: make the Module with weights=None")
        if isinstance(config.strategy, HeadSettings) and config.hidden_units:
            raise UsageError(f"Strategy {config.strategy.name} solves a linear head: leave hidden_units away")
        if isinstance(config.strategy, LastStageStrategy | FromFrozenStrategy):
            self._check_solved(config.strategy.name)
        self._view = preprocessing_for(module.name, module.preprocessing, module.backbone, config)
        if config.size is not None:
            check_size(module, config.size)

    def _check_solved(self, strategy: str) -> None:
        if self.dataset.list_files["validate"] is None:
            raise UsageError(
                f"Strategy {strategy} needs a validation list, on which it is held against frozen: "
                "hubtune split PICTURES --val 20, or take strategy frozen"
            )
        if strategy == "last_stage" and len(self.module.stages) < 3:
            raise UsageError(
                f"{self.module.name} has a single stage: take strategy frozen or default_finetune"
            )

    @classmethod
    def from_recipe(cls, recipe: Recipe, *, complete: bool = False) -> "ImageClassifierTask":
        """Make the task that a recipe describes.

        Args:
            recipe: the recipe.
            complete: whether it is a run's own, in which a list that is not named is not used.

        Raises:
            HubtuneError: if the module cannot be had.
        """
        dataset = dataset_of(recipe, complete=complete)
        # First: a download would be in vain without these.
        _check_base(dataset.base_path)
        dataset.examples("train")
        if recipe.data.size is not None or recipe.data.fit is not None:
            found = resolve_module(recipe.module.name, trust_code=recipe.module.trust_code)
            preprocessing_for(recipe.module.name, found.preprocessing, found.pretrained.backbone, recipe.data)
        random = recipe.module.weights == "none" or isinstance(recipe.strategy, ScratchStrategy)
        module = Module(
            recipe.module.name,
            None if random else recipe.module.weights,
            trust_code=recipe.module.trust_code,
        )
        return cls(module, dataset, recipe.config())

    def finetune_and_eval(
        self, *, resume: bool | str | Path = False, observer: Callback | None = None
    ) -> Run:
        """Train, evaluating as it goes; then measure the best model on the test list, once.

        Args:
            resume: go on with a run that was interrupted, at the picture where it stopped: the newest in
                ``checkpoint_dir`` (``run``, ``run-2``, …), or the one whose folder is given. Where there is
                none, it begins.
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
        observer = observer or Callback()
        device = select_device(self.config.device)
        check_engine(self.config.engine)
        examples = {name: self.dataset.examples(name) for name in LIST_NAMES}
        if not examples["train"]:
            raise DataError(f"The training list {self.dataset.list_files['train']} has no picture")
        folder = self._folder()
        images = [example.path for listed in examples.values() for example in listed]
        check_place(folder, self.dataset.base_path, images, cache_root())
        if resume:
            folder = latest_in_series(folder) if resume is True else Path(resume)
            resume = is_run(folder)
            if not resume:
                logger.info("there is no run in %s to resume: it begins", folder)
        if not resume:
            folder = free_folder(folder)
        # Paddle's own handler would print a C++ traceback at SIGTERM.
        paddle.disable_signal_handler()
        with open_run(folder) as run, stop_on_signals(observer.notice) as stop:
            session = Session(
                self.module,
                self.dataset.label_list,
                self.config,
                run,
                examples,
                read_groups(self.dataset.base_path),
                stop,
                observer,
            )
            if resume:
                _use_recorded_threads(run)
            self._describe(run, device, resume=bool(resume))
            finished = run.read_result()
            point_latest_at(run.path)
            if finished is None:
                observer.opened(run.path)
                finished = session.train()
            else:
                logger.info("%s had finished already; this is its result", run.path)
            self._best, self._model = run.best_model, None
            return _run_of(run, finished)

    def estimate(self) -> float:
        """Measure on this machine about how many seconds the configuration's epochs would take."""
        select_device(self.config.device)
        counts = {name: len(self.dataset.examples(name)) for name in ("train", "validate")}
        classifier = Classifier(self.module.backbone, len(self.dataset.label_list))
        classifier.take_channels(self._view.channels, self._view.grey_in_colours)
        size = self._view.size
        pace = measure_step(
            classifier,
            self.module.name,
            (size, size),
            self.config.images_per_step,
            images=counts["train"] * self.config.epochs,
            keep_statistics=True,
        )
        return estimate_seconds(
            pace,
            images=counts["train"],
            epochs=self.config.epochs,
            evaluated=counts["validate"] * self.config.epochs,
        )

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
            self.dataset, on, batch_size=self.config.images_per_step, workers=self.config.workers
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
            self._trained().predict(
                data,
                batch_size=self.config.images_per_step if batch_size is None else batch_size,
                workers=self.config.workers,
            )
        )

    def _folder(self) -> Path:
        return Path(self.config.checkpoint_dir or Path("runs") / self.dataset.base_path.resolve().name)

    def _trained(self) -> Model:
        if self._model is None:
            folder = self._best
            if folder is None:
                series = self._folder()
                if not is_run(series):
                    raise ModelError(
                        f"There is no trained model in {series} yet: call finetune_and_eval() first"
                    )
                folder = latest_in_series(series) / BEST_MODEL
            select_device(self.config.device)
            trust = self.module.code is not None
            self._model = load_model(folder, trust_code=trust, engine=self.config.engine)
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
        if dataset.label_list_file is None:  # named in code, and written into the run
            lists["labels"] = relative_to(folder / LISTS / LABEL_LIST, dataset.base_path)
        data = {name: given[name] for name in DataSection.model_fields if name in given}
        return Recipe(
            data=DataSection.model_validate({**data, **lists, "base": dataset.base_path}),
            module=ModuleSection(
                name=self.module.name,
                weights=self.module.weights or "none",
                trust_code=self.module.code is not None,
            ),
            strategy=config.strategy,
            train=TrainSection(**{name: given[name] for name in TrainSection.model_fields}),
            run=str(folder),
        )

    def _describe(self, run: RunFolder, device: str, *, resume: bool) -> None:
        """Write what the run is, or hold a resumed one against it."""
        files = {name: self.dataset.list_files[name] for name in LIST_NAMES}
        facts = {
            "lists": {name: sha256_of(file) for name, file in files.items() if file is not None},
            "labels": self.dataset.label_list,
            "module_sha256": self.module.weights_sha256,
            "code_sha256": self.module.code and hashlib.sha256(self.module.code).hexdigest(),
            # A module's own channels are always three, and older runs do not have them here.
            "preprocessing": self.module.preprocessing.model_dump(mode="json", exclude={"channels"}),
        }
        manifest = {**describe_machine(device, threads()), **facts}
        recipe = self._recipe(run.path)
        if not resume:
            if self.dataset.label_list_file is None:
                run.write_labels(self.dataset.label_list)
            run.write_description(dump_recipe(recipe), manifest)
            return
        _check_same(load_recipe(run.path / RECIPE_FILE), recipe)
        before = run.read_manifest()
        for name, what in (
            ("lists", "The lists"),
            ("labels", "The classes"),
            ("module_sha256", "The weights"),
            ("code_sha256", "The lines of module.py"),
            ("preprocessing", "The settings for how pictures enter the module"),
        ):
            # Runs of older versions have no preprocessing.
            if before.get(name, facts[name]) != facts[name]:
                raise ModelError(
                    f"{what} have changed since {run.path} was started: bring them back, or start a new run "
                    "without --resume"
                )
        for name in ("device", "paddle_threads", "mkl_debug_cpu_type"):
            old, new = before.get("machine", {}).get(name), manifest["machine"][name]
            if old != new:
                logger.warning(
                    "resuming with %s %s, not %s: the result may differ in the last digits",
                    *(name.replace("_", " "), new, old),
                )


def dataset_of(recipe: Recipe, *, complete: bool) -> BaseCVDataset:
    """The data set of a recipe.

    Args:
        recipe: the recipe.
        complete: whether it is a run's own, in which a list that is not named is not used.
    """
    data = recipe.data
    kind = BaseCVDataset if complete else ListDataset
    return kind(data.base, data.train, data.validate_, data.test, label_list_file=data.labels)


def _check_base(base: Path) -> None:
    if base.is_dir():
        return
    descriptor = base.with_suffix(".yaml")
    more = f"; {descriptor} says more" if descriptor.is_file() else ""
    raise DataError(
        f"There is no data folder {base}: put a folder of pictures for each class into {base / 'pics'}, "
        f"then run hubtune split {base / 'pics'} --val 20{more}"
    )


def _use_recorded_threads(run: RunFolder) -> None:
    """Go on with as many threads as before, as other numbers round differently in the last digits."""
    count = run.read_manifest().get("machine", {}).get("paddle_threads")
    if prepare().own_threads is None and isinstance(count, int) and 0 < count <= cores():
        use_threads(count)


def _check_same(before: Recipe, now: Recipe) -> None:
    """Refuse to resume a run under another recipe; device and workers may differ."""
    changed = []
    for section in Recipe.model_fields:
        if section == "run":
            continue
        old, new = (getattr(recipe, section).model_dump(by_alias=True) for recipe in (before, now))
        changed += [
            f"{section}.{key}: {old.get(key)!r}, now {new.get(key)!r}"
            for key in {**old, **new}
            if old.get(key) != new.get(key) and key not in ("device", "engine", "workers")
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

    return Run(
        run.path,
        run.best_model,
        result["best_step"],
        metrics("validate"),
        metrics("test"),
        result.get("views", []),  # runs of older versions have none of these
        result.get("cross_validated"),
        result.get("skipped", {}),
        result.get("changed", 0),
    )
