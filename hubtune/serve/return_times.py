"""When clients that a busy server has refused may come again."""

import math
import time
from collections import deque
from collections.abc import Callable

# Clients return somewhat faster than images are answered, so that the server is never idle meanwhile.
_SHARE_OF_RATE = 1.5
_LEAST_RATE = 10.0
_MOST_SECONDS = 30
_ANSWERS = 100


class ReturnTimes:
    """Spreads the returns of refused clients over the time that the server needs.

    If all came again at once, refusing them would take the time that images need.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: deque[float] = deque(maxlen=_ANSWERS)
        self._last_return = 0.0

    def add_answer(self) -> None:
        """Note that an image was answered now."""
        self._answers.append(self._clock())

    def seconds_to_wait(self) -> int:
        """Return after how many seconds the next client that is refused shall come again, 1 to 30."""
        now = self._clock()
        rate = len(self._answers) / max(now - self._answers[0], 1e-3) if self._answers else 0.0
        interval = 1 / (_SHARE_OF_RATE * max(rate, _LEAST_RATE))
        earliest, latest = now + 0.5, now + _MOST_SECONDS
        self._last_return = min(max(self._last_return + interval, earliest), latest)
        return math.ceil(self._last_return - now)
