"""hubtune: folders of pictures become a classifier that can be trusted.

Names are loaded when they are first used, so that ``import hubtune`` does not import Paddle.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubtune.data.dataset import BaseCVDataset as BaseCVDataset
    from hubtune.data.dataset import ListDataset as ListDataset
    from hubtune.data.preprocessing import Preprocessing as Preprocessing
    from hubtune.errors import CheckFailedError as CheckFailedError
    from hubtune.errors import DataError as DataError
    from hubtune.errors import HubtuneError as HubtuneError
    from hubtune.errors import LockedError as LockedError
    from hubtune.errors import MachineError as MachineError
    from hubtune.errors import ModelError as ModelError
    from hubtune.errors import NumericError as NumericError
    from hubtune.errors import RecipeError as RecipeError
    from hubtune.errors import StoppedError as StoppedError
    from hubtune.errors import UsageError as UsageError
    from hubtune.evaluate import Metrics as Metrics
    from hubtune.export.paddlehub import export_paddlehub as export_paddlehub
    from hubtune.foreign.checkpoint import import_paddleclas as import_paddleclas
    from hubtune.foreign.checkpoint import import_paddlehub as import_paddlehub
    from hubtune.hub.module import Module as Module
    from hubtune.model import Model as Model
    from hubtune.model import Prediction as Prediction
    from hubtune.model import load_model as load_model
    from hubtune.model import pretrained_model as pretrained_model
    from hubtune.recipe.load import load_recipe as load_recipe
    from hubtune.recipe.schema import Recipe as Recipe
    from hubtune.recipe.schema import RunConfig as RunConfig
    from hubtune.recipe.strategy import AdamWeightDecayStrategy as AdamWeightDecayStrategy
    from hubtune.recipe.strategy import CombinedStrategy as CombinedStrategy
    from hubtune.recipe.strategy import DefaultFinetuneStrategy as DefaultFinetuneStrategy
    from hubtune.recipe.strategy import DefaultStrategy as DefaultStrategy
    from hubtune.recipe.strategy import FromFrozenStrategy as FromFrozenStrategy
    from hubtune.recipe.strategy import FrozenStrategy as FrozenStrategy
    from hubtune.recipe.strategy import L2SPFinetuneStrategy as L2SPFinetuneStrategy
    from hubtune.recipe.strategy import LastStageStrategy as LastStageStrategy
    from hubtune.recipe.strategy import RulesStrategy as RulesStrategy
    from hubtune.recipe.strategy import ScratchStrategy as ScratchStrategy
    from hubtune.recipe.strategy import ULMFiTStrategy as ULMFiTStrategy
    from hubtune.task import ImageClassifierTask as ImageClassifierTask
    from hubtune.task import Run as Run

_HOMES = {
    "hubtune.data.dataset": ("BaseCVDataset", "ListDataset"),
    "hubtune.data.preprocessing": ("Preprocessing",),
    "hubtune.errors": (
        "CheckFailedError",
        "DataError",
        "HubtuneError",
        "LockedError",
        "MachineError",
        "ModelError",
        "NumericError",
        "RecipeError",
        "StoppedError",
        "UsageError",
    ),
    "hubtune.evaluate": ("Metrics",),
    "hubtune.export.paddlehub": ("export_paddlehub",),
    "hubtune.foreign.checkpoint": ("import_paddleclas", "import_paddlehub"),
    "hubtune.hub.module": ("Module",),
    "hubtune.model": ("Model", "Prediction", "load_model", "pretrained_model"),
    "hubtune.recipe.load": ("load_recipe",),
    "hubtune.recipe.schema": ("Recipe", "RunConfig"),
    "hubtune.recipe.strategy": (
        "AdamWeightDecayStrategy",
        "CombinedStrategy",
        "DefaultFinetuneStrategy",
        "DefaultStrategy",
        "FromFrozenStrategy",
        "FrozenStrategy",
        "L2SPFinetuneStrategy",
        "LastStageStrategy",
        "RulesStrategy",
        "ScratchStrategy",
        "ULMFiTStrategy",
    ),
    "hubtune.task": ("ImageClassifierTask", "Run"),
}
_WITHOUT_PADDLE = ("hubtune.data.preprocessing", "hubtune.errors", "hubtune.evaluate", "hubtune.recipe")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hubtune' has no attribute {name!r}")
    if not _HOME_OF[name].startswith(_WITHOUT_PADDLE):
        from hubtune.machine import prepare

        prepare()
    try:
        return getattr(import_module(_HOME_OF[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "paddle":
            raise
        from hubtune.errors import MachineError

        raise MachineError(PADDLE_MISSING) from error


PADDLE_MISSING = (
    'PaddlePaddle is not installed: pip install "hubtune[cpu]", or for a GPU the two lines in the README'
)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
