"""Pages and archives are recognised by their first bytes."""

from hubtune.storage.signature import foreign_format, html_page


def test_pages_and_archives_are_named_and_nothing_else_counts_as_one():
    for start in (b" \n<!doctype HTML>", b"\xef\xbb\xbf\r\n<HTML>", b"<?xml version='1.0'"):
        assert html_page(start) == foreign_format(start)
        assert html_page(start) == "an HTML page, perhaps a login or error page of the network"
    assert html_page(b"<\0\0\0\0\0\0\0{") is None  # safetensors with a header of 60 bytes
    assert foreign_format(b"PK\x03\x04...").startswith("a zip archive")
    assert foreign_format(b"\x80\x02}") is None
