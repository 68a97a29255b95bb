"""Data sets made of list files: PaddleHub's ``BaseCVDataset``, and the ready-made ``ListDataset``."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from hubtune.data.list_files import (
    LABEL_LIST,
    PADDLECLAS_VALIDATE_LIST,
    TEST_LIST,
    TRAIN_LIST,
    VALIDATE_LIST,
    count_listed_classes,
    read_labels,
    read_list,
    read_paths,
)
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError

LIST_NAMES = ("train", "validate", "test")
_DEFAULT_FILES = {
    "validate": (VALIDATE_LIST, PADDLECLAS_VALIDATE_LIST),
    "test": (TEST_LIST,),
    "labels": (LABEL_LIST,),
}


class BaseCVDataset:
    """Images and labels from list files, opened when they are used; a subclass only names the files.

    Example:
        >>> class Idols(BaseCVDataset):
        ...     def __init__(self):
        ...         super().__init__(base_path="datasets/idol5", train_list_file="train_list.txt",
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
    ) -> None:
        """Set the files.

        Args:
            base_path: folder that relative paths start from, those of the lists and those in the lists.
            train_list_file: training list, ``path label`` per line.
            validate_list_file, test_list_file: likewise.
            predict_list_file: images to predict; labels are optional.
            label_list_file: class names, one per line; the number of the line, from 0, is the class's id.
            label_list: class names, in place of a file.

        Raises:
            DataError: if class names are given twice.
        """
        if label_list is not None and label_list_file is not None:
            raise DataError("Give one of label_list and label_list_file")
        self.base_path = Path(base_path)
        files = (train_list_file, validate_list_file, test_list_file, predict_list_file)
        self.list_files = {
            name: self._file(name, file) for name, file in zip((*LIST_NAMES, "predict"), files, strict=True)
        }
        self.label_list_file = None if label_list is not None else self._file("labels", label_list_file)
        self._given_labels = label_list

    def _file(self, name: str, file: str | os.PathLike[str] | None) -> Path | None:
        return None if file is None else self.base_path / file

    @cached_property
    def label_list(self) -> list[str]:
        """Class names in the order of their ids; by default, the ids in the lists, which must be numbers."""
        if self._given_labels is not None:
            return [str(name) for name in self._given_labels]
        if self.label_list_file is not None:
            return read_labels(self.label_list_file)
        counts = [count_listed_classes(file) for name in LIST_NAMES if (file := self.list_files[name])]
        if not counts or None in counts:
            raise DataError(
                f"{self.base_path}: the classes have no names: give label_list_file or label_list"
            )
        return [str(number) for number in range(max(count or 0 for count in counts))]

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return len(self.label_list)

    def label_dict(self) -> dict[int, str]:
        """Return class id → name, as PaddleHub does."""
        return dict(enumerate(self.label_list))

    def examples(self, name: str) -> list[ImageEntry]:
        """Return the images of list ``train``, ``validate`` or ``test``, errors as of :func:`read_list`."""
        file = self.list_files[name]
        return [] if file is None else read_list(file, self.base_path, self.label_list)

    def get_train_examples(self) -> list[ImageEntry]:
        """PaddleHub's name for ``examples("train")``."""
        return self.examples("train")

    def get_dev_examples(self) -> list[ImageEntry]:
        """PaddleHub's name for ``examples("validate")``."""
        return self.examples("validate")

    def get_test_examples(self) -> list[ImageEntry]:
        """PaddleHub's name for ``examples("test")``."""
        return self.examples("test")

    def get_predict_examples(self) -> list[Path]:
        """Return the images of the prediction list; errors are those of :meth:`examples`."""
        file = self.list_files["predict"]
        return [] if file is None else read_paths(file, self.base_path)


class ListDataset(BaseCVDataset):
    """The lists that ``hubtune split`` writes, or others with the file names of PaddleHub or PaddleClas.

    Files that are not named are ``train_list.txt``, ``validate_list.txt`` (or PaddleClas' ``val_list.txt``),
    ``test_list.txt`` and ``label_list.txt`` where they exist.
    """

    def _file(self, name: str, file: str | os.PathLike[str] | None) -> Path | None:
        if file is None or (file == "" and name in LIST_NAMES):
            existing = (own for own in _DEFAULT_FILES.get(name, ()) if (self.base_path / own).exists())
            # Even if it is missing: the error of a data set without it names the file.
            file = next(existing, TRAIN_LIST if name == "train" else None)
        return super()._file(name, file)
