"""Pages and archives are recognised by their first bytes."""

from hubtune.storage.signature import foreign_format, html_page, kind_by_content, kind_by_name


def test_pages_and_archives_are_named_and_nothing_else_counts_as_one():
    for start in (b" \n<!doctype HTML>", b"\xef\xbb\xbf\r\n<HTML>", b"<?xml version='1.0'"):
        assert html_page(start) == foreign_format(start)
        assert html_page(start) == "an HTML page, perhaps a login or error page of the network"
    assert html_page(b"<\0\0\0\0\0\0\0{") is None  # safetensors with a header of 60 bytes
    assert foreign_format(b"PK\x03\x04...").startswith("a zip archive")
    assert foreign_format(b"\x80\x02}") is None


def test_files_of_other_programs_are_named_by_their_first_bytes_or_their_names():
    assert foreign_format(b"PK\x03\x04" + bytes(20) + b"archive/data.pkl").startswith("PyTorch weights")
    assert foreign_format(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").startswith("PyTorch weights")
    assert foreign_format(b"\x89HDF\r\n").startswith("an HDF5 file")
    for content, kind in (
        (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
        (b"\n\x94\x01\x08\x00\x10\xff\xff\xff\xff\x0f", "a part of an inference model"),
        (b"name: mynet\n", "a text file"),
        ("权重文件".encode()[:-1], "a text file"),
    ):
        assert kind_by_content(content).startswith(kind)
    assert kind_by_content(b"\x00\x01\x02") is None
    assert kind_by_content("权重".encode("gbk")) is None
    for name, kind in (
        ("a.PTH", "PyTorch"),
        ("m.onnx", "an ONNX"),
        ("x.pdiparams", "a part of an"),
    ):
        assert kind_by_name(name).startswith(kind)
    assert kind_by_name("conv1_weights") is None
