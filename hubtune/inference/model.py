"""A fine-tuned or pretrained classifier that predicts images and is evaluated on lists."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.images.bit_depth import FULL_BITS
from hubtune.data.images.decode import Content
from hubtune.errors import ModelError, UsageError
from hubtune.evaluation.evaluation import Evaluation
from hubtune.evaluation.label_evaluation import LabelEvaluation
from hubtune.evaluation.metrics import Metrics, describe_figures
from hubtune.hub.file_names import WEIGHTS_FILE
from hubtune.hub.model_card import ModelCard
from hubtune.inference.attribution import HeadWeights
from hubtune.inference.engine_interface import Engine
from hubtune.inference.evaluate import evaluate_scores
from hubtune.inference.image_inputs import ImageInput, read_inputs
from hubtune.inference.int8_program import HeadedProgram, Int8Program, refuse_int8
from hubtune.inference.label_matching import check_multi_label, match_labels
from hubtune.inference.lazy_engine import LazyEngine
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.predict import ImageScores, Outputs, name_clipped, predict_scores
from hubtune.inference.prediction import Prediction, make_prediction
from hubtune.inference.reference import REFERENCE_FILE, Reference, read_reference
from hubtune.inference.stored_program import program_key
from hubtune.log import logger
from hubtune.notebook.html import document, facts, message, show_safely
from hubtune.storage.safe_load import read_weights

if TYPE_CHECKING:
    from paddle import nn

    from hubtune.hub.module import Module
    from hubtune.inference.program import Subnetwork

_MOST_LABELS = 30  # that a notebook shows


class Model:
    """A classifier with its classes and its preprocessing.

    Attributes:
        card: its description, as in ``model.json``.
        reference: features of training images; ``None`` if the model has none.
        folder: that the model was read from; ``None`` if it was not.
        program: the network in int8 that predicts; ``None`` if ``classifier`` does.
    """

    reference: Reference | None = None
    program: Int8Program | None = None
    folder: Path | None = None

    def __init__(self, classifier: "nn.Layer", card: ModelCard, *, engine: str = "auto") -> None:
        """Join a network and its description; :func:`load_model` reads both from a folder.

        Args:
            classifier: the network; changes after the first prediction have no effect.
            card: its description.
            engine: the engine's name or ``auto``: see :func:`hubtune.inference.engine.start_engine`.
        """
        self.card = card
        self._set_network(lambda: classifier, engine)

    @classmethod
    def of_folder(
        cls, read: "Callable[[], nn.Layer]", card: ModelCard, key: str | None, engine: str, folder: Path
    ) -> "Model":
        """Return a model whose network is only read if a stored program does not suffice."""
        model = cls.__new__(cls)
        model.card, model.folder = card, folder
        if card.similarity_threshold is not None:
            model.reference = read_reference(folder / REFERENCE_FILE, len(card.labels))
        model._set_network(read, engine, key)
        return model

    def _set_network(self, read: "Callable[[], nn.Layer]", engine: str, key: str | None = None) -> None:
        self._read = read
        self._wanted, self._key = engine, key
        self._engine: Engine = LazyEngine(self._subnetwork, engine, key=key)

    def take_program(self, program: Int8Program) -> None:
        """Predict by a network in int8 from now on."""
        head = self.head
        if head is None or head.weight.shape[1] != len(self.labels):
            raise ModelError(
                f"{self.folder} does not hold together: a network in int8 needs a linear head for its classes"
            )
        self.program, self._engine = program, HeadedProgram(program.start, head)

    @cached_property
    def maps_engine(self) -> LazyEngine:
        """The engine that computes the maps that features are computed from, for explanations.

        See :meth:`hubtune.models.classifier.Classifier.packed_maps`.
        """
        return LazyEngine(self._maps_network, self._wanted, key=self._key and self._maps_key())

    def _maps_key(self) -> str:
        """Return the key of the program for maps, which all models with the same backbone share."""
        card, digest = self.card, hashlib.sha256()
        # The weights themselves: what the description says of them may be wrong.
        for name, values in sorted(self._tensors.items()):
            if not name.startswith("head."):
                digest.update(json.dumps([name, values.shape, str(values.dtype)]).encode())
                digest.update(np.ascontiguousarray(values).data)
        view = card.preprocessing.model_dump(mode="json", include={"mean", "std", "channels"})
        is_linear, taps = not card.hidden_units, [vars(tap) for tap in card.taps]
        facts = [card.architecture, digest.hexdigest(), taps, view, is_linear]
        return f"{program_key(json.dumps(facts).encode())}-maps"

    @cached_property
    def _tensors(self) -> dict[str, np.ndarray]:
        if self.folder is None:
            return {name: values.numpy() for name, values in self.classifier.state_dict().items()}
        return read_weights(self.folder / WEIGHTS_FILE)

    @cached_property
    def classifier(self) -> "nn.Layer":
        """The network, from images ``[N, channels, h, w]`` to logits ``[N, classes]``."""
        return self._read()

    def _subnetwork(self) -> "Subnetwork":
        # Here, as they import Paddle.
        from hubtune.inference.program import Subnetwork
        from hubtune.models.classifier import Classifier

        network = self.classifier
        forward = network.logits_and_features if isinstance(network, Classifier) else network
        return Subnetwork(network, forward, self.card.preprocessing)

    def _maps_network(self) -> "Subnetwork":
        from hubtune.inference.program import Subnetwork

        return Subnetwork(self.classifier, self.classifier.packed_maps, self.card.preprocessing)

    @cached_property
    def head(self) -> HeadWeights | None:
        """The weights of a linear head; ``None`` for another one, and for a pretrained module."""
        if self.card.hidden_units or self.card.merged or self.card.strategy == "pretrained":
            return None
        return HeadWeights(self._tensors["head.0.weight"], self._tensors["head.0.bias"], self.card.taps)

    def __repr__(self) -> str:
        """Without an address in memory, which would differ from run to run in a stored notebook."""
        return f"Model({self.card.module!r}, {len(self.labels):,} {self._noun})"

    def _repr_html_(self) -> str | None:
        """Show the classes, what the model was made of, and its figures in a notebook."""
        return show_safely(lambda: document(*self._describe()))

    @property
    def _noun(self) -> str:
        return "labels" if self.card.multi_label else "classes"

    def _describe(self) -> list[Markup]:
        card, rest = self.card, len(self.labels) - _MOST_LABELS
        facts_of_card = facts(
            {
                self._noun: " · ".join(self.labels[:_MOST_LABELS]),
                "": message(f"and {rest:,} more") if rest > 0 else "",
                "module": card.module,
                "strategy": card.strategy,
                "views": ", ".join(view.description for view in card.views),
                "engine": self.engine_name if self.engine_name != "auto" else "",
                "folder": "" if self.folder is None else str(self.folder),
            }
        )
        figures = {}
        for name, values in sorted(card.metrics.items()):  # the test list, on which nothing was chosen, first
            with suppress(LookupError, TypeError):  # models of other programs may have other figures
                figures[name] = Metrics.from_dict(values)
        return [facts_of_card, *(describe_figures(figures) if figures else [])]

    @property
    def labels(self) -> list[str]:
        """Class names, in the order of the network's outputs."""
        return self.card.labels

    @property
    def answers(self) -> Outputs:
        """What the network's outputs are."""
        return Outputs(len(self.labels), self.card.multi_label)

    def score(
        self,
        paths: Sequence[Path],
        *,
        batch_size: int = 32,
        workers: int = 2,
        contents: Sequence[Content | None] = (),
    ) -> Iterator[ImageScores]:
        """Yield the scores of each image, in order: :func:`~hubtune.inference.predict.predict_scores`.

        A 16-bit image with values above the model's bits, which are clipped, is named in the log.
        """
        results = predict_scores(
            self._engine,
            self.card.views,
            paths,
            answers=self.answers,
            batch_size=batch_size,
            workers=workers,
            contents=contents,
        )
        bits = self.card.preprocessing.bits
        return results if bits == FULL_BITS else name_clipped(results, contents, bits)

    def predict(
        self, images: Iterable[ImageInput], *, reject: bool = False, batch_size: int = 32, workers: int = 2
    ) -> Iterator[Prediction]:
        """Predict the classes of images.

        Args:
            images: paths; bytes of image files; files opened with ``"rb"``; Pillow images; or arrays: uint8
                ``[height, width, 3]`` in the order R, G, B (OpenCV has B, G, R), ``[height, width, 4]`` with
                opacity, ``[height, width]``, or uint16 ``[height, width]``. An array has the scores of a
                lossless file with its pixels.
            reject: whether images that are not of the kind that the model was trained on get no label.
            batch_size: images that the network gets at once; the scores do not depend on it.
            workers: threads that decode.

        Returns:
            An iterator with one prediction for each image, in order, unreadable images included. A notebook
            shows :class:`~hubtune.inference.prediction.Predictions` of it with their images.

        Raises:
            UsageError: ``images`` is a single image, or has something else in it; or ``batch_size`` is less
                than 1.
            ModelError: ``reject`` with a model that has no features of training images.
            MachineError: an image does not load within two minutes.
        """
        if reject:
            self.check_can_reject()
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise UsageError(f"batch_size must be a whole number from 1, not {batch_size!r}")
        inputs = read_inputs(images)
        results = self.score(
            [Path(image.name) for image in inputs],
            batch_size=batch_size,
            workers=workers,
            contents=[image.content for image in inputs],
        )
        return (
            self.prediction_of(image.name, result, reject=reject)
            for image, result in zip(inputs, results, strict=True)
        )

    def features(self, images: Iterable[ImageInput], *, batch_size: int = 32, workers: int = 2) -> np.ndarray:
        """Return the pooled features of images, of unit length and averaged over the views.

        Args:
            images, batch_size, workers: as of :meth:`predict`.

        Returns:
            float32 ``[N, width]``, in the order of the images; rows of nan for unreadable ones.

        Raises:
            UsageError: ``images`` is a single image, or has something else in it.
            ModelError: the model is a pretrained module, of which ``hubtune embed`` has the features.
        """
        inputs = read_inputs(images)
        contents = [image.content for image in inputs]
        paths = [Path(image.name) for image in inputs]
        results = [*self.score(paths, batch_size=batch_size, workers=workers, contents=contents)]
        rows = {place: result.features for place, result in enumerate(results) if result.features is not None}
        if len(rows) < sum(result.values is not None for result in results):
            raise ModelError("This model has no features: embed images by its module, hubtune embed --module")
        width = len(next(iter(rows.values()))) if rows else 0
        features = np.full((len(results), width), np.nan, np.float32)
        for place, row in rows.items():
            features[place] = row
        return features

    def check_can_reject(self) -> None:
        """Raise a :class:`ModelError` if the model has no features of training images to reject others by."""
        if self.reference is None:
            raise ModelError(
                "The model has no features of training images to reject others by: it was made by an older "
                "version, by another program, or with reference: off. Fine-tune it again"
            )

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin to run prepared images on the model's engine, in one thread at a time.

        Args:
            arrays: of :func:`~hubtune.data.images.preprocessing.preprocess_views` for ``card.views``, the
                views of each image in order.

        Returns:
            A function that waits for the rows, for :func:`~hubtune.inference.predict.scores_of_rows`.
        """
        return self._engine.begin(arrays)

    def prediction_of(self, name: str, result: ImageScores, *, reject: bool = False) -> Prediction:
        """Return the prediction that follows from the scores of an image of this name."""
        threshold = self.card.similarity_threshold
        known = None if self.reference is None or threshold is None else (self.reference, threshold)
        thresholds = self.card.thresholds
        return make_prediction(name, result, self.labels, known, reject=reject, thresholds=thresholds)

    @property
    def engine_name(self) -> str:
        """Name of the engine; that asked for before the first image."""
        return self._engine.name

    def evaluate(
        self,
        dataset: BaseCVDataset,
        name: str,
        *,
        batch_size: int = 32,
        workers: int = 2,
        remap_by_name: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evaluation | LabelEvaluation:
        """Evaluate the model on a list.

        Args:
            dataset: the data set of the list, with the model's classes.
            name: ``train``, ``validate`` or ``test``.
            batch_size: images that the network gets at once; the metrics do not depend on it.
            workers: threads that decode.
            remap_by_name: accept classes in another order, and match them by name.
            progress: receives the number of images done and that of all images.

        Raises:
            DataError: the list cannot be read.
            ModelError: the classes differ.
        """
        examples, sets, members = dataset.examples(name), dataset.label_sets, None
        check_multi_label(self.card.multi_label, sets)
        number_of = match_labels(self.labels, dataset.label_list, remap_by_name=remap_by_name)
        scored = self.score([example.path for example in examples], batch_size=batch_size, workers=workers)
        truth = [example.label for example in examples]
        if sets is None:
            truth = [number_of[label] for label in truth]
        else:
            members = sets.matrix[:, np.argsort(number_of)]
        return evaluate_scores(
            *(_reported(scored, len(examples), progress), truth, self.labels, self.reference),
            members=members,
            thresholds=self.card.thresholds,
        )


def _reported(
    results: Iterable[ImageScores], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[ImageScores]:
    """Yield the results, and report unreadable images and the progress."""
    for number, result in enumerate(results, start=1):
        if result.error is not None:
            logger.warning("left out: %s", result.error)
        if progress is not None:
            progress(number, total)
        yield result


def pretrained_model(module: "Module", *, engine: str = "auto") -> Model:
    """Return a pretrained module as a model, with its own head, classes and preprocessing.

    Args:
        module: the module.
        engine: ``auto``, ``openvino``, ``openvino-bf16``, ``paddle`` or ``paddle-amp``.

    Raises:
        ModelError: the module has no pretrained head, or its classes have no names.

    Example:
        >>> model = pretrained_model(Module("resnet50_imagenet"))
        >>> [row.label for row in model.predict(["cat.jpg"])]
        ['tabby, tabby cat']
    """
    refuse_int8(engine)
    if not module.labels:
        raise ModelError(
            f"{module.name} is a fine-tuned model: use it by hubtune predict --model {module.name}"
            if module.head is not None
            else f"{module.name} has no pretrained classes to name: its weights are random, or hold no head "
            "for classes that are known. It can be fine-tuned, and embed pictures"
        )
    card = ModelCard(
        architecture=module.backbone.name,
        labels=list(module.labels),
        preprocessing=module.preprocessing,
        module=module.name,
        module_sha256=module.weights_sha256,
        strategy="pretrained",
        step=0,
        metrics={},
    )
    return Model(module.network, card, engine=engine)
