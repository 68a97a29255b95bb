"""Archives are unpacked into the cache without trusting them."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hubtune.data.sources import archive as archives
from hubtune.data.sources.archive import inside, unpack
from hubtune.errors import DataError, MachineError

CONTENT = b"picture" * 50


def zipped(path: Path, members: dict[str, bytes], **options: object) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in options.items():
                setattr(info, key, value)
            file.writestr(info, content)
    return path


def tarred(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                file.addfile(content)
            else:
                file.addfile(sized(name, len(content)), io.BytesIO(content))
    return path


def sized(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def odd(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def home() -> Path:
    return Path(os.environ["HUBTUNE_HOME"])


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_what_is_in_an_archive_is_in_the_cache(tmp_path: Path, mode: str):
    members = {"pics/cat/1.jpg": CONTENT, "pics/cat/2.jpg": b"", "./pics/虞书欣/a b\n🙂.jpg": b"x"}
    path = tmp_path / "pics"
    path = zipped(path, members) if mode == "zip" else tarred(path, members, mode)
    seen: list[tuple[str, int, int]] = []
    done = unpack(path, progress=lambda *counts: seen.append(counts))
    assert files_below(done.folder) == {name.removeprefix("./"): content for name, content in members.items()}
    assert done.folder.is_relative_to(home())
    assert not done.left_out
    assert seen[-1] == ("unpacking", 3, 3 if mode == "zip" else 0)


def test_an_archive_is_unpacked_once_and_again_when_it_changes(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"x/1.jpg": b"old"})
    folder = unpack(path).folder
    marked = folder / "x" / "mark"
    marked.touch()
    assert unpack(path).folder == folder
    assert marked.exists()
    zipped(path, {"x/1.jpg": b"newer"})
    assert files_below(unpack(path).folder) == {"x/1.jpg": b"newer"}
    assert (folder / "x" / "1.jpg").read_bytes() == b"old"  # lists of the old one do not swap pictures


def long_header(path: Path) -> Path:
    """A pax record of 100 MB, in a few kilobytes."""
    header = odd("././@PaxHeader", tarfile.XHDTYPE)
    header.size = 100_000_000
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(100):
            file.write(b"\0" * 1_000_000)
    return path


def overlapping(path: Path) -> Path:
    """Fifield's bomb in short: many entries of the directory for the same bytes."""
    zipped(path, {"a": b"\0" * 600_000})
    content = path.read_bytes()
    at = content.rfind(b"PK\x01\x02")
    end = content.rfind(b"PK\x05\x06")
    entry = content[at:end]
    entries = b"".join(entry[:46] + bytes([97 + number]) + entry[47:] for number in range(20))
    new_end = bytearray(content[end:])
    struct.pack_into("<HHLL", new_end, 8, 20, 20, len(entries), at)
    path.write_bytes(content[:at] + entries + bytes(new_end))
    return path


def many(path: Path, count: int = 2_000) -> Path:
    return zipped(path, {f"{number}.jpg": b"" for number in range(count)})


def damaged(path: Path) -> Path:
    zipped(path, {"1.jpg": CONTENT, "2.jpg": os.urandom(5_000)})
    content = bytearray(path.read_bytes())
    content[2_000] ^= 255
    path.write_bytes(content)
    return path


