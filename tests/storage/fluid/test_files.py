"""Files of folders and of archives: the same names and contents, and no trick of an archive."""

import gzip
import io
import os
import tarfile
import tracemalloc

import pytest
from support.fluid import pack

from hubtune.errors import ModelError
from hubtune.storage.fluid.files import is_tar, read_files

CONTENTS = {"a": b"first", "deep/er/b": b"second" * 1000, "empty": b""}


@pytest.fixture
def folder(tmp_path):
    for name, content in CONTENTS.items():
        file = tmp_path / "net" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "net" / ".DS_Store").write_bytes(b"x")
    return tmp_path / "net"


def contents(path):
    return {name: stream.read(size) for name, size, stream in read_files(path)}


def test_a_folder_and_its_archives_hold_the_same_and_nothing_hidden(folder, tmp_path):
    assert contents(folder) == CONTENTS
    packed = {f"net/{name}": content for name, content in CONTENTS.items()}
    for name in ("net.tar", "net.tar.gz", "net.tgz"):
        assert contents(pack(folder, tmp_path / name)) == packed, name
    assert is_tar((tmp_path / "net.tar").read_bytes()[:512])


def archive(path, *members, compress=False):
    with tarfile.open(path, "w:gz" if compress else "w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("link", tarfile.SYMTYPE, "a link"),
        ("link", tarfile.LNKTYPE, "a link"),
        ("device", tarfile.CHRTYPE, "a link or another entry"),
        ("pipe", tarfile.FIFOTYPE, "a link or another entry"),
        ("../../w", tarfile.REGTYPE, "outside of the archive"),
        ("/etc/w", tarfile.REGTYPE, "outside of the archive"),
        ("..\\w", tarfile.REGTYPE, "outside of the archive"),
    ],
)
def test_links_and_paths_outside_of_an_archive_are_refused(tmp_path, name, kind, words):
    path = archive(tmp_path / "x.tar", ("good", tarfile.REGTYPE, b"1"), (name, kind, b""))
    with pytest.raises(ValueError, match=words):
        contents(path)


def test_archives_that_are_cut_or_lie_about_sizes_are_refused(tmp_path):
    path = archive(tmp_path / "x.tar", ("w", tarfile.REGTYPE, os.urandom(5000)), ("v", tarfile.REGTYPE, b"1"))
    whole = path.read_bytes()
    path.write_bytes(whole[:3000])
    with pytest.raises(ValueError, match="cut short"):
        contents(path)
    packed = gzip.compress(whole)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match="cut short"):
        contents(path)


def claim(size, kind=tarfile.REGTYPE):
    """The header of an entry that claims a size."""
    member = tarfile.TarInfo("w")
    member.type, member.size = kind, size
    return member.tobuf()


LONG_NAME = claim(2**16, tarfile.GNUTYPE_LONGNAME) + bytes(2**16)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (claim(2**33) + bytes(20_000), "a file of 8,589,934,592 bytes"),
        (gzip.compress(claim(2**33) + bytes(20_000)), "a file of 8,589,934,592 bytes"),
        (
            gzip.compress(claim(2**25) + bytes(2**25) + claim(2**26) + bytes(2**20)),
            "a file of 67,108,864 bytes",
        ),
        (LONG_NAME * 2000, "headers have no end"),
        (claim(2**32, tarfile.XHDTYPE) + bytes(20_000), "a header of 4,294,967,296 bytes"),
        (claim(2**32, tarfile.GNUTYPE_LONGNAME) + bytes(20_000), "a header of 4,294,967,296 bytes"),
    ],
    ids=["size", "packed size", "bomb", "endless headers", "extended header", "long name"],
)
def test_bombs_and_huge_claims_are_refused_with_little_memory(tmp_path, content, words):
    (tmp_path / "x.tar").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=words):
        contents(tmp_path / "x.tar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20


def test_endless_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hubtune.storage.fluid.files._MOST_FILES", 3)
    path = archive(tmp_path / "many.tar", *((f"f{n}", tarfile.REGTYPE, b"") for n in range(5)))
    with pytest.raises(ValueError, match="more than 3 files"):
        contents(path)


def test_a_gzip_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"text" * 1000))
    with pytest.raises(ModelError, match="a gzip file without a tar archive in it"):
        contents(tmp_path / "x.gz")
