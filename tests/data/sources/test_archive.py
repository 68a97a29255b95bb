"""Archives are unpacked into the cache without trusting them."""

import functools
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from hubtune.data.sources import archive as archives
from hubtune.data.sources.archive import unpack
from hubtune.errors import DataError, MachineError

CONTENT = b"picture" * 50


def written(path, content):
    path.write_bytes(content)
    return path


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in options.items():
                setattr(info, key, value)
            file.writestr(info, content)
    return path


def tarred(path, members, mode="w"):
    """Pack files, and members that are none, into a tar."""
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                file.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


def odd(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def files_below(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def files_in_cache():
    return [name for name in files_below(Path(os.environ["HUBTUNE_HOME"])) if not name.endswith(".lock")]


def left_out(done):
    return {entry.path.relative_to(done.folder).as_posix(): entry.reason for entry in done.left_out}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_what_is_in_an_archive_is_in_the_cache_once_and_again_when_it_changes(tmp_path, mode):
    pack = zipped if mode == "zip" else functools.partial(tarred, mode=mode)
    members = {"pics/cat/1.jpg": CONTENT, "pics/cat/2.jpg": b"", "./pics/虞书欣/a b\n🙂.jpg": b"x"}
    path, seen = pack(tmp_path / "pics", members), []
    done = unpack(path, progress=lambda *counts: seen.append(counts))
    assert files_below(done.folder) == {name.removeprefix("./"): content for name, content in members.items()}
    assert done.folder.is_relative_to(os.environ["HUBTUNE_HOME"])
    assert not done.left_out
    assert seen[-1] == ("unpacking", 3, 3 if mode == "zip" else 0)
    (done.folder / "mark").touch()
    assert unpack(path) == done
    assert (done.folder / "mark").exists()
    pack(path, {"pics/cat/1.jpg": b"newer"})
    assert files_below(unpack(path).folder) == {"pics/cat/1.jpg": b"newer"}
    assert (
        done.folder / "pics/cat/1.jpg"
    ).read_bytes() == CONTENT  # lists of the old one do not swap pictures


def long_header(path):
    """A pax record of 100 MB, in a few kilobytes."""
    header = odd("././@PaxHeader", tarfile.XHDTYPE)
    header.size = 100_000_000
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(100):
            file.write(b"\0" * 1_000_000)
    return path


def overlapping(path):
    """Fifield's bomb in short: many entries of the directory for the same bytes."""
    content = zipped(path, {"a": b"\0" * 600_000}).read_bytes()
    at, end = content.rfind(b"PK\x01\x02"), content.rfind(b"PK\x05\x06")
    entry = content[at:end]
    entries = b"".join(entry[:46] + bytes([97 + number]) + entry[47:] for number in range(20))
    new_end = bytearray(content[end:])
    struct.pack_into("<HHLL", new_end, 8, 20, 20, len(entries), at)
    return written(path, content[:at] + entries + bytes(new_end))


def damaged(path):
    content = bytearray(zipped(path, {"1.jpg": CONTENT, "2.jpg": os.urandom(5_000)}).read_bytes())
    content[2_000] ^= 255
    return written(path, content)


def twice(path):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as file:
        file.writestr("cat/1.jpg", b"one")
        file.writestr("cat/1.jpg", b"other")
    return path


def encrypted(path):
    content = bytearray(zipped(path, {"1.jpg": CONTENT}).read_bytes())
    content[6] |= 1
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    return written(path, content)


def lying(path):
    """A zip whose directory says less of a file than it holds."""
    content = bytearray(zipped(path, {"1.jpg": b"\0" * 50_000}).read_bytes())
    struct.pack_into("<L", content, content.rfind(b"PK\x01\x02") + 24, 10)
    return written(path, content)


def random_tar(path, mode="w"):
    return tarred(path, {"cat/1.jpg": os.urandom(5_000), "cat/2.jpg": os.urandom(5_000)}, mode)


def cut(path, share):
    content = path.read_bytes()
    return written(path, content[: int(len(content) * share)])


OUT, BOMB, CLASH = "leads out of its folder", "too much for so small a file", "name of another file"
DAMAGED = "is damaged or cut short"
ATTACKS = {
    "zip ..": (lambda p: zipped(p, {"cat/1.jpg": CONTENT, "../../evil": b"x"}), OUT),
    "zip inner ..": (lambda p: zipped(p, {"cat/../../evil": b"x"}), OUT),
    "zip backslash": (lambda p: zipped(p, {"cat\\..\\..\\evil": b"x"}), OUT),
    "zip absolute": (lambda p: zipped(p, {"/tmp/evil": b"x"}), "is absolute"),
    "zip drive": (lambda p: zipped(p, {"C:\\evil": b"x"}), "has a drive letter"),
    "zip share": (lambda p: zipped(p, {"\\\\host\\evil": b"x"}), "is absolute"),
    "tar ..": (lambda p: tarred(p, {"cat/1.jpg": CONTENT, "../evil": b"x"}), OUT),
    "tar absolute": (lambda p: tarred(p, {"/tmp/evil": b"x"}), "is absolute"),
    "tar folder ..": (lambda p: tarred(p, {"d": odd("../evil", tarfile.DIRTYPE)}), OUT),
    "tar link ..": (lambda p: tarred(p, {"l": odd("../evil", tarfile.SYMTYPE, "/etc")}), OUT),
    "zip bomb": (lambda p: zipped(p, {"1.jpg": b"\0" * 2_000_000}), BOMB),
    "zip overlap": (overlapping, BOMB),
    "tar bomb": (lambda p: tarred(p, {"1.jpg": b"\0" * 2_000_000}, "w:gz"), BOMB),
    "tar of many": (lambda p: tarred(p, {f"{n}": b"\0" * 200_000 for n in range(8)}, "w:bz2"), BOMB),
    "tar header": (long_header, "a header is longer than any of a file"),
    "many files": (lambda p: zipped(p, {f"{n}.jpg": b"" for n in range(2_000)}), "more than 1,000 files"),
    "two of a name": (twice, "holds two files called 'cat/1.jpg'"),
    "file and folder": (lambda p: zipped(p, {"cat": b"x", "cat/1.jpg": b"x"}), CLASH),
    "folder and file": (lambda p: zipped(p, {"cat/1.jpg": b"x", "cat": b"x"}), CLASH),
    "encrypted": (encrypted, "it is encrypted"),
    "damaged": (damaged, DAMAGED),
    "lying": (lying, DAMAGED),
    "zip cut": (lambda p: cut(damaged(p), 0.7), DAMAGED),
    "tar cut": (lambda p: cut(random_tar(p), 0.3), DAMAGED),
    "tar cut between": (lambda p: written(p, random_tar(p).read_bytes()[: 512 + 5_120]), "it has no end"),
    "gz cut": (lambda p: cut(random_tar(p, "w:gz"), 0.7), DAMAGED),
    "bz2 cut": (lambda p: cut(random_tar(p, "w:bz2"), 0.7), DAMAGED),
    "xz cut": (lambda p: cut(random_tar(p, "w:xz"), 0.7), DAMAGED),
    "gz of no tar": (lambda p: written(p, gzip.compress(os.urandom(3_000))), DAMAGED),
    "bz2 of rubbish": (lambda p: written(p, b"BZh9" + os.urandom(3_000)), DAMAGED),
    "xz of no tar": (lambda p: written(p, lzma.compress(b"\1" * 3_000_000)), DAMAGED),
    "deep": (lambda p: zipped(p, {"a/" * 20_000 + "1.jpg": b"x"}), "leads more than 100 folders deep"),
    "7z": (lambda p: written(p, b"7z\xbc\xaf\x27\x1c" + bytes(600)), "is a 7z archive"),
    "no archive": (lambda p: written(p, b"GIF89a"), "is no zip or tar archive"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_or_damaged_archive_leaves_nothing(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archives, "MOST_FILES", 1_000)
    monkeypatch.setattr(archives, "SMALL_BYTES", 1_000_000)
    make, words = ATTACKS[name]
    (tmp_path / "in").mkdir()
    path = make(tmp_path / "in" / "pics.zip")
    before = files_below(tmp_path)
    with pytest.raises(DataError, match=words):
        unpack(path)
    assert files_below(tmp_path) == before
    assert files_in_cache() == []
    assert not Path("/tmp/evil").exists()


def test_links_and_devices_are_left_out_by_name_and_a_hard_link_is_the_picture_that_it_names(tmp_path):
    members = [
        odd("cat/2.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        odd("cat/3.jpg", tarfile.LNKTYPE, "../../../etc/passwd"),
        odd("cat/4.jpg", tarfile.CHRTYPE),
        odd("cat/5.jpg", tarfile.FIFOTYPE),
        odd("dog", tarfile.SYMTYPE, "/tmp"),
        odd("dog/2.jpg", tarfile.LNKTYPE, "./cat/1.jpg"),
    ]
    named = {"cat/1.jpg": CONTENT} | {str(member): member for member in members} | {"dog/6.jpg": b"x"}
    done = unpack(tarred(tmp_path / "a.tar", named))
    assert files_below(done.folder) == {"cat/1.jpg": CONTENT, "dog/2.jpg": CONTENT, "dog/6.jpg": b"x"}
    assert left_out(done) == {
        "cat/2.jpg": "link in an archive",
        "cat/3.jpg": "link to what is not in the archive",
        "cat/4.jpg": "is no file",
        "cat/5.jpg": "is no file",
        "dog": "link in an archive",
    }
    assert unpack(tmp_path / "a.tar") == done  # reported the second time, too
    options = {"external_attr": (stat.S_IFLNK | 0o777) << 16, "create_system": 3}
    done = unpack(zipped(tmp_path / "a.zip", {"cat/1.jpg": b"/etc/passwd"}, **options))
    assert left_out(done) == {"cat/1.jpg": "link in an archive"}
    assert files_below(done.folder) == {}


def test_names_without_the_mark_of_utf8_are_read_as_it_or_in_the_encoding_that_a_person_names(tmp_path):
    def made(name, folder, file):
        stand_in = f"{'x' * len(folder)}/{'y' * (len(file) - 4)}.jpg"
        path = zipped(tmp_path / name, {stand_in: b"x"})
        return written(path, path.read_bytes().replace(stand_in.encode(), folder + b"/" + file))

    assert files_below(unpack(made("a.zip", "猫".encode(), b"1.jpg")).folder) == {"猫/1.jpg": b"x"}
    gbk = made("b.zip", "香蕉".encode("gbk"), b"1.jpg")
    with pytest.raises(
        DataError, match=r"are not in UTF-8. It reads '香蕉/1.jpg' in gbk, '[^']*' in cp437, .* Name"
    ):
        unpack(gbk)
    assert files_below(unpack(gbk, encoding="gbk").folder) == {"香蕉/1.jpg": b"x"}
    with pytest.raises(DataError, match="the names in it are not in ascii"):
        unpack(gbk, encoding="ascii")
    done = unpack(made("c.zip", b"cat", "蕉.jpg".encode("gbk")))  # names of files are no classes
    assert [*files_below(done.folder)] == ["cat/" + "蕉.jpg".encode("gbk").decode("utf-8", "surrogateescape")]
    assert [remark.isprintable() for remark in done.remarks] == [True]
    tar = tmp_path / "d.tar"
    with tarfile.open(tar, "w", encoding="gbk", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("香蕉/1.jpg"))
    with pytest.raises(DataError, match=r"'香蕉/1\.jpg' in gbk"):
        unpack(tar)
    assert [*files_below(unpack(tar, encoding="gbk").folder)] == ["香蕉/1.jpg"]


def test_files_too_large_or_with_too_long_a_name_are_left_out_and_archives_stay_packed(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 2_000)
    inner = zipped(tmp_path / "inner.zip", {"0.zip": b"\0" * 1_000_000}).read_bytes()
    members = {"1.jpg": b"x" * 2_001, "2.zip": inner, f"cat/{'a' * 300}.jpg": b"x", "a" * 255: b"x"}
    for path in (zipped(tmp_path / "a.zip", members), tarred(tmp_path / "a.tar.gz", members, "w:gz")):
        done = unpack(path)
        assert files_below(done.folder) == {"2.zip": inner, "a" * 255: b"x"}
        [(_, too_large), (name, _)] = left_out(done).items()
        assert too_large == "has 2,001 bytes, too many for a picture"
        assert len(name) == 308


def test_a_full_disk_is_noticed_and_what_a_killed_process_left_is_removed(tmp_path, monkeypatch):
    def fail(error):
        def read(*_):
            raise error

        patch.setattr(archives, "_read", read)

    path = zipped(tmp_path / "a.zip", {"1.jpg": CONTENT})
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(MachineError, match="free some space"):
            unpack(path)
    with monkeypatch.context() as patch:
        fail(OSError(28, "No space left on device"))
        with pytest.raises(MachineError, match=r"cannot keep .*: No space left on device"):
            unpack(path)
        assert files_in_cache() == []
        fail(KeyboardInterrupt())
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            unpack(path)
    cache = Path(os.environ["HUBTUNE_HOME"], "data", "unpacked")
    assert list(cache.glob("*.part"))
    assert files_below(unpack(path).folder) == {"1.jpg": CONTENT}
    assert not list(cache.glob("*.part"))
