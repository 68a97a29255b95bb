"""Head, reference and similarity threshold for features in int8, found as training found those in float32."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hubtune.data.dataset import LIST_NAMES
from hubtune.data.splits.files import read_groups
from hubtune.errors import DataError, ModelError
from hubtune.export.quantized_model import QuantizedModel
from hubtune.hub.module import Module
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.model import Model
from hubtune.inference.model_folder import read_model
from hubtune.inference.quantized_backbone import QuantizedBackbone
from hubtune.inference.quantizer import QuantizedFiles
from hubtune.recipe.load import load_recipe
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RECIPE_FILE, open_run
from hubtune.runs.lists import dataset_of
from hubtune.runs.signals import Stop
from hubtune.train.calibration import calibrate
from hubtune.train.context import RunContext, RunData
from hubtune.train.data_checks import BadImages
from hubtune.train.evaluator import FittedCalibration, TrainedModel
from hubtune.train.head_solver import HeadSolver
from hubtune.train.strategies import TRAINERS


@contextmanager
def training_context(run: Path, model: Model) -> Iterator[RunContext]:
    """Open the lists of a run for training on them again; what is written is in a temporary folder.

    Raises:
        DataError: there are no training images, or the lists cannot be read.
        ModelError: the lists have other classes than the model.
    """
    recipe = load_recipe(run / RECIPE_FILE)
    config, dataset = recipe.config(), dataset_of(recipe, complete=True)
    dataset.check_files()
    examples = {name: dataset.examples(name) for name in LIST_NAMES}
    if dataset.label_list != model.labels:
        raise ModelError(f"The lists of {run} have other classes than its model: fine-tune it again")
    groups = read_groups(dataset.lists_folder)
    data = RunData(dataset.class_names, examples, groups, label_sets=dataset.label_sets)
    module = Module(recipe.module.name, None, trust_code=recipe.module.trust_code)
    with TemporaryDirectory(prefix="hubtune-") as temporary, open_run(Path(temporary) / "run") as folder:
        bad = BadImages(folder, examples, config)
        yield RunContext(config, module, data, folder, Stop(), Callback(), bad)


def has_solved_head(context: RunContext, model: Model) -> bool:
    """Whether a model's head was solved, not trained by gradients."""
    return TRAINERS[context.config.strategy.name].start == "solved_head" and not model.card.step


def fit_quantized(context: RunContext, model: Model, files: QuantizedFiles) -> QuantizedModel:
    """Return the model with a quantised backbone, and what depends on its features found again.

    A head that was solved is solved again on the training images; one that was trained stays. The features
    of training images and the threshold of similarity are those of int8.

    Args:
        context: of the run that trained the model.
        model: read from a folder.
        files: of its quantised network.

    Raises:
        DataError: the training images cannot be used.
    """
    assert model.folder is not None
    # Read again, because the head is changed; code of a user was permitted when the model was loaded.
    classifier, card = read_model(model.folder, trust_code=True)
    backbone = QuantizedBackbone(
        files, classifier, card.preprocessing, module=card.module, cache=FeatureCache()
    )
    if has_solved_head(context, model):
        solution = HeadSolver(context, backbone, classifier.blocks).solve_for(card.views)
        classifier.set_head(solution.weight, solution.bias)
        card = card.model_copy(update={"thresholds": list(solution.thresholds or [])})
    quantized = QuantizedModel(classifier, card, None, files, backbone)
    # A temperature that is set is not fitted again.
    trained = TrainedModel(
        classifier,
        card.views,
        quantized.score,
        card.step,
        {},
        calibration=FittedCalibration(card.temperature or 1.0, thresholds=card.thresholds or None),
    )
    found = calibrate(context, trained).calibration
    if found.reference is None:
        card = card.model_copy(update={"similarity_threshold": None})
    else:
        card = card.model_copy(update={"similarity_threshold": found.similarity_threshold})
    return QuantizedModel(classifier, card, found.reference, files, backbone)


def require_images(context: RunContext) -> None:
    """Refuse a run whose training or validation images are not there, by a ``DataError``."""
    for name, text, why in (
        ("train", "training", "the steps of int8 are chosen on them"),
        ("validate", "validation", "int8 is judged on them"),
    ):
        if not any(entry.path.is_file() for entry in context.data.examples[name]):
            raise DataError(f"its {text} pictures are not there, and {why}")
