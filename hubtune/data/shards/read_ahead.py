"""Fetches shards of buckets before their images are read, and lets go of those that are done.

It only saves time: an image whose shard is not on this machine is read by a request of its own.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Condition, Thread

import numpy as np

from hubtune.data.shards.cache import fetch_shard, pin, shard_cache_limit, unpin
from hubtune.data.shards.members import PackedShard, shards_of

# A whole shard is fetched if more than this share of its images is read soon.
_LEAST_SHARE = 1 / 8
# Uses of a shard belong together if fewer images than this, for each shard of all, are between them.
_GAP = 32
# What shards that nobody waits for may take of the cache, so that an evaluation finds room.
_AHEAD_SHARE = 3 / 4
_POLL_SECONDS = 0.05
_COUNTED = 32  # images after which it is asked how many have been read


@dataclass(frozen=True)
class _Span:
    """A part of the order in which images of one shard are read: places of the first and the last one."""

    first: int
    last: int
    shard: PackedShard


class ReadAhead:
    """Fetches shards in the order in which their images are read; does nothing for other images.

    A shard is fetched whole if many of its images are read close together, and stays until the last of
    them.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        order: Iterable[Sequence[int]],
        *,
        readers: int = 1,
        unread: Collection[int] = (),
    ) -> None:
        """Plan what to fetch.

        Args:
            paths: all images.
            order: batches of indices of those that are read.
            readers: number of processes that read as many other images of the same shards.
            unread: indices of images that are in the order, but are not read.

        Raises:
            DataError: the index of a shard is damaged.
            UsageError: the limit of the cache is not a size.
        """
        shards, numbers = shards_of(paths)
        self._spans: list[_Span] = []
        numbers[[*unread]] = -1
        if any(shard.address is not None for shard in shards):
            read = numbers[np.fromiter(chain.from_iterable(order), np.int64)]
            self._spans = _spans(shards, read, _LEAST_SHARE / readers)
            self._limit = shard_cache_limit()
        self._changed = Condition()
        self._asked = self._done = -1
        self._next = 0  # the first span that is neither fetched nor given up
        self._held: list[_Span] = []
        self._error: BaseException | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to fetch."""
        if self._spans:
            Thread(target=self._work, name="hubtune-shards", daemon=True).start()

    def close(self) -> None:
        """Fetch nothing more, and let go of all shards."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def reach(self, place: int, count_read: Callable[[], int]) -> None:
        """Wait for the shard of the image at a place of the order; reading of those before it has begun.

        ``count_read`` returns how many images have been read, from the beginning of the order.

        Raises:
            DataError: a shard is damaged.
            MachineError: the bucket cannot be read, or the cache not written.
        """
        if not self._spans:
            return
        with self._changed:
            self._asked = place
            while (is_waited := not self._is_settled(place)) or place % _COUNTED == 0:
                self._done = count_read()
                self._changed.notify_all()
                if not is_waited:
                    break
                self._changed.wait(_POLL_SECONDS)
            if self._error is not None:
                raise self._error

    def _is_settled(self, place: int) -> bool:
        """Whether the shards up to a place are there, or given up."""
        is_last = self._next == len(self._spans)
        return is_last or self._error is not None or self._spans[self._next].first > place

    def _work(self) -> None:
        try:
            for number, span in enumerate(self._spans):
                if not self._fetch(span):
                    break
                with self._changed:
                    self._next = number + 1
                    self._changed.notify_all()
            self._hold_until_closed()
        except BaseException as error:  # noqa: BLE001  # raised again where the images are read
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            for span in self._held:
                unpin(span.shard)

    def _fetch(self, span: _Span) -> bool:
        """Fetch a shard, or give it up if its images are asked for and there is no room; false at the end."""
        while True:
            with self._changed:
                if self._closed:
                    return False
                self._release()
                is_asked = span.first <= self._asked
                makes_room = any(held.last < self._asked for held in self._held)
                used = sum(held.shard.entry.size for held in self._held) + span.shard.entry.size
            if used <= (self._limit if is_asked else self._limit * _AHEAD_SHARE):
                pin(span.shard)
                self._held.append(span)
                if fetch_shard(span.shard):
                    return True
                self._held.remove(span)
                unpin(span.shard)
            if is_asked and not makes_room:
                return True
            with self._changed:
                self._changed.wait(_POLL_SECONDS)

    def _hold_until_closed(self) -> None:
        with self._changed:
            while not self._closed:
                self._release()
                self._changed.wait(1.0)

    def _release(self) -> None:
        for span in [held for held in self._held if held.last < self._done]:
            self._held.remove(span)
            unpin(span.shard)


def _spans(shards: Sequence[PackedShard], read: np.ndarray, least_share: float) -> list[_Span]:
    """Return the spans of shards of buckets that are worth fetching, by their beginning."""
    spans = []
    places = np.argsort(read, kind="stable")
    bounds = np.searchsorted(read[places], np.arange(len(shards) + 1))
    for number, shard in enumerate(shards):
        if shard.address is None:
            continue
        own = places[bounds[number] : bounds[number + 1]]
        for part in np.split(own, np.flatnonzero(np.diff(own) > _GAP * len(shards)) + 1):
            if len(part) > least_share * shard.entry.images:
                spans.append(_Span(int(part[0]), int(part[-1]), shard))
    return sorted(spans, key=lambda span: (span.first, span.last))
