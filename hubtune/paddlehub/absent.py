"""What PaddleHub had and hubtune has not: a sentence that says what to do, where a script uses it."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn

from hubtune.errors import UsageError, suggest


class AbsentError(UsageError, AttributeError):
    """A script uses a name that hubtune has not."""


class PaddleHubObject:
    """Base of what scripts get from :mod:`hubtune.paddlehub`.

    Attributes:
        absent: attribute of PaddleHub's object that this one has not → what to do.
    """

    absent: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> NoReturn:
        raise absent_name(type(self).__name__, name, self.absent, dir(type(self)))


def absent_name(owner: str, name: str, absent: Mapping[str, str], present: Iterable[str]) -> AbsentError:
    """Return the error for a name that an object has not; of PaddleHub's, it says what to do."""
    if name in absent:
        return AbsentError(f"{owner} has no {name!r}: {absent[name]}")
    near = suggest(name, [other for other in present if not other.startswith("_")])
    return AbsentError(f"{owner} has no {name!r}.{near}")


class AbsentObject:
    """Stands for a class, function or object of PaddleHub; a script may import it, but not use it."""

    def __init__(self, name: str, advice: str) -> None:
        self._message = f"hubtune.paddlehub has no {name!r}: {advice}"

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise UsageError(self._message)

    def __mro_entries__(self, _: tuple[Any, ...]) -> NoReturn:
        raise UsageError(self._message)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # Python's own protocols ask for them
            raise AttributeError(name)
        raise AbsentError(self._message)


TEXT = "it is for text, and hubtune supports only image classification"
DETECTION = "hubtune classifies whole images, and does not detect objects in them"
_OWN_LISTS = "derive from hub.BaseCVDataset, or use it, with lists of `path label` lines"
_TRAINING = (
    "make hub.ImageClassifierTask(feature=…, num_classes=…, feed_list=…, data_reader=…, config=…), and call "
    "task.finetune_and_eval()"
)
_MODULES = "hubtune hub list and hubtune hub show NAME describe the modules; hub.Module(name=…) loads one"
_SEARCH = "hubtune tune PICTURES searches for settings; docs/tune.md describes it"
VERSION_2 = (
    "it belongs to PaddleHub 2.x, where a script has its own training loop; hubtune.ImageClassifierTask is "
    "shorter: docs/paddlehub-1x.md"
)
_PROGRAM = "hubtune has no programs of Paddle 1: remove what works on them"

_ADVICE = {
    TEXT: """BertTokenizer CustomTokenizer ErnieTinyTokenizer ClassifyReader LACClassifyReader BaseNLPReader
        MultiLabelClassifierTask MultiLabelClassifyReader NLPPredictionModule PairwiseTextMatchingTask
        PointwiseTextMatchingTask ReadingComprehensionReader ReadingComprehensionTask RegressionReader
        RegressionTask SequenceLabelReader SequenceLabelTask TextClassifierTask TextGenerationTask
        TransformerModule create_seq_label_task create_text_cls_task network tokenizer BQ CMRC2018
        ChnSentiCorp Couplet DRCD DuEL GLUE IFLYTEK INews InputExample LCQMC MSRA_NER NLPCC_DBQA SQUAD
        THUCNEWS TNews Toxic XNLI BaseNLPDataset TextClassificationDataset""",
    DETECTION: "DetectionTask ObjectDetectionDataset ObjectDetectionReader",
    _OWN_LISTS: "BaseDataset HubDataset",
    "use hub.reader.ImageClassificationReader": "BaseReader",
    _TRAINING: "create_img_cls_task finetune_and_eval BaseTask BasicTask",
    _MODULES: """default_module_manager server_check HubServer default_hub_server LocalModuleManager download
        ResourceNotFoundError ServerConnectionError""",
    "the module of a folder is made by hubtune hub new; docs/modules.md describes it": """create_module
        create_signature Signature BaseProcessor moduleinfo runnable serving""",
    _SEARCH: "AutoFineTuneEvaluator FullTrailEvaluator PopulationBasedTuner autoft evaluator",
    _PROGRAM: "connect_program DataType paddle_helper clone_program dtype_map load_checkpoint RunEnv",
    VERSION_2: "Trainer datasets vision env",
}
ADVICE = {name: advice for advice, names in _ADVICE.items() for name in names.split()}
"""Name in PaddleHub's modules → what to do."""
