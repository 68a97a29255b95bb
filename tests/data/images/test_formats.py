"""Files that cannot be read are named by their content, with what to do."""

import pytest

from hubtune.data.images.formats import count_formats, identify_format, is_convertible
from hubtune.data.images.verify import is_image

# Content → what one file is, whether it is an image, and a word of the advice.
FORMATS = {
    b"\0" * 128 + b"DICM": ("a DICOM file", True, "dcm2img"),
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic": ("a HEIC picture", True, "pip install pillow-heif"),
    b"\0\0\0\x18ftypavif\0\0\0\0": ("an AVIF picture", True, "pip install --upgrade pillow"),
    b"\xff\x0a" + b"\1" * 60: ("a JPEG XL picture", True, "convert it to JPEG"),
    b"\0\0\0\x18ftypcrx \0\0\0\0": ("a camera's raw file", True, "darktable"),
    b"FUJIFILMCCD-RAW 0201": ("a camera's raw file", True, "darktable"),
    b"8BPS\0\1": ("a Photoshop file", False, "GIMP"),
    b"<svg xmlns='http://www.w3.org/2000/svg'/>": ("an SVG drawing", False, "Inkscape"),
    b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>": ("an SVG drawing", False, "Inkscape"),
    b"<?xml version='1.0'?><annotation/>": ("an XML file", False, ""),
    b"%!PS-Adobe-3.0 EPSF-3.0": ("a PostScript file", False, "ImageMagick"),
    b"\xc5\xd0\xd3\xc6\x20\0": ("a PostScript file", False, "ImageMagick"),
    b"%PDF-1.7": ("a PDF file", False, "pdftoppm"),
    b"\0\0\0\x18ftypisom\0\0\0\0": ("a film", False, "ffmpeg"),
    b"\0\0\0\x14ftypqt  ": ("a film", False, "ffmpeg"),
    b"RIFF\0\0\0\0AVI LIST": ("a film", False, "ffmpeg"),
    b"\x1a\x45\xdf\xa3\x01": ("a film", False, "ffmpeg"),
    (b"G" + b"\0" * 187) * 3: ("a film", False, "ffmpeg"),
    b"version https://git-lfs.github.com/spec/v1": (
        "a Git LFS pointer, not the file itself", False, "git lfs pull",
    ),
    b"PK\x03\x04rest": ("a zip archive", False, ""),
}  # fmt: skip


@pytest.mark.parametrize("content", FORMATS, ids=[name for name, *_ in FORMATS.values()])
def test_a_format_is_recognised_by_its_first_bytes(tmp_path, content):
    one, is_picture, advice = FORMATS[content]
    row = identify_format(content)
    assert (row.one, row.is_image) == (one, is_picture)
    assert advice in row.reason and is_convertible(row.reason) == bool(advice)
    assert row.reason.startswith(one if is_picture else f"not a picture, but {one}")
    (tmp_path / "file").write_bytes(content)
    assert is_image(tmp_path / "file") == is_picture


def test_the_advice_of_another_installation_is_that_of_this_one():
    """As in the cache of a scan, which all environments of a machine share."""
    row = identify_format(b"\0\0\0\x18ftypheic")
    other = "a HEIC picture: run `pipx inject hubtune pillow-heif` to read it, or convert it to JPEG"
    assert other != row.reason and is_convertible(other)
    [counted] = count_formats([other, row.reason])
    assert counted == f"2 HEIC pictures: {row.advice_for('them')}"


def test_others_have_no_format_and_files_of_the_same_are_counted():
    for content in (b"", b"just some words", b"RIFF\0\0\0\0WAVEfmt ", b"for free", b"G" * 20):
        assert identify_format(content) is None
    dicom, film = (identify_format(content).reason for content in (b"\0" * 128 + b"DICM", b"FLV\x01"))
    assert count_formats([dicom, "no such file", film, dicom]) == [
        "2 DICOM files: convert them to PNG, for instance with `dcm2img` of DCMTK",
        "a film: save single frames of it, for instance with `ffmpeg -i FILM -vf fps=1 %05d.png`",
    ]
