"""An image classifier with scikit-learn's interface."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.list_files import LABEL_LIST, encode, list_text
from hubtune.data.splits.kfold import make_folds
from hubtune.errors import DataError, UsageError
from hubtune.hub.module import Module
from hubtune.inference.feature_table import Table
from hubtune.inference.image_inputs import read_inputs
from hubtune.inference.load_model import load_model
from hubtune.inference.ridge_head import fit_ridge
from hubtune.recipe.schema import RunConfig
from hubtune.runs.callbacks import Callback
from hubtune.task import ImageClassifierTask
from hubtune.text import first_few, plural
from hubtune.train.strategies import TRAINERS

if TYPE_CHECKING:
    from hubtune.inference.model import Model

_VALIDATION_PARTS = 10  # of the training images, one chooses the best model of strategies that train
_TEMPORARY = "hubtune-estimator-"


class ImageClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    """Fine-tunes a pretrained network, with scikit-learn's methods.

    Images are an array ``[n, height, width, 3]`` of uint8 (R, G, B), or a list of paths, of bytes of image
    files, of Pillow images or of arrays. A table of numbers ``[n, features]`` is taken for features that were
    computed before, such as by :meth:`transform`: only the head is fitted to them.

    Parameters
    ----------
    module : str, default="mobilenet_v2_imagenet"
        The pretrained module: a hub name, or the path of a module, of a run or of weights.
    weights : str or None, default="official"
        The module's weights: ``official``, a file, or ``None`` for random values.
    strategy : str, default="frozen"
        What is trained; ``frozen`` takes seconds.
    settings : dict or None, default=None
        Further settings of :class:`~hubtune.recipe.schema.RunConfig`, such as ``{"epochs": 5}``.
    random_state : int, default=0
        The seed.
    run : str or None, default=None
        The run folder to keep; ``None``: a temporary one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    n_features_in_ : int
        Number of features, if the estimator was fitted to features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they had names that are text.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> cross_val_score(ImageClassifier(), paths, labels, cv=5).mean()  # doctest: +SKIP
    0.93
    """

    def __init__(
        self,
        module: str = "mobilenet_v2_imagenet",
        *,
        weights: str | None = "official",
        strategy: str = "frozen",
        settings: Mapping[str, Any] | None = None,
        random_state: int = 0,
        run: str | None = None,
    ) -> None:
        self.module = module
        self.weights = weights
        self.strategy = strategy
        self.settings = settings
        self.random_state = random_state
        self.run = run

    def fit(self, X: Any, y: Any) -> "ImageClassifier":  # scikit-learn's name
        """Fit the classifier.

        Args:
            X: images or features, as the class says.
            y: the class of each, ``[n]``, numbers or text.

        Raises:
            ValueError: sizes differ, there is only one class, or features are not finite.
            DataError: an image cannot be read.
            HubtuneError: the module or the settings cannot be used.
        """
        images = _as_images(X)
        if images is None:
            X, y = validate_data(self, X, y, dtype=np.float64)
        else:
            y = column_or_1d(y, warn=True)
            if len(images) != len(y):
                raise ValueError(f"{len(images)} pictures have {len(y)} labels: give one for each")
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            only = str(self.classes_[0])
            raise ValueError(f"All of y is one class, {only!r}: a classifier needs two classes")
        self._model: Model | None = None
        self._files: dict[str, bytes] = {}
        self._head = _fit_head(X, numbers, len(self.classes_)) if images is None else None
        if images is not None:
            self._fit_images(images, numbers)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each image or row of features, ``[n]``.

        Raises:
            ValueError: the estimator was fitted to features and gets images, or the other way round.
            DataError: an image cannot be read.
        """
        numbers = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[numbers])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes, float64 ``[n, classes]``; errors as of :meth:`predict`."""
        check_is_fitted(self)
        images = self._checked(X)
        if isinstance(images, np.ndarray):
            assert self._head is not None
            weight, bias = self._head
            return _softmax(images @ weight + bias)
        return np.array([values for values, _ in self._scores(images)])

    def transform(self, X: Any) -> np.ndarray:
        """Return the pooled features of images, of unit length, ``[n, width]``; features stay as they are."""
        check_is_fitted(self)
        images = self._checked(X)
        if isinstance(images, np.ndarray):
            return images
        return np.array([features for _, features in self._scores(images)])

    @property
    def model_(self) -> "Model":
        """The fine-tuned model; an estimator that was fitted to features has none.

        Raises:
            AttributeError: it has none.
        """
        check_is_fitted(self, "classes_")
        if self._head is not None:
            raise AttributeError("This ImageClassifier was fitted to features: it has no network")
        if self._model is None:
            folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
            try:
                for name, content in self._files.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(content)
                self._model = load_model(folder)
                self._model.classifier  # noqa: B018  # read before the folder is removed
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return self._model

    @property
    def _n_features_out(self) -> int:
        return int(self.n_features_in_) if self._head is not None else self._width

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the network, which is made of its files again."""
        state = super().__getstate__()
        return {**state, "_model": None} if "_model" in state else dict(state)

    def _checked(self, data: Any) -> Any:
        """Return images as a list, or features as an array, of the kind that was fitted."""
        images = _as_images(data)
        if (images is None) != (self._head is not None):
            fitted = "images" if self._head is None else "features"
            raise ValueError(f"This ImageClassifier was fitted to {fitted}, and gets others: give {fitted}")
        if images is None:
            return validate_data(self, data, reset=False, dtype=np.float64)
        return images

    def _fit_images(self, images: Sequence[Any], numbers: np.ndarray) -> None:
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
        try:
            config = RunConfig.model_validate(
                {
                    "checkpoint_dir": self.run or str(folder / "run"),
                    "report": self.run is not None,
                    "reference": self.run is not None,
                    "bad_pictures": "stop",
                    "seed": self.random_state,
                    "strategy": self.strategy,
                    **(self.settings or {}),
                }
            )
            dataset = self._write_lists(folder, images, numbers, config)
            module = Module(self.module, self.weights)
            task = ImageClassifierTask(module, dataset, config)
            run = task.finetune_and_eval(callback=Callback(), newest=self.run is not None)
            self._files = {
                path.relative_to(run.best_model).as_posix(): path.read_bytes()
                for path in sorted(run.best_model.rglob("*"))
                if path.is_file()
            }
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._width = self.transform(images[:1]).shape[1]

    def _write_lists(
        self, folder: Path, images: Sequence[Any], numbers: np.ndarray, config: RunConfig
    ) -> BaseCVDataset:
        """Write the images that are not files, and lists of all, into a folder."""
        paths = [_write_image(folder, place, image) for place, image in enumerate(images)]
        rows = {"train": np.arange(len(paths)), "validate": np.zeros(0, np.int64)}
        trainer = TRAINERS[config.strategy.name]
        if trainer.needs_validation or trainer.chosen_on_validation:
            keys = [*range(len(paths))]
            folds = make_folds(numbers, keys, folds=_VALIDATION_PARTS, seed=self.random_state)
            if folds:
                rows["train"], rows["validate"] = folds[0]
        files: dict[str, str | None] = {"train": None, "validate": None}
        for name, own in rows.items():
            if len(own):
                files[name] = f"{name}_list.txt"
                text = list_text((paths[row], int(numbers[row])) for row in own.tolist())
                (folder / f"{name}_list.txt").write_bytes(encode(text))
        labels = _names(self.classes_)
        (folder / LABEL_LIST).write_bytes(encode("".join(f"{label}\n" for label in labels)))
        return BaseCVDataset(
            folder,
            train_list_file=files["train"],
            validate_list_file=files["validate"],
            label_list_file=LABEL_LIST,
            labels_are="numbers",
        )

    def _scores(self, images: Sequence[Any]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return probabilities and features of images, in order."""
        inputs = read_inputs(images)
        contents = [image.content for image in inputs]
        results = [*self.model_.score([Path(image.name) for image in inputs], contents=contents)]
        bad = [
            f"{image.name}: {result.error.reason}"
            for image, result in zip(inputs, results, strict=True)
            if result.error
        ]
        if bad:
            raise DataError(
                f"{plural(len(bad), 'picture')} cannot be read ({first_few(bad)}): leave them out"
            )
        return [(result.values, result.features) for result in results]  # type: ignore[misc]


def _as_images(data: Any) -> Sequence[Any] | None:
    """Return images as a sequence; ``None`` for features, also for those of a wrong shape."""
    if isinstance(data, np.ndarray) and data.ndim == 4:
        return [*data]
    values = (
        data.tolist()
        if isinstance(data, np.ndarray) and data.dtype.kind in "OUS" and data.ndim == 1
        else data
    )
    if hasattr(values, "to_numpy") and getattr(values, "ndim", 0) == 1:  # a pandas series
        values = [*values]
    if not isinstance(values, list | tuple) or not len(values):
        return None
    first = values[0]
    is_array = isinstance(first, np.ndarray) and first.ndim >= 2
    is_image = isinstance(first, str | os.PathLike | bytes | Image.Image) or is_array
    return [*values] if is_image else None


def _write_image(folder: Path, place: int, image: Any) -> str:
    """Return the path of an image, which is written into a folder if it is none.

    A run must not be inside a folder of images: those around ``folder`` itself are copied into it.
    """
    if isinstance(image, str | os.PathLike):
        path = Path(image).absolute()
        if folder.resolve().is_relative_to(path.parent.resolve()) and path.is_file():
            copy = folder / f"{place:07}-{path.name}"
            shutil.copyfile(path, copy)
            return copy.as_posix()
        return path.as_posix()
    [own] = read_inputs([image])
    file = folder / f"{place:07}.png"
    if isinstance(own.content, Image.Image):
        own.content.save(file)
    elif isinstance(own.content, bytes):
        file.write_bytes(own.content)
    else:
        raise UsageError(f"X[{place}] is no picture: give paths, bytes, Pillow images or arrays")
    return file.as_posix()


def _names(classes: np.ndarray) -> list[str]:
    """Return names of classes for lists: their text if these are distinct words, else their numbers."""
    names = [str(label) for label in classes.tolist()]
    plain = all(name.isprintable() and name == name.strip() and name for name in names)
    return names if plain and len(set(names)) == len(names) else [str(n) for n in range(len(names))]


def _fit_head(rows: np.ndarray, numbers: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit a head to features; equal rows are left out together."""
    keys = [row.tobytes().hex() for row in rows]
    table = Table(rows.astype(np.float32), numbers, np.ones(len(rows)), keys, [rows.shape[1]])
    head = fit_ridge(table, classes)
    return head.weight.astype(np.float64), head.bias.astype(np.float64)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
