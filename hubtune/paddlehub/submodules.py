"""PaddleHub's modules by their names there, ``hubtune.paddlehub.finetune.strategy`` and others.

They have no files of their own: all of them are views of the names of :mod:`hubtune.paddlehub`.
"""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from hubtune.paddlehub.absent import ADVICE, DETECTION, TEXT, VERSION_2, AbsentObject, absent_name

_STRATEGIES = (
    "AdamWeightDecayStrategy CombinedStrategy DefaultFinetuneStrategy DefaultStrategy L2SPFinetuneStrategy "
    "ULMFiTStrategy"
)
_READY_MADE = "Flowers DogCat Food101 Indoor67 StanfordDogs"
_TASK = "ImageClassifierTask ClassifierTask"
_DATASETS = "BaseCVDataset ImageClassificationDataset"

# Module → its names that hubtune has; those of all versions, 1.0 to 1.8.
_NAMES = {
    "autofinetune": "",
    "autofinetune.evaluator": "report_final_result",
    "common": "",
    "common.dir": "USER_HOME HUB_HOME MODULE_HOME CACHE_HOME DATA_HOME CONF_HOME",
    "common.logger": "logger Logger",
    "dataset": f"{_DATASETS} {_READY_MADE}",
    "dataset.base_cv_dataset": _DATASETS,
    "dataset.dogcat": "DogCatDataset",
    "dataset.flowers": "FlowersDataset",
    "dataset.food101": "Food101Dataset",
    "dataset.indoor67": "Indoor67Dataset",
    "dataset.stanford_dogs": "StanfordDogsDataset",
    "finetune": "",
    "finetune.config": "RunConfig",
    "finetune.strategy": _STRATEGIES,
    "finetune.task": f"{_TASK} RunState TaskHooks",
    "finetune.task.base_task": "RunState TaskHooks",
    "finetune.task.basic_task": "RunState",
    "finetune.task.classifier_task": _TASK,
    "finetune.task.image_classifier_task": _TASK,
    "module": "",
    "module.module": "Module",
    "reader": "ImageClassificationReader",
    "reader.cv_reader": "ImageClassificationReader",
    "version": "hub_version",
}
# What to do instead → modules of which hubtune has nothing.
_ABSENT = {
    TEXT: """dataset.base_nlp_dataset dataset.bq dataset.chnsenticorp dataset.cmrc2018 dataset.couplet
        dataset.drcd dataset.duel dataset.glue dataset.iflytek dataset.inews dataset.lcqmc dataset.msra_ner
        dataset.nlpcc_dbqa dataset.squad dataset.thucnews dataset.tnews dataset.toxic dataset.xnli
        finetune.evaluator finetune.task.generation_task finetune.task.matching_task
        finetune.task.reading_comprehension_task finetune.task.regression_task finetune.task.sequence_task
        module.nlp_module network reader.batching reader.nlp_reader reader.tokenization tokenizer""",
    DETECTION: "common.detection_config finetune.task.detection_task",
    VERSION_2: "compat compat.task datasets finetune.trainer vision vision.transforms",
    "docs/paddlehub-1x.md has what there is": """
        autofinetune.autoft common.arg_helper common.cml_utils common.decorator_utils common.downloader
        common.hub_server common.lock common.paddle_helper common.paddlex_utils common.utils dataset.dataset
        finetune.checkpoint finetune.evaluate finetune.optimization finetune.regularizer io io.augmentation
        io.parser io.type module.base_processor module.checker module.manager module.signature
        reader.base_reader serving""",
}
_ADVICE_OF_MODULE = {path: advice for advice, paths in _ABSENT.items() for path in paths.split()}


class _Submodule(ModuleType):
    """A module whose names are looked up when they are used."""

    def __init__(self, path: str, names: Mapping[str, Any], advice: str | None) -> None:
        super().__init__(f"hubtune.paddlehub.{path}")
        self.__path__: list[str] = []  # it may have modules below it
        self._advice = advice
        vars(self).update(names)
        self.__all__ = sorted(names)

    def __getattr__(self, name: str) -> Any:
        return look_up(self.__name__, name, self.__all__, self._advice)


def look_up(owner: str, name: str, present: Sequence[str], advice: str | None = None) -> Any:
    """Return what stands for a name that hubtune has not.

    Args:
        owner: the module that is asked.
        present: names that it has.
        advice: what to do instead, if it has none.

    Raises:
        AbsentError: if PaddleHub does not have the name either.
    """
    if name.startswith("_"):
        raise AttributeError(f"{owner} has no {name!r}")
    advice = ADVICE.get(name, advice)
    if advice is not None:
        return AbsentObject(name, advice)
    raise absent_name(owner, name, {}, [*present, *ADVICE])


def register_submodules(names: Mapping[str, Any], package: ModuleType) -> None:
    """Make PaddleHub's modules importable, from the names of ``hubtune.paddlehub``."""
    for path in sorted([*_NAMES, *_ADVICE_OF_MODULE]):
        own = {name: names[name] for name in _NAMES.get(path, "").split()}
        module = _Submodule(path, own, _ADVICE_OF_MODULE.get(path))
        sys.modules[module.__name__] = module
        above, _, last = path.rpartition(".")
        parent = sys.modules[f"{package.__name__}.{above}"] if above else package
        setattr(parent, last, module)
