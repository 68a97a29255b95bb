"""A data set whose images are in a bucket, and whose lists are there, too, or on this machine."""

import os
from pathlib import Path

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.default_lists import DEFAULT_FILES, find_default
from hubtune.data.list_files import SPLIT_FILE, TRAIN_LIST
from hubtune.data.sources.mirror import mirror_named
from hubtune.errors import DataError


class BucketDataset(BaseCVDataset):
    """Lists and images in a bucket; a list that is named and exists on this machine is taken from there."""

    def __init__(
        self,
        address: str,
        lists: dict[str, str | None],
        *,
        complete: bool,
        encoding: str | None = None,
        labels_are: str | None = None,
    ) -> None:
        """Fetch the lists.

        Args:
            address: of the base folder.
            lists: ``train``, ``validate``, ``test`` and ``labels`` → the file as the recipe names it.
            complete: lists that are not named are not used; otherwise those of the usual names are.
            encoding, labels_are: as of :class:`~hubtune.data.dataset.BaseCVDataset`.

        Raises:
            DataError: there is nothing at the address.
            MachineError: the bucket cannot be read, or the cache not written.
        """
        self.address = address.rstrip("/")
        self._complete = complete
        remote = {file for file in lists.values() if file and not _is_here(file)}
        if not complete:
            remote |= {name for names in DEFAULT_FILES.values() for name in names}
        folder = mirror_named(self.address, {*remote, SPLIT_FILE})
        super().__init__(
            folder,
            lists.get("train"),
            lists.get("validate"),
            lists.get("test"),
            label_list_file=lists.get("labels"),
            encoding=encoding,
            labels_are=labels_are,
        )
        train = self.list_files["train"]
        if train is not None and not train.is_file():
            raise DataError(
                f"There is no list {lists.get('train') or TRAIN_LIST} at {self.address}, nor on this "
                "machine: hubtune split makes lists, and data.train names one"
            )

    def _file(self, name: str, file: str | os.PathLike[str] | None) -> Path | None:
        if file is not None and _is_here(os.fspath(file)):
            return Path(file)
        if file is None and not self._complete and name != "predict":
            found = find_default(self.base_path, name)
            file = found.name if found else TRAIN_LIST if name == "train" else None
        return super()._file(name, file)

    @property
    def lists_folder(self) -> Path:
        """The folder of the training list, with the ``split.json`` beside it."""
        train = self.list_files["train"]
        return self.base_path if train is None else train.parent


def _is_here(file: str) -> bool:
    return Path(file).is_file()
