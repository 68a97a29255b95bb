"""PaddleHub's ``ImageClassifierTask``, which hubtune's own task trains, evaluates and predicts for."""

import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import hubtune
from hubtune.errors import UsageError
from hubtune.export.exporter import export_model
from hubtune.log import logger, show_on_stderr
from hubtune.paddlehub.arguments import prediction_arguments, task_arguments
from hubtune.paddlehub.base_task import BaseTask
from hubtune.paddlehub.dynamic_mode import in_dynamic_mode
from hubtune.paddlehub.image_lists import LIST_OF_PHASE, listed
from hubtune.paddlehub.image_reader import with_preprocessing
from hubtune.paddlehub.predicted_images import locate_images, score_matrix
from hubtune.paddlehub.pretrained import Variable
from hubtune.paddlehub.run_events import RunEvents, curve_writers
from hubtune.paddlehub.run_states import (
    RunState,
    RunStates,
    calculate_metrics,
    evaluation_states,
    prediction_states,
)
from hubtune.paddlehub.task_settings import merge_settings
from hubtune.runs.callbacks import CallbackList
from hubtune.runs.folder import RESULT_FILE, is_run, latest_in_series
from hubtune.train.evaluator import log_evaluation

_OVERRIDDEN = "_build_net _add_loss _add_label _add_metrics _calculate_metrics _postprocessing".split()
_NO_PROGRAM = (
    "hubtune has no programs of Paddle 1: hubtune embed PICTURES --model RUN computes features, and "
    "task.save_inference_model writes a program of Paddle 3"
)
_BEST_MODEL_ONLY = (
    "eval and predict use the best model of checkpoint_dir by themselves, and "
    "finetune_and_eval(resume=True) continues a run that was stopped"
)


