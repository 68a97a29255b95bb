"""A fine-tuned or pretrained classifier that predicts images and is evaluated on lists."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.images.bit_depth import FULL_BITS
from hubtune.data.images.decode import Content
from hubtune.errors import ModelError, UsageError
from hubtune.evaluation.evaluation import Evaluation, evaluate_answers
from hubtune.hub.file_names import CODE_FILE, MODEL_FILE, WEIGHTS_FILE
from hubtune.inference.attribution import HeadWeights
from hubtune.inference.engine_interface import Engine, expected_engine
from hubtune.inference.image_inputs import ImageInput, read_inputs
from hubtune.inference.int8_program import HeadedProgram, Int8Program, open_program, refuse_int8
from hubtune.inference.label_matching import match_labels
from hubtune.inference.lazy_engine import LazyEngine
from hubtune.inference.model_card import ModelCard, card_in
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.predict import ImageScores, name_clipped, predict_scores
from hubtune.inference.prediction import Prediction, make_prediction
from hubtune.inference.reference import REFERENCE_FILE, Reference, collect_answers, read_reference
from hubtune.inference.stored_program import has_program, program_key
from hubtune.log import logger
from hubtune.runs.folder import BEST_MODEL, is_run
from hubtune.storage.checked_folder import MANIFEST, find_checked, open_checked
from hubtune.storage.safe_load import read_weights

if TYPE_CHECKING:
    from paddle import nn

    from hubtune.hub.module import Module
    from hubtune.inference.program import Subnetwork


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
    def _of_folder(
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

    def _take_program(self, program: Int8Program) -> None:
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
        if self.card.hidden_units or self.card.strategy == "pretrained":
            return None
        return HeadWeights(self._tensors["head.0.weight"], self._tensors["head.0.bias"], self.card.taps)

    @property
    def labels(self) -> list[str]:
        """Class names, in the order of the network's outputs."""
        return self.card.labels

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
            classes=len(self.labels),
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
            images: paths; bytes of image files; Pillow images; or arrays: uint8 ``[height, width, 3]`` in the
                order R, G, B (OpenCV has B, G, R), ``[height, width, 4]`` with opacity, ``[height, width]``,
                or uint16 ``[height, width]``. An array has the scores of a lossless file with its pixels.
            reject: whether images that are not of the kind that the model was trained on get no label.
            batch_size: images that the network gets at once; the scores do not depend on it.
            workers: threads that decode.

        Returns:
            An iterator with one prediction for each image, in order, unreadable images included.

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
        return make_prediction(name, result, self.labels, known, reject=reject)

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
    ) -> Evaluation:
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
        number_of = match_labels(self.labels, dataset.label_list, remap_by_name=remap_by_name)
        examples = dataset.examples(name)
        results = self.score([example.path for example in examples], batch_size=batch_size, workers=workers)
        truth = [number_of[example.label] for example in examples]
        answers = collect_answers(_reported(results, len(examples), progress), truth, self.reference)
        return evaluate_answers(answers, self.labels)


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
            f"{module.name} has no pretrained classes to name: its weights are random, or hold no head for "
            "classes that are known. It can be fine-tuned, and embed pictures"
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


def load_model(folder: str | Path, *, trust_code: bool = False, engine: str = "auto") -> Model:
    """Read a model folder, or the best model of a run folder.

    Args:
        folder: of the model or the run.
        trust_code: whether the code of a user's own architecture (``module.py`` in the folder) may run.
        engine: ``auto``, ``openvino``, ``openvino-bf16``, ``paddle`` or ``paddle-amp``; a model that was
            fine-tuned by ``openvino-int8`` has no other one.

    Raises:
        ModelError: there is no complete model, or it has code that may not run.
        UsageError: the model cannot be run by this engine.
        MachineError: the model needs OpenVINO and a CPU.

    Example:
        >>> model = load_model("runs/idol5")
        >>> [row.label for row in model.predict(["test/anqi.jpg"])]
        ['安崎']
    """
    place = model_folder_of(Path(folder))
    complete = open_checked(place, MODEL_FILE, WEIGHTS_FILE)
    manifest = (complete / MANIFEST).read_bytes()
    card = card_in(complete)
    has_code = card.architecture == CODE_FILE  # which needs permission, and may do anything
    program, key = open_program(complete, card, engine), None
    if program is None and engine in ("auto", "openvino") and not has_code:
        key = program_key(manifest) if expected_engine(engine) == "openvino" else None
    needs_network = has_code if program is not None else key is None or not has_program(key)
    if not needs_network:

        def read() -> "nn.Layer":
            return _read_same(place, manifest)

    else:
        from hubtune.inference.model_folder import read_network  # here, as it imports Paddle

        classifier = read_network(complete, card, trust_code=trust_code)

        def read() -> "nn.Layer":
            return classifier

    model = Model._of_folder(read, card, key, engine, complete)
    if program is not None:
        model._take_program(program)
        _check_same(place, manifest)
    return model


def _read_same(folder: Path, manifest: bytes) -> "nn.Layer":
    """Read the network of a model without code, if the folder's manifest is still this one."""
    from hubtune.inference.model_folder import read_model

    classifier = read_model(folder)[0]
    _check_same(folder, manifest)
    return classifier


def _check_same(folder: Path, manifest: bytes) -> None:
    if (find_checked(folder) / MANIFEST).read_bytes() != manifest:
        raise ModelError(f"{folder} holds another model than when it was loaded: load it again")


def model_folder_of(folder: Path) -> Path:
    """Return the model folder: the folder itself, or that of the best model in a run folder.

    Raises:
        ModelError: the folder does not exist, holds no model, or is a run without a model yet.
    """
    if is_run(folder):
        if not find_checked(folder / BEST_MODEL).exists():
            raise ModelError(
                f"{folder} has no model yet, as it has not reached its first evaluation: "
                f"continue it with hubtune finetune {folder} --resume"
            )
        return folder / BEST_MODEL
    if not find_checked(folder).is_dir():
        raise ModelError(f"There is no run or model {folder}: name the folder of one, such as runs/NAME")
    if not (find_checked(folder) / MODEL_FILE).exists():
        raise ModelError(f"{folder} is neither a run nor a model: name the folder of one, such as runs/NAME")
    return folder
