"""Values of another program's configuration, and which of them were used."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from hubtune.errors import ModelError
from hubtune.text import describe_value


class ConfigValues:
    """Reads values by dotted keys, such as ``Optimizer.lr.learning_rate``, and remembers which were read.

    Places in lists are counted from 0: ``Optimizer.lr.values.0``.
    """

    def __init__(self, data: Mapping[str, Any], source: str) -> None:
        """Take nested sections; ``source`` is the configuration's name in messages."""
        self._data, self._source = data, source
        self._read: set[str] = set()

    def take(self, key: str, default: Any = None) -> Any:
        """Return a value, and count it and everything in it as read; ``default`` if it is missing or null."""
        self._read.add(key)
        value = self._find(key)
        return default if value is None else value

    def has(self, key: str) -> bool:
        """Whether there is a value, or a section, which is not null."""
        return self._find(key) is not None

    def _find(self, key: str) -> Any:
        value: Any = self._data
        for part in key.split("."):
            if isinstance(value, list) and part.isdecimal():
                value = value[int(part)] if int(part) < len(value) else None
            else:
                value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def text(self, key: str) -> str | None:
        """Return a value as text; ``None`` if it is missing, null or empty."""
        value = self.take(key)
        return None if value is None or value == "" else str(value)

    def number(self, key: str) -> float | None:
        """Return a number, written as such or as text; ``None`` if it is missing or null.

        Raises:
            ModelError: it is not a finite number.
        """
        value = self.take(key)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise self.mistake(key, value, "a number")
        return int(number) if number.is_integer() and not isinstance(value, float) else number

    def count(self, key: str) -> int | None:
        """Return a whole number; ``None`` if it is missing or null.

        Raises:
            ModelError: it is not a whole number.
        """
        number = self.number(key)
        if number is not None and not float(number).is_integer():
            raise self.mistake(key, number, "a whole number")
        return None if number is None else int(number)

    def mistake(self, key: str, value: Any, wanted: str) -> ModelError:
        return ModelError(f"{self._source}: {key} is {describe_value(value)}, and must be {wanted}")

    def unread(self) -> Iterator[tuple[str, Any]]:
        """Yield the keys of values that were not read, with the values; not of those that are null or off."""
        yield from self._unread(self._data, "")

    def _unread(self, value: Any, key: str) -> Iterator[tuple[str, Any]]:
        if key in self._read or value is None or value is False:
            return
        if not (isinstance(value, Mapping) and value):
            yield key, value
            return
        for name, inner in value.items():
            yield from self._unread(inner, f"{key}.{name}" if key else str(name))
