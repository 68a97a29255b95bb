"""Recognises files that cannot be weights by their first bytes or their names."""

from codecs import getincrementaldecoder
from collections.abc import Callable

_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml", b"<!--", b"<script")

_PYTORCH = "PyTorch weights, which are pickles: give them as .safetensors"
_SIGNATURES = (
    (b"\x89HDF", "an HDF5 file, perhaps Keras weights"),
    (b"version https://git-lfs", "a Git LFS pointer, which only says where the real file is"),
    # What PyTorch wrote before it took to zip archives starts with this number.
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", _PYTORCH),
)

_INFERENCE_MODEL = (
    "a part of an inference model, which can be run, but not trained: give the weights it was made from, a "
    ".pdparams file or a folder of parameters"
)
STATE_ENDINGS = {
    ".pdopt": "the state of an optimizer: give the .pdparams file beside it",
    ".pdstates": "the state of a training: give the .pdparams file beside it",
}
"""What files of Paddle are that hold arrays, as weights files do, and none of a network."""

_ENDINGS = {
    **STATE_ENDINGS,
    ".pdmodel": _INFERENCE_MODEL,
    ".pdiparams": _INFERENCE_MODEL,
    ".onnx": "an ONNX model, which can be run, but not trained: give the weights it was made from",
    ".pth": _PYTORCH,
    ".pt": _PYTORCH,
    ".h5": "Keras weights: hubtune reads those of Paddle",
}


def html_page(start: bytes) -> str | None:
    """Return a description if the bytes start an HTML or XML page; ``None`` for anything else.

    A single ``<`` is not enough: weights may start with any byte.
    """
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:14].lower()
    if text.startswith(_PAGE_STARTS):
        return "an HTML page, perhaps a login or error page of the network"
    return None


def foreign_format(start: bytes) -> str | None:
    """Return a description if the bytes start a page, an archive or another known format without weights."""
    if start.startswith(b"PK\x03\x04"):
        return _PYTORCH if b"/data.pkl" in start else "a zip archive, which has to be unpacked first"
    known = next((kind for signature, kind in _SIGNATURES if start.startswith(signature)), None)
    return html_page(start) or known


def kind_by_name(name: str) -> str | None:
    """Return what a file is by the ending of its name, and what to give instead; ``None`` if unknown."""
    return next((kind for ending, kind in _ENDINGS.items() if name.lower().endswith(ending)), None)


def kind_by_content(start: bytes) -> str | None:
    """Return what a file is that could not be read as weights, by its first bytes; ``None`` if unknown."""
    return next((kind for fits, kind in _CONTENTS if fits(start)), None)


def _is_onnx(start: bytes) -> bool:
    # A version below 32 in field 1, then the field of the producer, the domain or the graph.
    return (
        start[:1] == b"\x08" and start[1:2] < b"\x20" and start[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a")
    )


def _is_program(start: bytes) -> bool:
    # Field 1 is a block, which starts with its number and its parent's.
    return start[:1] == b"\n" and b"\x08\x00\x10" in start[1:12]


def _is_text(start: bytes) -> bool:
    try:
        # The last letter may be cut.
        text = getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)


_CONTENTS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (_is_onnx, _ENDINGS[".onnx"]),
    (_is_program, _INFERENCE_MODEL),
    (_is_text, "a text file: give a .pdparams or .safetensors file, or a folder of parameters"),
)
