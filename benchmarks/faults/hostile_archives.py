"""Archives that lead out of their folder, unpack to too much, or are damaged."""

import bz2
import gzip
import io
import lzma
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.faults.audit import Watch
from benchmarks.faults.children import call, enter
from benchmarks.faults.outcome import Bench, Outcome

REFUSED, LEFT_OUT, EITHER = "refused", "left out", "refused or whole"


@dataclass(frozen=True)
class Hostile:
    """A hostile archive, and what must become of it."""

    name: str
    content: bytes
    expected: str = REFUSED


def _contents() -> dict[str, bytes]:
    random = np.random.default_rng(3)
    return {f"{'ab'[n % 2]}/{n}.jpg": random.bytes(3000) for n in range(6)}


GOOD = _contents()


def zipped(members: dict[str, bytes], **attributes: int) -> bytes:
    """Return a ZIP archive whose members have these attributes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            file.writestr(info, content)
    return packed.getvalue()


def tarred(members: dict[str, bytes], *odd: tarfile.TarInfo) -> bytes:
    """Return a tar archive of files, followed by members without content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for info in odd:
            file.addfile(info)
    return packed.getvalue()


def _odd(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def traversal() -> Iterator[Hostile]:
    """Names that lead out of the folder, in both kinds of archive."""
    for name in (
        "../evil", "a/../../evil", "a/../../../evil", "..", "/tmp/hubtune-faults-evil0",
        "/tmp/hubtune-faults-evil1/x", "//tmp/hubtune-faults-evil2",
        "a\\..\\..\\evil", "..\\evil", "\\evil", "C:\\evil", "c:evil", "\\\\host\\share\\evil", "./../evil",
        "a/b/../../../evil", "a//../../evil",
    ):  # fmt: skip
        yield Hostile(f"zip {name!a}", zipped({**GOOD, name: b"x"}))
        yield Hostile(f"tar {name!a}", tarred({**GOOD, name: b"x"}))
        yield Hostile(f"tar folder {name!a}", tarred(GOOD, _odd(name, tarfile.DIRTYPE)))


def links() -> Iterator[Hostile]:
    """Links and devices."""
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        for target in ("/etc/passwd", "../../../etc/passwd", "a/../../x", "."):
            yield Hostile(f"link {kind!a} {target}", tarred(GOOD, _odd("a/l.jpg", kind, target)), LEFT_OUT)
    through = tarred(GOOD, _odd("out", tarfile.SYMTYPE, "/tmp"), _odd("out/sub", tarfile.DIRTYPE))
    yield Hostile("through a link", through, LEFT_OUT)
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        yield Hostile(f"device {kind!a}", tarred(GOOD, _odd("a/d.jpg", kind)), LEFT_OUT)
    mode = (0o120777) << 16
    yield Hostile(
        "zip link", zipped({"a/l.jpg": b"/etc/passwd"}, external_attr=mode, create_system=3), LEFT_OUT
    )


def bombs() -> Iterator[Hostile]:
    """A few bytes that unpack to too much."""
    zeros = bytes(80_000_000)
    yield Hostile("zip bomb", zipped({"a/1.jpg": zeros}))
    tar = tarred({"a/1.jpg": zeros})
    for name, pack in (("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)):
        yield Hostile(f"{name} bomb", pack(tar))
    many = tarred({f"a/{n}.jpg": bytes(9_000_000) for n in range(9)})
    yield Hostile("many in gzip", gzip.compress(many))
    yield Hostile("too deep", zipped({"a/" * 5000 + "1.jpg": b"x"}))
    header = _odd("././@PaxHeader", tarfile.XHDTYPE)
    header.size = 60_000_000
    yield Hostile("long header", gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + zeros))
    content = bytearray(zipped({"a/1.jpg": bytes(1_000_000)}))
    directory, end = content.rfind(b"PK\x01\x02"), content.rfind(b"PK\x05\x06")
    entry, tail = bytes(content[directory:end]), bytearray(content[end:])
    entries = b"".join(entry[:46] + b"%07d" % n + entry[53:] for n in range(200))
    struct.pack_into("<HHLL", tail, 8, 200, 200, len(entries), directory)
    yield Hostile("overlapping members", bytes(content[:directory]) + entries + bytes(tail))


def odd_names() -> Iterator[Hostile]:
    """Names that clash, are no text, or do not fit."""
    yield Hostile("file and folder", zipped({"a": b"x", "a/1.jpg": b"x"}))
    yield Hostile("zero byte", tarred({**GOOD, "a/x\0y.jpg": b"x"}), EITHER)
    yield Hostile("case clash", zipped({**GOOD, "A/0.jpg": b"x", "a/0.JPG": b"x"}), LEFT_OUT)
    yield Hostile("too long", zipped({**GOOD, "a/" + "x" * 300: b"x"}), LEFT_OUT)
    for raw in (b"\xff\xfe\xfd\xfc", "中".encode("gbk") * 2, b"\xc3\x28ab", b"\x1b[2J"):
        good = zipped({**GOOD, "a/XXXX": b"x"}).replace(b"XXXX", raw)
        yield Hostile(f"zip name {raw!a}", good, LEFT_OUT)
        marked = bytearray(good)
        for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            place = -1
            while (place := marked.find(mark, place + 1)) >= 0:
                struct.pack_into("<H", marked, place + at, 0x800)
        yield Hostile(f"zip name {raw!a} marked as UTF-8", bytes(marked), EITHER)


def damage(cuts: int, flips: int) -> Iterator[Hostile]:
    """Archives that are cut short, or have a flipped bit; the sums of zip and gzip notice each one."""
    random = np.random.default_rng(4)
    tar = tarred(GOOD)
    packed = {
        "zip": zipped(GOOD),
        "gzip": gzip.compress(tar, mtime=0),
        "stored gzip": gzip.compress(tar, 0, mtime=0),
        "bzip2": bz2.compress(tar),
        "xz": lzma.compress(tar),
    }
    for name, content in packed.items():
        size = len(content)
        for number in range(cuts):
            yield Hostile(f"{name} cut {number}", content[: size * (2 * number + 1) // (2 * cuts)])
        for short in (1, 4, 8):
            # Comments may follow a zip; the last bytes of its directory are needed all the same.
            yield Hostile(f"{name} without its last {short} bytes", content[:-short])
        for place in random.integers(200, size * 8 // 10, flips):
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(random.integers(8))
            yield Hostile(f"{name} with a flipped bit in byte {place}", bytes(flipped), EITHER)
        if "gzip" in name:
            flipped = bytearray(content)
            flipped[-6] ^= 16
            yield Hostile(f"{name} with another sum", bytes(flipped))


def names(bench: Bench) -> Outcome:
    """Unpack archives whose names, links and devices lead elsewhere."""
    return _unpack_all(bench, [*traversal(), *links(), *odd_names()])


def sizes(bench: Bench) -> Outcome:
    """Unpack archives that unpack to too much."""
    return _unpack_all(bench, list(bombs()))


def damaged(bench: Bench) -> Outcome:
    """Unpack damaged archives: refused, or with the content that was packed."""
    return _unpack_all(bench, list(damage(bench.count(12, 3), bench.count(25, 5))))


def _unpack_all(bench: Bench, archives: list[Hostile]) -> Outcome:
    outcome = Outcome()
    inputs = bench.folder / "in"
    inputs.mkdir()
    refused = 0
    ended = call(lambda: _work(bench.folder, inputs, archives), seconds=600)
    if ended.value is None:
        outcome.expect(False, f"the reader died: exit {ended.code}, {ended.last_line}")
        return outcome
    for name, (result, problem) in ended.value.items():
        refused += result == REFUSED
        outcome.expect(problem is None, f"{name}: {problem}")
    executed = sum("elsewhere" in (problem or "") for _, problem in ended.value.values())
    outcome.evidence = f"{refused} refused, {executed} with a forbidden event; memory +{ended.growth:.0f} MiB"
    return outcome


def _work(folder: Path, inputs: Path, archives: list[Hostile]) -> dict[str, tuple[str, str | None]]:
    enter(folder)
    from hubtune.data.sources.archive import unpack
    from hubtune.errors import DataError

    home = folder / ".hubtune_home"
    watch = Watch(home)
    watch.install()
    found: dict[str, tuple[str, str | None]] = {}
    for number, hostile in enumerate([Hostile("whole", zipped(GOOD), LEFT_OUT), *archives]):
        path = inputs / f"{number}.tar"
        path.write_bytes(hostile.content)
        before = {p for p in folder.rglob("*") if not p.is_relative_to(home)}
        result, problem = REFUSED, None
        try:
            unpacked = None
            events = watch.watch(lambda path=path: found.__setitem__("", (str(unpack(path).folder), None)))
            unpacked = Path(found.pop("")[0])
            result = "unpacked"
            problem = _content_problem(unpacked, hostile)
        except DataError:
            events = watch.found
            left = [p for p in home.rglob(f"{path.stem}-*") if p.suffix != ".lock"]
            problem = f"refused, but {left[0].name} stays" if left else None
            if hostile.expected == LEFT_OUT:
                problem = problem or "refused as a whole"
        except Exception as error:  # noqa: BLE001  # anything else is what the check is after
            events = watch.found
            problem = f"{type(error).__name__}: {str(error)[:100]}"
        if events and number:
            problem = f"elsewhere: {events[0]}"
        if {p for p in folder.rglob("*") if not p.is_relative_to(home)} != before:
            problem = "elsewhere: files beside the cache"
        found[hostile.name] = result, problem
        for evil in Path("/tmp").glob("hubtune-faults-evil*"):
            shutil.rmtree(evil) if evil.is_dir() else evil.unlink()
    return found


def _content_problem(unpacked: Path, hostile: Hostile) -> str | None:
    if hostile.expected == REFUSED:
        return "is unpacked"
    if any(p.is_symlink() or not (p.is_file() or p.is_dir()) for p in unpacked.rglob("*")):
        return "a link or device is unpacked"
    if hostile.name.startswith(("zip link", "file and folder")):
        return None
    changed = [
        name
        for name, content in GOOD.items()
        if not (unpacked / name).is_file() or (unpacked / name).read_bytes() != content
    ]
    return f"{changed[0]} is unpacked with other content" if changed else None
