"""All images of a source as one test list: for measuring a model on a folder, a table or an archive."""

import os
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from hubtune.data.dataset import BaseCVDataset
from hubtune.data.images.verify import is_image
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import ImageEntry
from hubtune.data.lists import Lists
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.errors import DataError, suggest
from hubtune.storage.address import is_address
from hubtune.text import first_few, plural


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
        self._listing = open_source(source, settings=settings)
        place = self._listing.root if is_address(os.fspath(source)) else Path(source)
        super().__init__(place.parent, test_list_file=place.name, label_list=labels)
        self._number_of = {unicodedata.normalize("NFC", label): number for number, label in enumerate(labels)}
        sets = self._listing.label_sets
        own = self._listing.labels if sets is None else sets.labels
        what = "class" if sets is None else "label"
        numbers = set()
        for label in own:
            if (number := self._number_of.get(unicodedata.normalize("NFC", label))) is None:
                cure = "folder, or move it away" if sets is None else "label, or leave it out"
                raise DataError(
                    f"{source} has the {what} {label!r}, which the model does not have."
                    f"{suggest(label, labels)} Rename the {cure}"
                )
            numbers.add(number)
        absent = [label for number, label in enumerate(labels) if number not in numbers]
        if absent and self._listing.states_each:
            raise DataError(
                f"{source} lacks a column for {plural(len(absent), 'label')} of the model: "
                f"{first_few(absent)}. "
                "It is not known which pictures have what has no column: add it"
            )
        if absent and sets is not None:
            self._listing.remarks.append(
                f"No picture has {plural(len(absent), 'label')} of the model: {first_few(absent)}."
            )

    @cached_property
    def _lists(self) -> Lists:
        names, number_of = [*map(str, self._given_labels or ())], self._number_of
        if (sets := self._listing.label_sets) is not None:
            sets, number_of = self._label_sets(sets, names)
            names = sets.names
        entries = [
            ImageEntry(file.path, number_of[unicodedata.normalize("NFC", file.label)], file.name)
            for file in self._listing.files
            if is_image(file.path)
        ]
        return Lists(names, {"test": entries}, self._listing.remarks, label_sets=sets)

    def _label_sets(self, own: LabelSets, labels: Sequence[str]) -> tuple[LabelSets, dict[str, int]]:
        """Return the source's sets of the model's labels, and their numbers by their names in the source."""
        numbers = [self._number_of[unicodedata.normalize("NFC", label)] for label in own.labels]
        places = [tuple(sorted(numbers[place] for place in members)) for members in own.sets]
        sets = LabelSets.of(labels, places)
        by_name = zip(own.names, places, strict=True)
        return sets, {unicodedata.normalize("NFC", name): sets.number_of[place] for name, place in by_name}

    def _check_exists(self, file: Path) -> None:
        """The source was opened already, whatever it is."""
