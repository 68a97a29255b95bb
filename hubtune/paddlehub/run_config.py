"""PaddleHub's ``RunConfig``."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import paddle

import hubtune
from hubtune.errors import MachineError
from hubtune.log import logger, show_on_stderr
from hubtune.paddlehub.absent import PaddleHubObject
from hubtune.paddlehub.strategies import DefaultStrategy, recipe_settings

_BATCH_SIZE = 32


class RunConfig(PaddleHubObject):
    """How a task is trained.

    Attributes:
        strategy: as it was given; a task takes it as it is when the task is made.
        log_interval, eval_interval, save_ckpt_interval: steps.
        checkpoint_dir, num_epoch, batch_size: as in PaddleHub.
        use_cuda: whether a GPU is used.
        use_pyreader, use_data_parallel, enable_memory_optim: as they were given; they have no effect.
    """

    absent: ClassVar[Mapping[str, str]] = {
        name: f"give hub.RunConfig({name}=…), and make a new configuration for another value"
        for name in hubtune.RunConfig.model_fields
    }

    def __init__(
        self,
        log_interval: int = 10,
        eval_interval: int = 100,
        use_pyreader: bool = True,
        use_data_parallel: bool | None = None,
        save_ckpt_interval: int | None = None,
        use_cuda: bool | None = None,
        checkpoint_dir: str | None = None,
        num_epoch: int = 1,
        batch_size: int | None = _BATCH_SIZE,
        enable_memory_optim: bool = False,
        strategy: Any = None,
        **settings: Any,
    ) -> None:
        """Check the settings.

        Args:
            log_interval, eval_interval, save_ckpt_interval: steps. A run is evaluated at these steps, and
                after the last one.
            use_pyreader, use_data_parallel, enable_memory_optim: have no effect; one device trains.
            use_cuda: default: whether there is a GPU.
            checkpoint_dir: the run folder, default ``ckpt_<time>``.
            num_epoch: passes over the training list.
            batch_size: images per step; ``None``: 32.
            strategy: of this package, default ``DefaultStrategy()``; or one of hubtune's.
            settings: all other arguments of :class:`hubtune.RunConfig`.

        Raises:
            UsageError: if a setting is unknown or wrong.
            MachineError: if a GPU is wanted, and there is none.
        """
        self.strategy = DefaultStrategy() if strategy is None else strategy
        self.use_pyreader, self.use_data_parallel = use_pyreader, use_data_parallel is not False
        self.enable_memory_optim = enable_memory_optim
        has_gpu = paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
        if use_cuda and not has_gpu:
            raise MachineError(
                "use_cuda=True, and Paddle has no GPU here: give use_cuda=False, or install paddlepaddle-gpu"
            )
        if use_cuda is not None:
            settings["use_cuda"] = bool(use_cuda)
        self._given = {
            "eval_each_epoch": False,
            "epochs": num_epoch,
            "batch_size": _BATCH_SIZE if batch_size is None else batch_size,
            "checkpoint_dir": checkpoint_dir or time.strftime("ckpt_%Y%m%d%H%M%S"),
            "log_interval": log_interval,
            "eval_interval": eval_interval,
            "save_ckpt_interval": save_ckpt_interval,
            **settings,
        }
        self._checked = self.settings
        self.use_cuda = has_gpu and self._checked.device != "cpu"
        show_on_stderr()
        if use_data_parallel:
            logger.info("use_data_parallel has no effect: one device trains")
        logger.info("Checkpoint dir: %s", self.checkpoint_dir)

    @property
    def settings(self) -> hubtune.RunConfig:
        """hubtune's configuration; raises UsageError if the strategy has been given wrong settings."""
        return hubtune.RunConfig(**{**recipe_settings(self.strategy), **self._given})

    @property
    def log_interval(self) -> int:
        return self._checked.log_interval

    @property
    def eval_interval(self) -> int:
        return self._checked.eval_interval

    @property
    def save_ckpt_interval(self) -> int | None:
        return self._checked.save_ckpt_interval

    @property
    def checkpoint_dir(self) -> str:
        return str(self._checked.checkpoint_dir)

    @property
    def num_epoch(self) -> int:
        return self._checked.epochs

    @property
    def batch_size(self) -> int:
        return self._checked.images_per_step

    def __repr__(self) -> str:
        return (
            f"config with num_epoch={self.num_epoch}, batch_size={self.batch_size}, "
            f"use_cuda={self.use_cuda}, checkpoint_dir={self.checkpoint_dir} and {self.strategy}"
        )
