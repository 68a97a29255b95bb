"""A fine-tuned model: read from its folder, it scores pictures and is measured on lists."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from hubtune.data.dataset import BaseCVDataset
from hubtune.errors import ModelError, UsageError
from hubtune.evaluation.metrics import Metrics, measure
from hubtune.hub.module import Module
from hubtune.inference.engine import LazyEngine
from hubtune.inference.model_folder import CARD_FILE, ModelCard, read_model
from hubtune.inference.predict import ImageScores, predict_scores
from hubtune.inference.program import Subnetwork
from hubtune.log import logger
from hubtune.runs.folder import BEST_MODEL, is_run
from hubtune.storage.checked_folder import find_checked


@dataclass(frozen=True)
class Prediction:
    """What a model says of a picture; fields can also be read like a dict's, by the names of the JSON.

    Attributes:
        path: the picture, as it was given.
        label: name of the class with the highest score; ``None`` where the picture cannot be read.
        score: that score, 0 to 1.
        scores: every class's score, highest first.
        error: why the picture cannot be read; ``None`` where it can.
    """

    path: str
    label: str | None
    score: float | None
    scores: dict[str, float]
    error: str | None = None

    def __getitem__(self, name: str) -> Any:
        """A field by its name."""
        return vars(self)[name]


class Model:
    """A classifier with its classes and its preprocessing.

    Attributes:
        classifier: the network, pictures ``[N, 3, h, w]`` → logits ``[N, classes]``.
        card: what ``model.json`` says of it.
    """

    def __init__(self, classifier: nn.Layer, card: ModelCard, *, engine: str = "auto") -> None:
        """Join a network and its description; :func:`load_model` reads both from disk.

        Args:
            classifier: the network, as it is to be used: the engine takes it over at the first picture.
            card: its description.
            engine: what runs it, see :func:`hubtune.inference.engine.start_engine`.
        """
        self.classifier = classifier
        self.card = card
        self._engine = LazyEngine(Subnetwork(classifier, classifier, card.preprocessing), engine)

    @property
    def labels(self) -> list[str]:
        """Class names in the order of the scores."""
        return self.card.labels

    def score(
        self, paths: Sequence[Path], *, batch_size: int = 32, workers: int = 2
    ) -> Iterator[ImageScores]:
        """Score pictures, one outcome a picture, in order:
        :func:`~hubtune.inference.predict.predict_scores`."""
        return predict_scores(self._engine, self.card.views, paths, batch_size=batch_size, workers=workers)

    def predict(
        self, paths: Sequence[str | Path], *, batch_size: int = 32, workers: int = 2
    ) -> Iterator[Prediction]:
        """Name the class of pictures: one prediction a picture, in order, unreadable pictures included.

        Args:
            paths: the pictures.
            batch_size: pictures that the network sees at once; the scores do not depend on it.
            workers: threads that decode.

        Raises:
            UsageError: if ``paths`` is a single path, or ``batch_size`` is less than 1.
        """
        if isinstance(paths, str | os.PathLike):
            raise UsageError(f"Give a list of pictures, even for one: [{os.fspath(paths)!r}]")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise UsageError(f"batch_size is to be a whole number from 1, not {batch_size!r}")
        paths = list(paths)
        outcomes = self.score([Path(path) for path in paths], batch_size=batch_size, workers=workers)
        return self._named(paths, outcomes)

    def _named(self, paths: list[str | Path], outcomes: Iterator[ImageScores]) -> Iterator[Prediction]:
        for path, outcome in zip(paths, outcomes, strict=True):
            if outcome.values is None:
                yield Prediction(str(path), None, None, {}, outcome.error.reason if outcome.error else None)
                continue
            order = (-outcome.values).argsort(kind="stable")
            scores = {self.labels[number]: float(outcome.values[number]) for number in order}
            best = self.labels[int(order[0])]
            yield Prediction(str(path), best, scores[best], scores)

    def evaluate(
        self,
        dataset: BaseCVDataset,
        name: str,
        *,
        batch_size: int = 32,
        workers: int = 2,
        remap_by_name: bool = False,
    ) -> Metrics:
        """Measure the model on a list.

        Args:
            dataset: where the list is from; its classes must be the model's.
            name: ``train``, ``validate`` or ``test``.
            batch_size: pictures that the network sees at once; the figures do not depend on it.
            workers: threads that decode.
            remap_by_name: accept classes in another order, and match them by name.

        Raises:
            DataError: if the list cannot be read.
            ModelError: if the classes differ.
        """
        number_of = match_labels(self.labels, dataset.label_list, remap_by_name=remap_by_name)
        examples = dataset.examples(name)
        outcomes = self.score([example.path for example in examples], batch_size=batch_size, workers=workers)
        return measure(map(_values, outcomes), [number_of[example.label] for example in examples])


def _values(outcome: ImageScores) -> np.ndarray | None:
    if outcome.error is not None:
        logger.warning("left out: %s", outcome.error)
    return outcome.values


def pretrained_model(module: Module, *, engine: str = "auto") -> Model:
    """Return a module as it was pretrained as a model: its own head, classes and preprocessing.

    Args:
        module: the module.
        engine: what runs it: ``auto``, ``openvino``, ``openvino-bf16``, ``paddle`` or ``paddle-amp``.

    Raises:
        ModelError: the module has no pretrained head, or its classes have no names.

    Example:
        >>> model = pretrained_model(Module("resnet50_imagenet"))
        >>> [row.label for row in model.predict(["cat.jpg"])]
        ['tabby, tabby cat']
    """
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
        folder: the model's or the run's.
        trust_code: whether code of a user's own architecture (``module.py`` in the model folder) may run.
        engine: what runs the network: ``auto``, ``openvino``, ``openvino-bf16``, ``paddle`` or
            ``paddle-amp``.

    Raises:
        ModelError: if there is no whole model there, or it has code that may not run.

    Example:
        >>> model = load_model("runs/idol5")
        >>> [row.label for row in model.predict(["test/anqi.jpg"])]
        ['安崎']
    """
    classifier, card = read_model(model_folder_of(Path(folder)), trust_code=trust_code)
    return Model(classifier, card, engine=engine)


