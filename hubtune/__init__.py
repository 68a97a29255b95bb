"""hubtune: folders of pictures become a classifier that can be trusted.

Names are loaded when they are first used, so that ``import hubtune`` does not import Paddle.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubtune.compat.checkpoint import import_paddleclas as import_paddleclas
    from hubtune.compat.checkpoint import import_paddlehub as import_paddlehub
    from hubtune.compat.paddleclas_recipe import translate_paddleclas as translate_paddleclas
    from hubtune.compat.paddlecv_flags import translate_flags as translate_flags
    from hubtune.compat.translation import Translation as Translation
    from hubtune.data.dataset import BaseCVDataset as BaseCVDataset
    from hubtune.data.dataset import ListDataset as ListDataset
    from hubtune.data.images.preprocessing import Preprocessing as Preprocessing
    from hubtune.data.prepare import scan as scan
    from hubtune.data.prepare import split as split
    from hubtune.data.source_dataset import SourceDataset as SourceDataset
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
    from hubtune.evaluation.evaluation import Evaluation as Evaluation
    from hubtune.evaluation.metrics import Metrics as Metrics
    from hubtune.export.exporter import Export as Export
    from hubtune.export.exporter import export_model as export_model
    from hubtune.export.exporter import export_paddlehub as export_paddlehub
    from hubtune.export.recheck import prove_export as prove_export
    from hubtune.hub.module import Module as Module
    from hubtune.inference.explanation import ImageExplanation as ImageExplanation
    from hubtune.inference.explanation import explain_images as explain_images
    from hubtune.inference.load_model import load_model as load_model
    from hubtune.inference.model import Model as Model
    from hubtune.inference.model import pretrained_model as pretrained_model
    from hubtune.inference.model_edit import edit_model as edit_model
    from hubtune.inference.prediction import Prediction as Prediction
    from hubtune.inference.prediction import Predictions as Predictions
    from hubtune.inference.run_comparison import compare_runs as compare_runs
    from hubtune.recipe.load import load_recipe as load_recipe
    from hubtune.recipe.schema import Recipe as Recipe
    from hubtune.recipe.schema import RunConfig as RunConfig
    from hubtune.recipe.strategies import AdamWeightDecayStrategy as AdamWeightDecayStrategy
    from hubtune.recipe.strategies import CombinedStrategy as CombinedStrategy
    from hubtune.recipe.strategies import DefaultFinetuneStrategy as DefaultFinetuneStrategy
    from hubtune.recipe.strategies import DefaultStrategy as DefaultStrategy
    from hubtune.recipe.strategies import FromFrozenStrategy as FromFrozenStrategy
    from hubtune.recipe.strategies import FrozenStrategy as FrozenStrategy
    from hubtune.recipe.strategies import L2SPFinetuneStrategy as L2SPFinetuneStrategy
    from hubtune.recipe.strategies import LastStageStrategy as LastStageStrategy
    from hubtune.recipe.strategies import RulesStrategy as RulesStrategy
    from hubtune.recipe.strategies import ScratchStrategy as ScratchStrategy
    from hubtune.recipe.strategies import ULMFiTStrategy as ULMFiTStrategy
    from hubtune.runs.callbacks import Callback as Callback
    from hubtune.runs.result import Run as Run
    from hubtune.task import ImageClassifierTask as ImageClassifierTask
    from hubtune.tuning.cross_validation import cross_validate as cross_validate
    from hubtune.tuning.search import tune as tune

_HOMES = {
    "hubtune.data.dataset": ("BaseCVDataset", "ListDataset"),
    "hubtune.data.images.preprocessing": ("Preprocessing",),
    "hubtune.data.prepare": ("scan", "split"),
    "hubtune.data.source_dataset": ("SourceDataset",),
    "hubtune.errors": (
        *("CheckFailedError", "DataError", "HubtuneError", "LockedError", "MachineError", "ModelError"),
        *("NumericError", "RecipeError", "StoppedError", "UsageError"),
    ),
    "hubtune.estimator": ("ImageClassifier",),
    "hubtune.evaluation.evaluation": ("Evaluation",),
    "hubtune.evaluation.metrics": ("Metrics",),
    "hubtune.export.exporter": ("Export", "export_model", "export_paddlehub"),
    "hubtune.export.recheck": ("prove_export",),
    "hubtune.compat.checkpoint": ("import_paddleclas", "import_paddlehub"),
    "hubtune.compat.paddleclas_recipe": ("translate_paddleclas",),
    "hubtune.compat.paddlecv_flags": ("translate_flags",),
    "hubtune.compat.translation": ("Translation",),
    "hubtune.hub.module": ("Module",),
    "hubtune.inference.explanation": ("ImageExplanation", "explain_images"),
    "hubtune.inference.load_model": ("load_model",),
    "hubtune.inference.model": ("Model", "pretrained_model"),
    "hubtune.inference.model_edit": ("edit_model",),
    "hubtune.inference.prediction": ("Prediction", "Predictions"),
    "hubtune.inference.run_comparison": ("compare_runs",),
    "hubtune.recipe.load": ("load_recipe",),
    "hubtune.recipe.schema": ("Recipe", "RunConfig"),
    "hubtune.recipe.strategies": (
        *("AdamWeightDecayStrategy", "CombinedStrategy", "DefaultFinetuneStrategy", "DefaultStrategy"),
        *("FromFrozenStrategy", "FrozenStrategy", "L2SPFinetuneStrategy", "LastStageStrategy"),
        *("RulesStrategy", "ScratchStrategy", "ULMFiTStrategy"),
    ),
    "hubtune.runs.callbacks": ("Callback",),
    "hubtune.runs.result": ("Run",),
    "hubtune.task": ("ImageClassifierTask",),
    "hubtune.tuning.cross_validation": ("cross_validate",),
    "hubtune.tuning.search": ("tune",),
}
_WITHOUT_PADDLE = (
    "hubtune.data.images.preprocessing",
    "hubtune.data.prepare",
    "hubtune.errors",
    "hubtune.evaluation",
    "hubtune.recipe",
    "hubtune.runs.callbacks",
)
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hubtune' has no attribute {name!r}")
    if not _HOME_OF[name].startswith(_WITHOUT_PADDLE):
        from hubtune.hardware.cpu import prepare

        prepare()
    from hubtune.doctor.library_files import cut_off_libraries_refused

    try:
        with cut_off_libraries_refused():
            return getattr(import_module(_HOME_OF[name]), name)
    except Exception as error:
        from hubtune.doctor.packages import import_problem
        from hubtune.errors import MachineError
        from hubtune.extras import paddle_missing

        is_paddle = isinstance(error, ModuleNotFoundError) and error.name == "paddle"
        problem = paddle_missing() if is_paddle else import_problem(error)
        if problem is None:
            raise
        raise MachineError(problem) from error


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])


if "ipykernel" in sys.modules:  # everywhere else, the import is not worth its time
    from hubtune.notebook.kernel import prepare_notebook as _prepare_notebook

    _prepare_notebook()
