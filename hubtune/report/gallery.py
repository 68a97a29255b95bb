"""The pictures of a report: which of them it shows, and their thumbnails within a limit of bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtune.evaluation.answers import Answers
from hubtune.notebook.html import data_address
from hubtune.report.thumbnails import make_thumbnails
from hubtune.text import escaped

MOST_IMAGES = 2_000
"""Most pictures on a page."""

MOST_BYTES = 2_200_000
"""Most bytes of pictures on a page, as addresses: the page stays below 3 MB."""


@dataclass(frozen=True)
class Figure:
    """A picture on a page.

    Attributes:
        name: name of the file, escaped.
        address: of the file.
        source: the thumbnail; ``None`` if the file cannot be read, or the page has enough bytes.
        heat_map: where the model looked; ``None`` if that was not computed.
    """

    name: str
    address: str
    source: str | None
    heat_map: str | None = None


def order_by_interest(answers: Answers) -> list[int]:
    """Return the places of the readable images: mistakes, the surest first; then the others, unsure first."""
    places = np.flatnonzero(answers.readable)
    right = answers.correct[places]
    confidence = answers.confidence[places]
    return [int(place) for place in places[np.lexsort((np.where(right, confidence, -confidence), right))]]


class Gallery:
    """Pictures with their thumbnails, in the order of their importance.

    Attributes:
        empty: whether no picture could be read.
    """

    def __init__(self, paths: Iterable[str | Path], heat_maps: Mapping[str, bytes]) -> None:
        """Make the thumbnails of the first pictures, most important first; more than fit are left out."""
        chosen = list(dict.fromkeys(map(str, paths)))[:MOST_IMAGES]
        self._sources: dict[str, str] = {}
        self._heat_maps = {path: data_address(content, "webp") for path, content in heat_maps.items()}
        left = MOST_BYTES - sum(map(len, self._heat_maps.values()))
        for path, content in zip(chosen, make_thumbnails([Path(path) for path in chosen]), strict=True):
            if content is None:
                continue
            source = data_address(content, "webp")
            left -= len(source)
            if left < 0:
                break
            self._sources[path] = source
        self.empty = not self._sources

    def __contains__(self, path: str) -> bool:
        """Whether a picture has a thumbnail."""
        return path in self._sources

    def figure(self, path: str | Path, *, heat_map: bool = False) -> Figure:
        """Return a picture, with the heat map if it is asked for and was computed."""
        file = Path(path)
        return Figure(
            escaped(file.name),
            file.absolute().as_uri(),
            self._sources.get(str(path)),
            self._heat_maps.get(str(path)) if heat_map else None,
        )
