"""Data sets made of list files: PaddleHub's ``BaseCVDataset``, and the ready-made ``ListDataset``."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from os.path import lexists
from pathlib import Path

from hubtune.data.bucket_lists import fetch_listed, recorded_address
from hubtune.data.default_lists import find_default
from hubtune.data.label_sets import LabelSets
from hubtune.data.list_files import TRAIN_LIST
from hubtune.data.list_rows import read_lines, read_paths
from hubtune.data.listing import WORDS, ImageEntry
from hubtune.data.lists import Lists, read_lists
from hubtune.errors import DataError
from hubtune.storage.address import check_path
from hubtune.storage.text_file import check_encoding

LIST_NAMES = ("train", "validate", "test")


class BaseCVDataset:
    """Images and labels from list files, opened when they are used; a subclass only names the files.

    Example:
        >>> class Idols(BaseCVDataset):
        ...     def __init__(self):
        ...         super().__init__(base_path="datasets/idol5", train_list_file="train_list.txt",
        ...                          validate_list_file="validate_list.txt",
        ...                          label_list_file="label_list.txt")
    """

    address: str | None = None
    """Of the base folder in a bucket, of which ``base_path`` is the copy in the cache."""

    def __init__(
        self,
        base_path: str | os.PathLike[str],
        train_list_file: str | os.PathLike[str] | None = None,
        validate_list_file: str | os.PathLike[str] | None = None,
        test_list_file: str | os.PathLike[str] | None = None,
        predict_list_file: str | os.PathLike[str] | None = None,
        label_list_file: str | os.PathLike[str] | None = None,
        label_list: Sequence[str] | None = None,
        *,
        encoding: str | None = None,
        labels_are: str | None = None,
    ) -> None:
        """Set the files.

        Args:
            base_path: folder that relative paths start from, those of the lists and those in the lists.
            train_list_file: training list, ``path label`` per line.
            validate_list_file, test_list_file: likewise.
            predict_list_file: images to predict; labels are optional.
            label_list_file: class names, one per line; the number of the line, from 0, is the class's id, or
                else a number before or behind the name.
            label_list: class names, in place of a file.
            encoding: of the files, if it is not UTF-8: ``gbk``, ``cp1252``, …
            labels_are: what the labels in the lists are, where more than one reading fits: ``numbers`` of the
                classes from 0, ``numbers-from-1``, ``names``, or ``multi-label`` if a picture may have
                several.

        Raises:
            DataError: if class names are given twice.
            UsageError: if the encoding is unknown, or the folder is an address.
        """
        if label_list is not None and label_list_file is not None:
            raise DataError("Give one of label_list and label_list_file")
        check_path(base_path, "base_path (data.base of a recipe may be in a bucket)")
        self.base_path = Path(base_path)
        files = (train_list_file, validate_list_file, test_list_file, predict_list_file)
        self.list_files = {
            name: self._file(name, file) for name, file in zip((*LIST_NAMES, "predict"), files, strict=True)
        }
        self.label_list_file = None if label_list is not None else self._file("labels", label_list_file)
        self._given_labels = label_list
        self._encoding = None if encoding is None else check_encoding(encoding)
        self._labels_are = labels_are

    def _file(self, name: str, file: str | os.PathLike[str] | None) -> Path | None:
        return None if file is None else self.base_path / file

    @property
    def lists_folder(self) -> Path:
        """The folder with the ``split.json`` of the lists, if they have one."""
        return self.base_path

    @cached_property
    def image_root(self) -> Path:
        """The folder that relative paths in the lists start from; images in a bucket are fetched.

        Raises:
            DataError: if a list cannot be read, or there is nothing at the address.
            MachineError: if the bucket cannot be read, or the cache cannot be written.
        """
        address = recorded_address(self.lists_folder) or self.address
        if address is None:
            return self.base_path
        files = [file for file in self.list_files.values() if file is not None and lexists(file)]
        return fetch_listed(address, (line for file in files for _, line in read_lines(file, self._encoding)))

    @cached_property
    def _lists(self) -> Lists:
        """All lists that exist: only together they show what labels and paths stand for."""
        files = {name: file for name in LIST_NAMES if (file := self.list_files[name]) and lexists(file)}
        return read_lists(
            files,
            self.image_root,
            label_file=self.label_list_file,
            labels=self._given_labels,
            encoding=self._encoding,
            labels_are=self._labels_are,
        )

    @property
    def label_list(self) -> list[str]:
        """Class names in the order of their ids; without a label list, they are the labels in the lists.

        Of multi-label lists, the names of the labels.
        """
        sets = self.label_sets
        return self.class_names if sets is None else [*sets.labels]

    @property
    def label_sets(self) -> LabelSets | None:
        """The labels of multi-label lists, and the sets of them that pictures have."""
        self.class_names  # noqa: B018  # its errors name a missing list
        return self._lists.label_sets

    @property
    def class_names(self) -> list[str]:
        """What the label of an example is the number of: a class, or a set of labels of multi-label lists."""
        if self._given_labels is None and self.label_list_file is None:
            for file in filter(None, map(self.list_files.get, LIST_NAMES)):
                self._check_exists(file)
        return self._lists.labels

    @property
    def remarks(self) -> list[str]:
        """What the labels and paths of the lists were taken for, where it is not plain, one sentence each."""
        return self._lists.remarks

    def check_files(self) -> None:
        """Raise DataError if none of the listed files exists, with the place where they would be found."""
        if self._lists.nothing_found:
            raise DataError(self._lists.nothing_found)

    def check_lists(self) -> list[str]:
        """Return a sentence for each list to measure on that is empty.

        Raises:
            DataError: the training list is empty, or a list cannot be read.
        """
        if not self.examples("train"):
            raise DataError(
                f"The training list {self.list_files['train']} has no picture: put the list back, or make "
                "new ones by hubtune split"
            )
        empty = [name for name in LIST_NAMES[1:] if self.list_files[name] and not self.examples(name)]
        return [
            f"The {WORDS[name]} list {self.list_files[name]} is empty: nothing is measured on it"
            for name in empty
        ]

    @property
    def repeated(self) -> Mapping[str, str]:
        """List → a sentence about its pictures that are in an earlier list as well."""
        return self._lists.repeated

    @property
    def num_labels(self) -> int:
        """Number of classes, or of labels of multi-label lists."""
        return len(self.label_list)

    def label_dict(self) -> dict[int, str]:
        """Return the id of each class or label → its name, as PaddleHub does."""
        return dict(enumerate(self.label_list))

    def examples(self, name: str) -> list[ImageEntry]:
        """Return the images of list ``train``, ``validate`` or ``test``; empty without such a list.

        Raises:
            DataError: if a list cannot be read, or the labels or paths of the lists have no certain meaning.
        """
        file = self.list_files[name]
        if file is None:
            return []
        self._check_exists(file)
        return [*self._lists.examples[name]]

    def _check_exists(self, file: Path) -> None:
        if not lexists(file):
            read_lines(file)  # its error says what to do

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
        return [] if file is None else read_paths(file, self.image_root, self._encoding)


class ListDataset(BaseCVDataset):
    """The lists that ``hubtune split`` writes, or others with the file names of PaddleHub or PaddleClas.

    Files that are not named are ``train_list.txt``, ``validate_list.txt`` (or PaddleClas' ``val_list.txt``),
    ``test_list.txt`` and ``label_list.txt`` where they exist, or those of
    :data:`~hubtune.data.default_lists.DEFAULT_FILES`.
    """

    def _file(self, name: str, file: str | os.PathLike[str] | None) -> Path | None:
        if file is None or (file == "" and name in LIST_NAMES):
            found = find_default(self.base_path, name)
            # Even if it is missing: the error of a data set without it names the file.
            file = found.name if found else TRAIN_LIST if name == "train" else None
        return super()._file(name, file)
