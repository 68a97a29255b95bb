"""PaddleHub's data sets of images, whose lists hubtune reads."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from os.path import lexists
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

import hubtune
from hubtune.data.listed_paths import find_files
from hubtune.data.listing import ImageEntry
from hubtune.errors import UsageError, suggest
from hubtune.paddlehub.absent import PaddleHubObject
from hubtune.paddlehub.dataset_archives import find_dataset_folder

LIST_OF_PHASE = {"train": "train", "dev": "validate", "val": "validate", "test": "test"}
"""Phase of PaddleHub → list of hubtune."""

_NOT_CALLED = """_read_file _parse_data _load_train_examples _load_dev_examples _load_test_examples
    _load_predict_examples get_examples get_train_examples get_dev_examples get_val_examples get_test_examples
    get_predict_examples train_examples dev_examples test_examples predict_examples train_data validate_data
    test_data""".split()

Example = tuple[str, str]
"""Path and label of an image, both text, as PaddleHub gives them."""


def respelled(path: str | os.PathLike[str], base: str | os.PathLike[str] = "") -> str:
    r"""Return the path that exists for one that was written on Windows, ``..\dataset``; else itself."""
    written = os.fspath(path)
    if lexists(Path(base) / written):
        return written
    return find_files([written], Path(base), other_roots=False).paths[0] or written


class ImageClassificationDataset(PaddleHubObject):
    """A data set whose attributes a script sets; PaddleHub up to 1.4 derived all data sets from it.

    Attributes:
        base_path: folder that relative paths start from, as text.
        train_list_file: list with ``path label`` per line.
        validate_list_file, test_list_file, predict_list_file: likewise.
        label_list_file: class names, one per line.
    """

    absent: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("get_train_records", "get_dev_records", "get_test_records", "get_records", "get_feed_list"),
        "it belongs to data sets of text; get_train_examples() has the images",
    )

    base_path: str | os.PathLike[str] | None = None
    train_list_file: str | os.PathLike[str] | None = None
    validate_list_file: str | os.PathLike[str] | None = None
    test_list_file: str | os.PathLike[str] | None = None
    predict_list_file: str | os.PathLike[str] | None = None
    label_list_file: str | os.PathLike[str] | None = None
    _labels: Sequence[str] | None = None
    _options: Any = MappingProxyType({})
    _read: tuple[Any, hubtune.BaseCVDataset] | None = None

    def __init_subclass__(cls) -> None:
        if any(name in vars(cls) for name in _NOT_CALLED):
            raise UsageError(
                f"{cls.__name__} reads lists by code of its own, which hubtune does not call: write lists of "
                "`path label` lines"
            )

    def listed(self) -> hubtune.BaseCVDataset:
        """Return hubtune's data set of these files.

        Raises:
            UsageError: if there is no base folder, or no list.
            DataError: if they cannot be used.
        """
        lists = (self.train_list_file, self.validate_list_file, self.test_list_file, self.predict_list_file)
        if self.base_path is None:
            raise UsageError(
                f"{type(self).__name__} has no base_path: set the folder that its lists start from"
            )
        if not any(lists[:3]):
            raise UsageError(f"{type(self).__name__} names no list: give it a train_list_file")
        labels = self._labels or None
        key = (self.base_path, *lists, self.label_list_file, labels)
        if self._read is None or self._read[0] != key:
            base = respelled(self.base_path)
            train, validate, test, predict, names = (
                respelled(file, base) if file else None for file in (*lists, self.label_list_file)
            )
            # Names that are given take precedence, as in PaddleHub.
            names = None if labels else names
            dataset = hubtune.BaseCVDataset(
                base, train, validate, test, predict, names, labels, **self._options
            )
            self._read = (key, dataset)
        return self._read[1]

    @property
    def label_list(self) -> list[str]:
        """Class names, in the order of their numbers."""
        return self.listed().label_list

    @label_list.setter
    def label_list(self, names: Sequence[str] | None) -> None:
        self._labels = names

    @property
    def num_labels(self) -> int:
        """Number of classes; a value that a script sets has no effect."""
        return len(self.label_list)

    @num_labels.setter
    def num_labels(self, _: int) -> None:
        pass

    def get_labels(self) -> list[str]:
        """Return the class names."""
        return self.label_list

    def label_dict(self) -> dict[int, str]:
        """Return class number → name."""
        return dict(enumerate(self.label_list))

    def get_examples(self, phase: str) -> list[Example]:
        """Return the examples of a phase: ``train``, ``dev`` (or ``val``), ``test`` or ``predict``.

        Raises:
            UsageError: if there is no such phase.
            DataError: if the list cannot be read.
        """
        if phase == "predict":
            return [(str(path), "") for path in self.listed().get_predict_examples()]
        if phase not in LIST_OF_PHASE:
            raise UsageError(f"There is no phase {phase!r}: it may be train, dev, test or predict")
        return [_as_example(entry) for entry in self.listed().examples(LIST_OF_PHASE[phase])]

    def get_train_examples(self) -> list[Example]:
        return self.get_examples("train")

    def get_dev_examples(self) -> list[Example]:
        return self.get_examples("dev")

    def get_val_examples(self) -> list[Example]:
        return self.get_examples("dev")

    def get_test_examples(self) -> list[Example]:
        return self.get_examples("test")

    def get_predict_examples(self) -> list[Example]:
        """Return the images of the prediction list, whose labels are empty."""
        return self.get_examples("predict")

    def _refuse_examples(self, _: Any) -> NoReturn:
        raise UsageError(
            f"The examples of a {type(self).__name__} are those of its lists: write lists of "
            "`path label` lines"
        )

    train_examples = property(get_train_examples, _refuse_examples)
    dev_examples = property(get_dev_examples, _refuse_examples)
    test_examples = property(get_test_examples, _refuse_examples)
    predict_examples = property(get_predict_examples, _refuse_examples)

    def _download_dataset(self, dataset_path: str, url: str) -> str:
        """Return a data set's folder, after fetching and unpacking its archive if it is missing."""
        return str(find_dataset_folder(Path(dataset_path), url))

    def train_data(self, shuffle: bool = True) -> Iterator[Example]:
        """Return an iterator over the training examples, in the list's order."""
        return iter(self.get_train_examples())

    def validate_data(self, shuffle: bool = False) -> Iterator[Example]:
        return iter(self.get_dev_examples())

    def test_data(self, shuffle: bool = False) -> Iterator[Example]:
        return iter(self.get_test_examples())

    def __str__(self) -> str:
        train, dev, test = (len(self.get_examples(phase)) for phase in ("train", "dev", "test"))
        return (
            f"Dataset: {type(self).__name__} with {train} train examples, {dev} dev examples and {test} test "
            "examples"
        )


