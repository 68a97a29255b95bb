"""``ImageClassifierTask``: joins a module, a data set and a configuration into a fine-tuned model."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import paddle

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset
from hubtune.data.splits.files import read_groups
from hubtune.errors import DataError, ModelError, UsageError
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.hardware.cpu import cores, prepare
from hubtune.hardware.device import select_device
from hubtune.hardware.throughput import set_threads
from hubtune.hub.module import Module
from hubtune.hub.registry import resolve_module
from hubtune.inference.engine_interface import check_engine
from hubtune.inference.image_inputs import ImageInput
from hubtune.inference.load_model import load_model
from hubtune.inference.model import Model
from hubtune.inference.prediction import Predictions
from hubtune.log import logger
from hubtune.ranks import Rank, current_rank
from hubtune.recipe.schema import Recipe, RunConfig
from hubtune.runs.bucket_run import BucketRun, choose_bucket_run, folder_for
from hubtune.runs.callbacks import Callback
from hubtune.runs.description import check_description, settings_at_start, write_description
from hubtune.runs.folder import (
    BEST_MODEL,
    RANK_LOGS,
    RunFolder,
    check_place,
    free_folder,
    is_run,
    latest_in_series,
    open_run,
    point_latest_at,
)
from hubtune.runs.lists import dataset_of
from hubtune.runs.notebook_progress import shown_run
from hubtune.runs.publisher import publishing
from hubtune.runs.result import Run
from hubtune.runs.signals import stop_on_signals
from hubtune.storage.address import is_bucket_address
from hubtune.storage.cache_folder import cache_root
from hubtune.train.checkpoint import Checkpoints
from hubtune.train.compatibility import check_compatibility, settle_loss
from hubtune.train.context import RunContext, RunData
from hubtune.train.data_checks import BadImages
from hubtune.train.distributed.follow import carry_out_orders
from hubtune.train.distributed.group import RankGroup
from hubtune.train.distributed.job import follow, leading
from hubtune.train.distributed.lead import describe_run
from hubtune.train.distributed.shards import settle_shards
from hubtune.train.run import run
from hubtune.train.shard_window import settle_shard_window
from hubtune.train.strategies import TRAINERS


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
        """Check that module, data and configuration go together; nothing is read or trained yet.

        Args:
            module: the pretrained module; it is not changed, so other tasks can start from it, too.
            dataset: the images.
            config: how to train; default ``RunConfig()``.
            hidden_units: PaddleHub's place for ``config.hidden_units``.

        Raises:
            UsageError: if they cannot go together.
        """
        config = config or RunConfig()
        for value, kind, name in (
            (module, Module, "module"),
            (dataset, BaseCVDataset, "dataset"),
            (config, RunConfig, "config"),
        ):
            if not isinstance(value, kind):
                raise UsageError(f"{name} must be a {kind.__name__}, not a {type(value).__name__}")
        if hidden_units is not None:
            config = RunConfig(**{**dict(config), "hidden_units": list(hidden_units)})
        self.module, self.dataset, self.config = module, dataset, config
        self._best_model: Path | None = None  # of this task's latest run
        self._model: Model | None = None
        check_compatibility(config, module, has_validation=dataset.list_files["validate"] is not None)

    @classmethod
    def from_recipe(cls, recipe: Recipe, *, complete: bool = False) -> "ImageClassifierTask":
        """Make the task that a recipe describes; ``complete`` as in :func:`~hubtune.runs.lists.dataset_of`.

        Raises:
            HubtuneError: if the module cannot be loaded, or the data cannot be used.
        """
        dataset = dataset_of(recipe, complete=complete)
        # Before the module, because a download would be in vain without data.
        _check_base(dataset.base_path)
        for sentence in dataset.check_lists():
            if current_rank().leads:
                logger.warning("%s", sentence)
        dataset.check_files()
        section = recipe.module
        if recipe.data.size is not None or recipe.data.fit is not None:
            resolved = resolve_module(section.name, trust_code=section.trust_code)
            resolved.preprocessing_for(section.name, recipe.data)
        random = section.weights == "none" or TRAINERS[recipe.strategy.name].start == "random"
        module = Module(section.name, None if random else section.weights, trust_code=section.trust_code)
        return cls(module, dataset, recipe.config())

    def finetune_and_eval(
        self,
        *,
        resume: bool | str | Path = False,
        checkpoint: int | None = None,
        callback: Callback | None = None,
        observer: Callback | None = None,
        newest: bool = True,
    ) -> Run:
        """Train, evaluating on the way; then measure the best model on the test list, once.

        Args:
            resume: continue an interrupted run at the image where it stopped: the newest one in
                ``checkpoint_dir`` (``run``, ``run-2``, …), or the one whose folder is given. If there is
                none, a run begins.
            checkpoint: step of the checkpoint to resume from; default: the newest one that is intact.
            callback: receives the events of the run; default: a notebook shows a bar and the evaluations, and
                elsewhere the log appears on the standard error stream.
            observer: the former name of ``callback``.
            newest: name the run in ``runs/latest``, which commands take if no run is named.

        Returns:
            The finished run.

        Raises:
            DataError: if images or lists cannot be used.
            UsageError: if there is no run to resume from the checkpoint, or it has finished.
            ModelError: if a run that is resumed does not match any more, or is damaged.
            MachineError: if the device is missing or the run folder cannot be written.
            NumericError: if training diverges.
            LockedError: if another process uses the run folder.
            StoppedError: if Ctrl-C or SIGTERM stopped it, after its state was saved.
        """
        rank = current_rank()
        with shown_run(callback or observer) as receiver:
            if not rank.leads:
                return self._follow(rank)
            with leading(rank) as group:
                return self._lead(rank, group, resume, checkpoint, receiver, newest=newest)

    def _lead(
        self,
        rank: Rank,
        group: RankGroup | None,
        resume: bool | str | Path,
        checkpoint: int | None,
        callback: Callback,
        *,
        newest: bool,
    ) -> Run:
        """Train as the only process, or as rank 0 of several."""
        device = select_device(self.config.device, rank)
        check_engine(self.config.engine)
        data = self._read_data()
        own = settle_loss(self.config, data)
        folder, address, resume = self._choose_folder(data, resume or rank.restarts > 0)
        # Paddle's own handler would print a C++ traceback at SIGTERM.
        paddle.disable_signal_handler()
        if address is not None:
            callback.notice(f"Run folder: {folder}, copied to {address} as it goes")
        with (
            open_run(folder, address) as opened,
            publishing(address, folder),
            stop_on_signals(callback.notice) as stop,
        ):
            if group is not None:
                group.write_logs(opened.path / RANK_LOGS)
                group.on_signal = stop.request
            if resume:
                _use_recorded_threads(opened)
            config = settings_at_start(opened, own) if resume else own
            by_gradients = TRAINERS[config.strategy.name].by_gradients
            config = settle_shards(config, len(data.examples["train"]), rank.size, by_gradients=by_gradients)
            if not resume:
                config = settle_shard_window(config, data.examples["train"], by_gradients=by_gradients)
            settled = {"shards": config.shards, "shard_window": config.shard_window}
            recorded = own.model_copy(update=settled)
            describe = check_description if resume else write_description
            describe(opened, self.module, self.dataset, recorded, device)
            result = opened.read_result()
            if checkpoint is not None:
                if not resume or result is not None:
                    state = "has finished" if resume else "begins now"
                    raise UsageError(f"{folder} {state}: a checkpoint is for a run that is resumed")
                Checkpoints(opened.checkpoints).find(checkpoint)
            if newest:
                point_latest_at(opened.path)
            if result is None:
                callback.opened(opened.path)
                for remark in self.dataset.remarks:
                    callback.notice(remark)
                bad_images = BadImages(opened, data.examples, config)
                context = RunContext(
                    *(config, self.module, data, opened, stop, callback, bad_images),
                    checkpoint=checkpoint,
                    rank=rank,
                    group=group,
                )
                if group is not None:
                    describe_run(context, group)
                result = run(context)
            else:
                logger.info("%s had finished already; this is its result", opened.path)
            if group is not None:
                group.result = {"run": str(opened.path.absolute()), "result": result}
            self._best_model, self._model = opened.best_model, None
            return Run.from_result(opened, result)

    def _follow(self, rank: Rank) -> Run:
        """Do a share of the work of a run that rank 0 leads, and return its result."""
        paddle.disable_signal_handler()
        message = follow(rank, partial(carry_out_orders, module=self.module))
        folder = RunFolder(Path(message["run"]))
        self._best_model, self._model = folder.best_model, None
        return Run.from_result(folder, message["result"])

    def _read_data(self) -> RunData:
        examples = {name: self.dataset.examples(name) for name in LIST_NAMES}
        self.dataset.check_lists()
        dataset = self.dataset
        groups = read_groups(dataset.lists_folder)
        return RunData(dataset.class_names, examples, groups, dataset.remarks, dataset.label_sets)

    def _choose_folder(self, data: RunData, resume: bool | str | Path) -> tuple[Path, str | None, bool]:
        """Return the run folder, its address in a bucket, and whether there is a run in it to resume."""
        folder, address = self._folder(), None
        if is_bucket_address(place := self.config.checkpoint_dir or ""):
            chosen = BucketRun(place, Path(resume)) if isinstance(resume, str | Path) else None
            chosen = chosen or choose_bucket_run(place, resume=bool(resume))
            folder, address = chosen.folder, chosen.address
        paths = [example.path for examples in data.examples.values() for example in examples]
        check_place(folder, self.dataset.base_path, paths, cache_root())
        if resume:
            latest = latest_in_series(folder) if resume is True else Path(resume)
            if is_run(latest):
                return latest, address, True
            logger.info("there is no run in %s to resume: a new one starts", latest)
            folder = latest
        return free_folder(folder), address, False

    def evaluate(self, on: str = "test") -> Evaluation | LabelEvaluation:
        """Measure the best model on a list of the data set.

        Args:
            on: ``train``, ``validate`` or ``test``.

        Raises:
            DataError: if there is no such list.
            ModelError: if there is no trained model, or its classes are not the data's.
        """
        if on not in LIST_NAMES or self.dataset.list_files[on] is None:
            raise DataError(f"The data set has no list {on!r}: it may be train, validate or test")
        return self.load_best_model().evaluate(
            self.dataset, on, batch_size=self.config.images_per_step, workers=self.config.workers
        )

    def predict(self, data: Iterable[ImageInput], batch_size: int | None = None) -> Predictions:
        """Classify images with the best model: one row for each, in order, unreadable ones included.

        Args:
            data: paths, bytes, Pillow images or arrays, as :meth:`hubtune.Model.predict` takes them.
            batch_size: images that the network processes at once, default the configuration's; the scores do
                not depend on it.

        Raises:
            ModelError: if there is no trained model.
        """
        size = self.config.images_per_step if batch_size is None else batch_size
        return Predictions(self.load_best_model().predict(data, batch_size=size, workers=self.config.workers))

    def _folder(self) -> Path:
        place = self.config.checkpoint_dir
        if place is not None and is_bucket_address(place):
            return folder_for(place)
        return Path(place or Path("runs") / self.dataset.base_path.resolve().name)

    def load_best_model(self) -> Model:
        """Return the best model of this task's latest run, or of the latest run in its folder; read once.

        Raises:
            ModelError: if there is no trained model.
        """
        if self._model is None:
            latest = latest_in_series(self._folder())
            if self._best_model is None and not is_run(latest):
                raise ModelError(f"There is no trained model in {latest} yet: call finetune_and_eval() first")
            folder = self._best_model or latest / BEST_MODEL
            select_device(self.config.device)
            trust = self.module.code is not None
            self._model = load_model(folder, trust_code=trust, engine=self.config.engine)
        return self._model


def _check_base(base: Path) -> None:
    if base.is_dir():
        return
    descriptor = base.with_suffix(".yaml")
    more = f"; {descriptor} says more" if descriptor.is_file() else ""
    raise DataError(
        f"There is no data folder {base}: put a folder of pictures for each class into {base / 'pics'}, "
        f"then run hubtune split {base / 'pics'} --val 20{more}"
    )


def _use_recorded_threads(folder: RunFolder) -> None:
    # Other numbers of threads round differently.
    count = folder.read_manifest().get("machine", {}).get("paddle_threads")
    if prepare().own_threads is None and isinstance(count, int) and 0 < count <= cores():
        set_threads(count)
