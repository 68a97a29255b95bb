"""Recognises files that cannot be weights by their first bytes."""

_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml", b"<!--", b"<script")

_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive, perhaps PyTorch weights or a packed model"),
    (b"\x1f\x8b", "a gzip archive, which has to be unpacked first"),
    (b"\x89HDF", "an HDF5 file, perhaps Keras weights"),
    (b"version https://git-lfs", "a Git LFS pointer, which only says where the real file is"),
)


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
    known = next((kind for signature, kind in _SIGNATURES if start.startswith(signature)), None)
    return html_page(start) or known