def model_folder_of(folder: Path) -> Path:
    """The model folder that a run's or a model's folder stands for.

    Raises:
        ModelError: if the folder is not there, or is a run without a model.
    """
    if is_run(folder):
        if not find_checked(folder / BEST_MODEL).exists():
            raise ModelError(
                f"{folder} has no model yet, as it has not come to its first evaluation: "
                f"go on with it by hubtune finetune {folder} --resume"
            )
        return folder / BEST_MODEL
    if not find_checked(folder).is_dir():
        raise ModelError(f"There is no run or model {folder}: name the folder of one, such as runs/NAME")
    if not (find_checked(folder) / CARD_FILE).exists():
        raise ModelError(f"{folder} is neither a run nor a model: name the folder of one, such as runs/NAME")
    return folder


def match_labels(model: Sequence[str], data: Sequence[str], *, remap_by_name: bool) -> list[int]:
    """For each class of the data its number in the model.

    Raises:
        ModelError: if the classes differ, or stand in another order without ``remap_by_name``.
    """
    if list(model) == list(data):
        return list(range(len(model)))
    added = [name for name in data if name not in set(model)]
    removed = [name for name in model if name not in set(data)]
    if added or removed:
        parts = [("only in the data", added), ("only in the model", removed)]
        told = "; ".join(f"{what}: {', '.join(names[:10])}" for what, names in parts if names)
        raise ModelError(
            f"The model's {len(model)} classes are not the data's {len(data)} ({told}): "
            "use data with the model's classes, or fine-tune anew"
        )
    if not remap_by_name:
        moved = next(name for name, other in zip(data, model, strict=True) if name != other)
        raise ModelError(
            f"The data's classes are the model's in another order (first: {moved!r}): "
            "add --remap-by-name to match them by name"
        )
    numbers = {name: number for number, name in enumerate(model)}
    return [numbers[name] for name in data]