class BaseCVDataset(ImageClassificationDataset):
    """Images and labels from list files, opened when they are used; a subclass only names the files.

    Example:
        >>> class Idols(BaseCVDataset):
        ...     def __init__(self):
        ...         super().__init__(base_path="dataset", train_list_file="train_list.txt",
        ...                          validate_list_file="validate_list.txt",
        ...                          label_list_file="label_list.txt")
    """

    def __init__(
        self,
        base_path: str | os.PathLike[str],
        train_list_file: str | os.PathLike[str] | None = None,
        validate_list_file: str | os.PathLike[str] | None = None,
        test_list_file: str | os.PathLike[str] | None = None,
        predict_list_file: str | os.PathLike[str] | None = None,
        label_list_file: str | os.PathLike[str] | None = None,
        label_list: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        """Set the files, which :class:`hubtune.BaseCVDataset` describes; ``options`` are its others.

        Raises:
            UsageError: if it has no such argument.
        """
        known = inspect.signature(hubtune.BaseCVDataset).parameters
        for name in options:
            if name not in known:
                raise UsageError(f"{type(self).__name__} has no argument {name!r}.{suggest(name, known)}")
        self.base_path = base_path
        self.train_list_file, self.validate_list_file = train_list_file, validate_list_file
        self.test_list_file, self.predict_list_file = test_list_file, predict_list_file
        self.label_list_file, self._labels, self._options = label_list_file, label_list, options


def _as_example(entry: ImageEntry) -> Example:
    return str(entry.path), str(entry.label)


def listed(dataset: Any, name: str = "dataset") -> hubtune.BaseCVDataset:
    """Return hubtune's data set of a data set of this package or of hubtune.

    Raises:
        UsageError: if it is something else.
    """
    if isinstance(dataset, ImageClassificationDataset):
        return dataset.listed()
    if isinstance(dataset, hubtune.BaseCVDataset):
        return dataset
    raise UsageError(f"{name} must be a BaseCVDataset, not a {type(dataset).__name__}")