def twice(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as file:
        file.writestr("cat/1.jpg", b"one")
        file.writestr("cat/1.jpg", b"other")
    return path


def encrypted(path: Path) -> Path:
    zipped(path, {"1.jpg": CONTENT})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def cut(make: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    def cutting(path: Path) -> Path:
        content = make(path).read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return cutting


def plain_tar(path: Path) -> Path:
    return tarred(path, {"cat/1.jpg": os.urandom(5_000), "cat/2.jpg": os.urandom(5_000)})


def between_members(path: Path) -> Path:
    content = plain_tar(path).read_bytes()
    path.write_bytes(content[: 512 + 5_120])
    return path


def lying(path: Path) -> Path:
    """A zip whose directory says less of a file than it holds."""
    zipped(path, {"1.jpg": b"\0" * 50_000})
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.rfind(b"PK\x01\x02") + 24, 10)
    path.write_bytes(content)
    return path


ATTACKS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip ..": (lambda p: zipped(p, {"cat/1.jpg": CONTENT, "../../evil": b"x"}), "leads out of its folder"),
    "zip inner ..": (lambda p: zipped(p, {"cat/../../evil": b"x"}), "leads out of its folder"),
    "zip backslash": (lambda p: zipped(p, {"cat\\..\\..\\evil": b"x"}), "leads out of its folder"),
    "zip absolute": (lambda p: zipped(p, {"/tmp/evil": b"x"}), "is absolute"),
    "zip drive": (lambda p: zipped(p, {"C:\\evil": b"x"}), "has a drive letter"),
    "zip share": (lambda p: zipped(p, {"\\\\host\\evil": b"x"}), "is absolute"),
    "tar ..": (lambda p: tarred(p, {"cat/1.jpg": CONTENT, "../evil": b"x"}), "leads out of its folder"),
    "tar absolute": (lambda p: tarred(p, {"/tmp/evil": b"x"}), "is absolute"),
    "tar folder ..": (lambda p: tarred(p, {"d": odd("../evil", tarfile.DIRTYPE)}), "leads out of its folder"),
    "tar link ..": (lambda p: tarred(p, {"l": odd("../evil", tarfile.SYMTYPE, "/etc")}), "leads out of its"),
    "zip bomb": (lambda p: zipped(p, {"1.jpg": b"\0" * 2_000_000}), "too much for so small a file"),
    "zip overlap": (overlapping, "too much for so small a file"),
    "tar bomb": (lambda p: tarred(p, {"1.jpg": b"\0" * 2_000_000}, "w:gz"), "too much for so small a file"),
    "tar of many": (
        lambda p: tarred(p, {f"{n}": b"\0" * 200_000 for n in range(8)}, "w:bz2"),
        "too much for so small a file",
    ),
    "tar header": (long_header, "a header is longer than any of a file"),
    "many files": (many, "more than 1,000 files"),
    "two of a name": (twice, "holds two files called 'cat/1.jpg'"),
    "file and folder": (lambda p: zipped(p, {"cat": b"x", "cat/1.jpg": b"x"}), "name of another file"),
    "folder and file": (lambda p: zipped(p, {"cat/1.jpg": b"x", "cat": b"x"}), "name of another file"),
    "encrypted": (encrypted, "it is encrypted"),
    "damaged": (damaged, "is damaged or cut short"),
    "lying": (lying, "is damaged or cut short"),
    "zip cut": (cut(damaged, 0.7), "is damaged or cut short"),
    "tar cut": (cut(plain_tar, 0.3), "is damaged or cut short"),
    "tar cut between": (between_members, "it has no end"),
    "gz cut": (
        cut(lambda p: tarred(p, {"1.jpg": os.urandom(5_000)}, "w:gz"), 0.7),
        "is damaged or cut short",
    ),
    "bz2 cut": (cut(lambda p: tarred(p, {"1.jpg": os.urandom(5_000)}, "w:bz2"), 0.7), "is damaged"),
    "xz cut": (cut(lambda p: tarred(p, {"1.jpg": os.urandom(5_000)}, "w:xz"), 0.7), "is damaged"),
    "gz of no tar": (lambda p: _written(p, gzip.compress(os.urandom(3_000))), "is damaged or cut short"),
    "bz2 of rubbish": (lambda p: _written(p, b"BZh9" + os.urandom(3_000)), "is damaged or cut short"),
    "xz of no tar": (lambda p: _written(p, lzma.compress(b"\1" * 3_000_000)), "is damaged or cut short"),
    "deep": (lambda p: zipped(p, {"a/" * 20_000 + "1.jpg": b"x"}), "leads more than 100 folders deep"),
    "7z": (lambda p: _written(p, b"7z\xbc\xaf\x27\x1c" + bytes(600)), "is a 7z archive"),
    "no archive": (lambda p: _written(p, b"GIF89a"), "is no zip or tar archive"),
}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_or_damaged_archive_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setattr(archives, "MOST_FILES", 1_000)
    monkeypatch.setattr(archives, "SMALL_BYTES", 1_000_000)
    make, words = ATTACKS[name]
    (tmp_path / "in").mkdir()
    path = make(tmp_path / "in" / "pics.zip")
    before = files_below(tmp_path)
    with pytest.raises(DataError, match=words):
        unpack(path)
    assert files_below(tmp_path) == before
    left = [file for file in home().rglob("*") if file.is_file() and file.suffix != ".lock"]
    assert left == []
    assert not Path("/tmp/evil").exists()