class ImageClassifierTask(BaseTask):
    """Fine-tunes a module on a data set, keeps the best model, and predicts with it.

    Attributes:
        task: hubtune's task.
        config, feature, num_classes, hidden_units, metrics_choices: as given.
    """

    absent: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("load_parameters", "save_parameters"), _BEST_MODEL_ONLY),
        **dict.fromkeys(
            """main_program startup_program main_program_compiled main_program_to_be_run exe env loss labels
            outputs metrics feed_list feed_var_list fetch_list fetch_var_list py_reader place places reader
            generator device_count build_strategy scheduled_lr unique_name_generator""".split(),
            _NO_PROGRAM,
        ),
        **dict.fromkeys(
            ("tb_writer", "vdl_writer"), "the run writes its curves itself; a callback adds to them"
        ),
    }

    def __init_subclass__(cls) -> None:
        for name in _OVERRIDDEN:
            if name in vars(cls):
                raise UsageError(
                    f"{cls.__name__}.{name} would have no effect: hubtune builds the network, the loss and "
                    "the metrics itself; RunConfig(loss=…) sets the loss"
                )

    @in_dynamic_mode
    def __init__(self, feature: Variable, num_classes: int, *positional: Any, **named: Any) -> None:
        """Combine the parts; only the class names are read, and nothing is trained yet.

        Args:
            feature: ``output_dict["feature_map"]`` of the module's ``context``.
            num_classes: number of classes of the data set.
            positional: ``feed_list, data_reader, startup_program, config, hidden_units, metrics_choices``, as
                up to PaddleHub 1.7; or with the data set before them, as in 1.8.
            named: the same by name. ``feed_list`` is ``[input_dict["image"].name]``, and optional;
                ``data_reader`` is the preprocessing, or else ``dataset`` is the images, which are stretched
                to the module's own size; ``startup_program`` has no effect. ``config`` is how to train,
                default ``RunConfig()``; its ``fit``, ``augment`` and ``seed`` precede the reader's.
                ``hidden_units`` are widths of fully connected layers with ReLU before the classifier.
                ``metrics_choices`` is ``["acc"]``: the best model is chosen by accuracy.

        Raises:
            UsageError: if the arguments do not fit together.
            DataError: if the class names cannot be read.
        """
        show_on_stderr()
        arguments = task_arguments(type(self).__name__, feature, positional, named)
        self.config, self.feature, self.num_classes = arguments.config, feature, num_classes
        self.hidden_units, self.metrics_choices = arguments.hidden_units, ["acc"]
        self._names_results = not arguments.has_reader  # as 1.8 did
        self.task = hubtune.ImageClassifierTask(
            module=with_preprocessing(feature.module, arguments.reader),
            dataset=listed(arguments.reader.dataset),
            config=merge_settings(arguments.settings, arguments.reader, feature),
            hidden_units=self.hidden_units,
        )
        if self.task.dataset.label_sets is not None:
            raise UsageError(
                "PaddleHub's ImageClassifierTask has one class a picture, and these lists are multi-label: "
                "take hubtune.ImageClassifierTask"
            )
        count = self.task.dataset.num_labels
        if num_classes != count:
            raise UsageError(
                f"num_classes is {num_classes!r}, and the data set has {count} classes: give "
                "num_classes=dataset.num_labels"
            )
        self._resumes = False
        super().__init__()

    @cached_property
    def max_train_steps(self) -> int:
        """Number of steps of a run; raises DataError if the training list cannot be read."""
        return self.task.config.epochs * self._steps_per_epoch()

    def finetune_and_eval(self, *, resume: bool = False) -> RunStates:
        """Train with evaluations on the way; then measure the best model on the test list, once.

        Args:
            resume: continue the newest run in ``checkpoint_dir`` at the image where it stopped. Otherwise a
                new run begins, in ``<checkpoint_dir>-2`` if there is one already.

        Returns:
            The states of the last epoch's steps; they have the attributes of the finished run, too.

        Raises what :meth:`hubtune.ImageClassifierTask.finetune_and_eval` does.
        """
        return self.finetune(do_eval=True, resume=resume)

    @in_dynamic_mode
    def finetune(self, do_eval: bool = False, *, resume: bool = False) -> RunStates:
        """Train as :meth:`finetune_and_eval`; without ``do_eval``, the run is evaluated only at its end."""
        task, steps = self.task, self._steps_per_epoch()
        events = RunEvents(self, steps)
        interval = self.config.eval_interval if do_eval else task.config.epochs * steps
        task.config = task.config.model_copy(update={"eval_interval": interval})
        if hasattr(self.config.strategy, "scheduler"):
            logger.info("%s", self.config.strategy)
        self.is_best_model_loaded = False
        resume = self._find_checkpoint(resume=resume or self._resumes)
        with self.phase_guard("train"):
            self.fire("finetune_start_event")
            run = task.finetune_and_eval(resume=resume, callback=CallbackList([events, *curve_writers()]))
            states = RunStates(events.states, run)
            self.fire("finetune_end_event", states)
        return states

    def _steps_per_epoch(self) -> int:
        return max(1, -(-len(self.task.dataset.examples("train")) // self.task.config.images_per_step))

    def _find_checkpoint(self, *, resume: bool) -> bool:
        """Log whether there is a run to continue, and return whether it is continued."""
        latest, is_stopped = self._latest_run()
        if latest is None:
            logger.info("PaddleHub model checkpoint not found, start from scratch...")
        elif is_stopped and not resume:
            logger.info("%s has not finished: finetune_and_eval(resume=True) continues it", latest)
        elif not resume:
            logger.info("%s has finished: a new run starts beside it", latest)
        return resume

    def _latest_run(self) -> tuple[Path | None, bool]:
        """Log where the latest run would be; return its folder, if it exists, and whether it was stopped."""
        latest = latest_in_series(Path(self.task.config.checkpoint_dir or ""))
        logger.info("Try loading checkpoint from %s", latest)
        found = latest if is_run(latest) else None
        return found, found is not None and not (found / RESULT_FILE).exists()

    @in_dynamic_mode
    def eval(self, phase: str = "dev", load_best_model: bool = False) -> RunStates:
        """Measure the best model on a list of the data set.

        Args:
            phase: ``dev`` (or ``val``), ``test`` or ``train``.
            load_best_model: has no effect: only the best model is kept.

        Returns:
            The states of the batches; they have the attributes of :class:`hubtune.Evaluation`, too.

        Raises:
            UsageError: if the phase is unknown.
            DataError: if the data set has no such list.
            ModelError: if there is no trained model, or its classes differ from the data's.
        """
        if phase not in LIST_OF_PHASE:
            raise UsageError(f"There is no phase {phase!r}: it may be dev, test or train")
        with self.phase_guard(phase):
            self.init_if_load_best_model()
            self.fire("eval_start_event")
            started = time.monotonic()
            evaluation = self.task.evaluate(LIST_OF_PHASE[phase])
            assert isinstance(evaluation, hubtune.Evaluation)  # multi-label lists were refused
            seconds, size = time.monotonic() - started, self.task.config.images_per_step
            log_evaluation(self.phase, evaluation, size, seconds)
            states = evaluation_states(evaluation, size, seconds)
            self.fire("eval_end_event", states)
        return RunStates(states, evaluation)

    @in_dynamic_mode
    def predict(
        self, data: Sequence[str | Path] | None = None, *positional: Any, **named: Any
    ) -> list[RunState] | list[str | None]:
        """Score images with the best model, in order; damaged ones keep their place and are named.

        Args:
            data: image files. A relative path that does not exist in the current folder starts at the data
                set's base folder, and is found as those in lists are. ``None``: the prediction list.
            positional: ``load_best_model, return_result, accelerate_mode``, as up to PaddleHub 1.7; or
                ``label_list`` before them, as in 1.8.
            named: the same by name. ``return_result``: return class names in place of states, ``None`` for a
                damaged image; ``label_list``: these names. The others have no effect: only the best model is
                kept.

        Returns:
            A state for each batch of ``batch_size`` images, or names.

        Raises:
            UsageError: if ``data`` is a single path, or is ``None`` without a prediction list.
            DataError: if a file does not exist, or is a folder.
            ModelError: if there is no trained model, or its classes differ from the data's.
        """
        options = prediction_arguments(positional, named)
        labels = self._labels(options.get("label_list"))
        images = self._images(data)
        with self.phase_guard("predict"):
            self.fire("predict_start_event")
            self.init_if_load_best_model()
            images = locate_images(images, self.task.dataset.image_root)
            started = time.monotonic()
            rows = self.task.predict(images)
            seconds = max(1e-9, time.monotonic() - started)
            for row in rows:
                if row.error is not None:
                    logger.warning("%s: %s: no answer (nan, of which argmax makes 0)", row.path, row.error)
            scores = score_matrix(rows, self.task.dataset.label_list)
            states = prediction_states(scores, self.task.config.images_per_step, seconds)
            self.fire("predict_end_event", states)
        if self._names_results or options.get("return_result", bool(options.get("label_list"))):
            return [
                None if row.error else labels[int(best)]
                for row, best in zip(rows, scores.argmax(axis=-1), strict=True)
            ]
        return states

    def _labels(self, given: Sequence[str] | None) -> Sequence[str]:
        own = self.task.dataset.label_list
        if given is not None and len(given) != len(own):
            raise UsageError(f"label_list has {len(given)} names, and the data set has {len(own)} classes")
        return own if given is None else given

    def _images(self, data: Sequence[Any] | None) -> list[Any]:
        dataset = self.task.dataset
        if data is None:
            if dataset.list_files["predict"] is None:
                raise UsageError("Give predict() the images, data=[…], or the data set a predict_list_file")
            return [*dataset.get_predict_examples()]
        if isinstance(data, str | os.PathLike):
            raise UsageError(f"Give a list of images, even for one: data=[{os.fspath(data)!r}]")
        return [*data]

    def _calculate_metrics(self, run_states: Sequence[RunState]) -> tuple[dict[str, float], float, float]:
        """Return ``{"acc": …}``, the loss, and batches per second, of states of training or evaluation."""
        return calculate_metrics(run_states)

    def init_if_necessary(self) -> None:
        """Do nothing: the network is built and loaded when it is used."""

    @in_dynamic_mode
    def init_if_load_best_model(self) -> None:
        """Load the best model, unless that was done.

        Raises:
            ModelError: if there is no trained model.
        """
        model = self.task.load_best_model()
        if self.is_best_model_loaded:
            logger.info("The best model has been loaded")
        else:
            logger.info("Load the best model from %s", model.folder)
        self.is_best_model_loaded = True

    def load_checkpoint(self) -> bool:
        """Return whether there is a run in ``checkpoint_dir``.

        Training then continues it, if it was stopped.
        """
        latest, self._resumes = self._latest_run()
        return latest is not None

    def save_checkpoint(self) -> None:
        """Do nothing: a run saves its checkpoints itself."""
        logger.info("save_checkpoint() has no effect: a run saves its checkpoints itself")

    @in_dynamic_mode
    def save_inference_model(
        self, dirname: str, model_filename: str | None = None, params_filename: str | None = None
    ) -> None:
        """Write the best model as a program of Paddle 3, with a script that runs it.

        The files are called ``inference.json`` and ``inference.pdiparams``, whatever the arguments say.

        Raises what :func:`hubtune.export_model` does.
        """
        if model_filename or params_filename:
            logger.info("the files are called inference.json and inference.pdiparams")
        export_model(self.task.load_best_model(), dirname, "paddle")

    def __repr__(self) -> str:
        return f"Task: {type(self).__name__} with metrics_choices: {self.metrics_choices}, {self.config}"
