"""Messages between ranks: a JSON document with arrays, in the format of safetensors.

No object is unpickled: whoever reaches the port of a job must not be able to run code.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors import numpy as safetensors

_KEY = "document"


@dataclass(frozen=True)
class Message:
    """A document, and arrays by name."""

    document: dict[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def encode(self) -> bytes:
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        return safetensors.save(arrays, {_KEY: json.dumps(self.document)})

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        """Read what :meth:`encode` wrote; raises ``ValueError`` or ``SafetensorError`` for anything else."""
        # The library returns the arrays only; the format begins with the length of a JSON header.
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        return cls(json.loads(header["__metadata__"][_KEY]), safetensors.load(data))
