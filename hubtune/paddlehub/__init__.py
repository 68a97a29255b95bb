"""PaddleHub 1.x's names for fine-tuning an image classifier: old scripts run after a change of imports.

``sed s/paddlehub/hubtune.paddlehub/`` makes the change. This package only translates to hubtune's own
classes, which train, read and score. What is the same, what is corrected and what is refused:
``docs/paddlehub-1x.md``.

Example:
    >>> import hubtune.paddlehub as hub
    >>> from hubtune.paddlehub.dataset.base_cv_dataset import BaseCVDataset
    >>> module = hub.Module(name="xception71_imagenet")
"""

import sys
from typing import Any

# Through the package, which sets MKL's path before it imports Paddle.
import hubtune  # noqa: F401
from hubtune.paddlehub.classifier_task import ImageClassifierTask
from hubtune.paddlehub.dataset_archives import data_home, hub_home
from hubtune.paddlehub.hooks import TaskHooks
from hubtune.paddlehub.image_lists import BaseCVDataset, ImageClassificationDataset
from hubtune.paddlehub.image_reader import ImageClassificationReader
from hubtune.paddlehub.log import Logger, paddlehub_logger
from hubtune.paddlehub.pretrained import Module, Variable
from hubtune.paddlehub.ready_made import (
    DogCatDataset,
    FlowersDataset,
    Food101Dataset,
    Indoor67Dataset,
    StanfordDogsDataset,
)
from hubtune.paddlehub.run_config import RunConfig
from hubtune.paddlehub.run_states import RunState
from hubtune.paddlehub.strategies import (
    AdamWeightDecayStrategy,
    CombinedStrategy,
    DefaultFinetuneStrategy,
    DefaultStrategy,
    L2SPFinetuneStrategy,
    ULMFiTStrategy,
)
from hubtune.paddlehub.submodules import look_up, register_submodules

__all__ = [
    "AdamWeightDecayStrategy",
    "BaseCVDataset",
    "ClassifierTask",
    "CombinedStrategy",
    "DefaultFinetuneStrategy",
    "DefaultStrategy",
    "ImageClassificationDataset",
    "ImageClassificationReader",
    "ImageClassifierTask",
    "L2SPFinetuneStrategy",
    "Logger",
    "Module",
    "RunConfig",
    "RunState",
    "TaskHooks",
    "ULMFiTStrategy",
    "Variable",
    "logger",
    "report_final_result",
]

hub_version = __version__ = "1.8.3"
"""The version of PaddleHub whose interface this is."""

ClassifierTask = ImageClassifierTask
logger = paddlehub_logger
Flowers, DogCat, Food101 = FlowersDataset, DogCatDataset, Food101Dataset
Indoor67, StanfordDogs = Indoor67Dataset, StanfordDogsDataset
HUB_HOME, DATA_HOME, USER_HOME = str(hub_home()), str(data_home()), str(hub_home().parent)
MODULE_HOME, CACHE_HOME, CONF_HOME = (str(hub_home() / name) for name in ("modules", "cache", "conf"))


def report_final_result(result: float) -> None:
    """Log the result of a trial; in PaddleHub, its search for settings received it."""
    logger.info(f"result {result}; hubtune tune PICTURES searches for settings")


def __getattr__(name: str) -> Any:
    return look_up("hubtune.paddlehub", name, __all__)


register_submodules(globals(), sys.modules[__name__])
