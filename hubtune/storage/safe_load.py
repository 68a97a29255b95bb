"""Weights from ``.safetensors`` and ``.pdparams`` files and from Paddle 1, without running anything in them.

A ``.pdparams`` file is a pickle; :mod:`hubtune.storage.pickle_reader` reads it without unpickling.
:mod:`hubtune.storage.fluid` reads the folders, archives and files of Paddle 1.
"""

import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from hubtune.errors import ModelError
from hubtune.storage.fluid.weights import is_fluid, read_fluid
from hubtune.storage.pickle_machine import RefusedError, clipped, quote
from hubtune.storage.pickle_reader import read_tensor_pickle
from hubtune.storage.regular_file import open_regular
from hubtune.storage.signature import STATE_ENDINGS, foreign_format, kind_by_content, kind_by_name

# A tensor takes about 30 opcodes: enough for 3,000 tensors, and read in about a quarter of a second.
_MOST_OPCODES = 100_000
_MOST_SAFETENSORS_HEADER = 8 * 2**20
# Ten times what the largest backbone has.
_MOST_TENSORS = 20_000
_SAFETENSORS_DTYPES = frozenset({"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16"})

_ADVICE = "Fetch the file again, or from another source."


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a weights file by name; the content decides the format, not the file's name.

    The path may also be what Paddle 1 wrote: a folder of parameters, a tar archive of one, or a file that
    holds them all; see :func:`~hubtune.storage.fluid.weights.read_fluid` for the names. Nothing in the file
    is run, whatever it holds. Memory and time are bounded by the file's size. The arrays may be read-only.

    Raises:
        ModelError: the file cannot be read, is damaged, is not a weights file, or asks for something that
            arrays never need.

    Example:
        >>> read_weights(Path("ResNet50_pretrained.pdparams"))["fc.bias"].shape  # doctest: +SKIP
        (1000,)
    """
    if not path.exists():
        raise ModelError(f"The weights file {path} is not there; give the path of a file.")
    start = b""
    try:
        if (state_file := STATE_ENDINGS.get(path.suffix)) is not None:
            raise ModelError(f"{path} is {state_file}.")
        if is_fluid(path):
            return read_fluid(path)
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise ModelError(f"The weights file {path} is empty. {_ADVICE}")
            start = file.read(1024)
            file.seek(0)
            if (other := foreign_format(start)) is not None:
                raise ModelError(f"The weights file {path} is {other}. {_ADVICE}")
            # A safetensors file starts with the length of its header (8 bytes, little-endian), a JSON object.
            if start[4:9] == b"\0\0\0\0{":
                state = _read_safetensors(path, start, size)
            else:
                state = read_tensor_pickle(file, size, most_opcodes=_MOST_OPCODES, most_tensors=_MOST_TENSORS)
    except OSError as error:
        raise ModelError(f"The weights file {path} cannot be read: {error.strerror or error}.") from error
    except RefusedError as error:
        if (other := kind_by_name(path.name)) is not None:
            raise ModelError(f"{path} does not hold weights: it is {other}.") from None
        raise ModelError(
            f"The weights file {path} is refused, and nothing in it was run: {error}. "
            "Use weights from a source that you trust, best as safetensors."
        ) from None
    except (ValueError, SafetensorError, DeprecationWarning) as error:
        if (other := kind_by_name(path.name) or kind_by_content(start)) is not None:
            raise ModelError(f"{path} does not hold weights: it is {other}.") from error
        raise ModelError(
            f"The weights file {path} is damaged, cut short or no weights at all ({clipped(str(error))}). "
            f"{_ADVICE}"
        ) from error
    if not state:
        raise ModelError(f"The weights file {path} holds no weights. {_ADVICE}")
    return state


def _read_safetensors(path: Path, start: bytes, size: int) -> dict[str, np.ndarray]:
    header = int.from_bytes(start[:8], "little")
    if header > size:
        raise ValueError(f"its header should have {header:,} bytes, the file has {size:,}")
    if header > _MOST_SAFETENSORS_HEADER:
        raise RefusedError(f"its header claims {header:,} bytes, more than any weights need")
    state = {}
    with safe_open(path, framework="numpy") as tensors:
        names = tensors.keys()
        if len(names) > _MOST_TENSORS:
            raise RefusedError(f"it holds more than {_MOST_TENSORS:,} tensors")
        for name in names:
            dtype = tensors.get_slice(name).get_dtype()
            if dtype not in _SAFETENSORS_DTYPES:
                raise RefusedError(f"the tensor {quote(name)} has the type {dtype}, which no backbone uses")
            state[name] = tensors.get_tensor(name)
    return state
