"""All images of a source as one test list: for measuring a model on a folder, a table or an archive."""

import os
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.images.verify import is_image
from hubtune.data.listing import ImageEntry
from hubtune.data.lists import Lists
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.errors import DataError, suggest


class SourceDataset(BaseCVDataset):
    """A data set with one list, ``test``, of all images of a source."""

    def __init__(
        self,
        source: str | os.PathLike[str],
        labels: Sequence[str],
        *,
        settings: SourceSettings = AS_FOUND,
    ) -> None:
        """List the images.

        Args:
            source: as of :func:`~hubtune.data.sources.open.open_source`.
            labels: the names of the classes in the order of their ids; the source may lack some.
            settings: what a person said about the source.

        Raises:
            DataError: if the source cannot be used, or has a class of another name.
        """
        super().__init__(Path(source).parent, test_list_file=Path(source).name, label_list=labels)
        self._listing = open_source(source, settings=settings)
        self._number_of = {unicodedata.normalize("NFC", label): number for number, label in enumerate(labels)}
        for label in self._listing.labels:
            if unicodedata.normalize("NFC", label) not in self._number_of:
                raise DataError(
                    f"{source} has the class {label!r}, which the model does not have."
                    f"{suggest(label, labels)} Rename the folder, or move it away"
                )

    @cached_property
    def _lists(self) -> Lists:
        entries = [
            ImageEntry(file.path, self._number_of[unicodedata.normalize("NFC", file.label)], file.name)
            for file in self._listing.files
            if is_image(file.path)
        ]
        return Lists([*map(str, self._given_labels or ())], {"test": entries}, self._listing.remarks)

    def _check_exists(self, file: Path) -> None:
        """The source was opened already, whatever it is."""