def test_links_and_devices_are_left_out_by_name(tmp_path: Path):
    path = tarred(
        tmp_path / "a.tar",
        {
            "cat/1.jpg": CONTENT,
            "link": odd("cat/2.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            "hard": odd("cat/3.jpg", tarfile.LNKTYPE, "../../../etc/passwd"),
            "device": odd("cat/4.jpg", tarfile.CHRTYPE),
            "pipe": odd("cat/5.jpg", tarfile.FIFOTYPE),
            "through": odd("dog", tarfile.SYMTYPE, "/tmp"),
            "dog/6.jpg": b"x",
        },
    )
    done = unpack(path)
    assert files_below(done.folder) == {"cat/1.jpg": CONTENT, "dog/6.jpg": b"x"}
    reasons = {entry.path.relative_to(done.folder).as_posix(): entry.reason for entry in done.left_out}
    assert reasons == {
        "cat/2.jpg": "link in an archive",
        "cat/3.jpg": "link to what is not in the archive",
        "cat/4.jpg": "is no file",
        "cat/5.jpg": "is no file",
        "dog": "link in an archive",
    }
    assert unpack(path) == done  # told the second time, too


def test_a_link_in_a_zip_is_left_out_by_name(tmp_path: Path):
    mode = (stat.S_IFLNK | 0o777) << 16
    done = unpack(
        zipped(tmp_path / "a.zip", {"cat/1.jpg": b"/etc/passwd"}, external_attr=mode, create_system=3)
    )
    assert [entry.reason for entry in done.left_out] == ["link in an archive"]
    assert files_below(done.folder) == {}


def test_a_hard_link_is_the_picture_that_it_names(tmp_path: Path):
    hard = odd("dog/2.jpg", tarfile.LNKTYPE, "./cat/1.jpg")
    done = unpack(tarred(tmp_path / "a.tar", {"cat/1.jpg": CONTENT, "hard": hard}))
    assert files_below(done.folder) == {"cat/1.jpg": CONTENT, "dog/2.jpg": CONTENT}


@pytest.mark.parametrize(
    ("raw", "kept"),
    [("猫/1.jpg".encode(), "猫/1.jpg"), ("中/1.jpg".encode("gbk"), "\udcd6\udcd0/1.jpg")],
    ids=["UTF-8", "GBK"],
)
def test_names_without_the_mark_of_utf8_are_read_as_it_or_kept(tmp_path: Path, raw: bytes, kept: str):
    stand_in = "x" * len(raw.partition(b"/")[0]) + "/1.jpg"
    path = zipped(tmp_path / "a.zip", {stand_in: b"x"})
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), raw))
    done = unpack(path)
    assert files_below(done.folder) == {kept: b"x"}
    assert len(done.remarks) == (kept != "猫/1.jpg")
    assert all(remark.isprintable() for remark in done.remarks)


def test_a_name_too_long_for_the_disk_is_left_out_by_name(tmp_path: Path):
    done = unpack(
        zipped(
            tmp_path / "a.zip",
            {"cat/1.jpg": b"x", f"cat/{'a' * 300}.jpg": b"x", "a" * 255: b"x"},
        )
    )
    assert set(files_below(done.folder)) == {"cat/1.jpg", "a" * 255}
    assert [len(entry.path.name) for entry in done.left_out] == [304]


def test_a_file_larger_than_any_picture_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 100)
    for path in (
        zipped(tmp_path / "a.zip", {"1.jpg": CONTENT, "2.jpg": b"x"}),
        tarred(tmp_path / "a.tar.gz", {"1.jpg": CONTENT, "2.jpg": b"x"}, "w:gz"),
    ):
        done = unpack(path)
        assert set(files_below(done.folder)) == {"2.jpg"}
        assert [entry.reason for entry in done.left_out] == ["has 350 bytes, too many for a picture"]


def test_a_nested_archive_stays_packed(tmp_path: Path):
    inner = zipped(tmp_path / "inner.zip", {"0.zip": b"\0" * 1_000_000}).read_bytes()
    done = unpack(zipped(tmp_path / "42.zip", {f"{number}.zip": inner for number in range(16)}))
    assert set(files_below(done.folder).values()) == {inner}


def test_a_full_disk_is_said_before_and_while_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = zipped(tmp_path / "a.zip", {"1.jpg": CONTENT})
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
        with pytest.raises(MachineError, match="free some space"):
            unpack(path)

    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_read", full)
    with pytest.raises(MachineError, match=r"cannot keep .*: No space left on device"):
        unpack(path)
    assert [file for file in home().rglob("*") if file.suffix != ".lock" and file.is_file()] == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"1.jpg": CONTENT})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "_read", _killed)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            unpack(path)
    assert list((home() / "data" / "unpacked").glob("*.part"))
    assert files_below(unpack(path).folder) == {"1.jpg": CONTENT}
    assert not list((home() / "data" / "unpacked").glob("*.part"))


def _killed(*_: object) -> bytes:
    raise KeyboardInterrupt


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_of_the_old_kind_is_known_by_its_name(tmp_path: Path, compress: Callable[[bytes], bytes]):
    content = bytearray(plain_tar(tmp_path / "a.tar").read_bytes())
    assert len(files_below(unpack(_written(tmp_path / "b", compress(bytes(content)))).folder)) == 2


@pytest.mark.parametrize(("name", "leads"), [("./a//b/.", "a/b"), ("a\\b", "a/b"), ("...", "..."), (".", "")])
def test_names_lead_where_they_should(name: str, leads: str):
    assert inside(name) == leads
