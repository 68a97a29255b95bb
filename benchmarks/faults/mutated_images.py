"""Image files with damaged bytes, and headers that claim too much."""

import io
import resource
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.faults.children import call, limit_memory
from benchmarks.faults.outcome import Bench, Outcome

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_MOST_SECONDS = 10.0
_MOST_MEBIBYTES = 400.0  # the largest image that is read takes 270
_BOMB_SECONDS, _BOMB_MEBIBYTES = 2.0, 20.0


def mutated_files(per_format: int) -> Iterator[tuple[str, bytes]]:
    """Yield files with changed, missing or repeated bytes, by fixed seeds."""
    random = np.random.default_rng(5)
    for kind in _FORMATS:
        base = random.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        packed = io.BytesIO()
        Image.fromarray(base).save(packed, kind)
        content = packed.getvalue()
        for number in range(per_format):
            changed = bytearray(content)
            how = number % 4
            places = random.integers(0, len(changed) if how else min(64, len(changed)), 1 + number % 7)
            for place in places:
                changed[place] = int(random.integers(256))
            if how == 2:
                del changed[int(random.integers(len(changed))) :]
            if how == 3:
                at = int(random.integers(len(changed)))
                changed[at:at] = changed[: int(random.integers(200))]
            yield f"{kind} {number}", bytes(changed)


def mutations(bench: Bench) -> Outcome:
    """Read damaged images: an image or a refusal, no crash, no hang, bounded memory."""
    return _read_all(bench, dict(mutated_files(bench.count(150, 25))), _MOST_SECONDS, _MOST_MEBIBYTES)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(20_000), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _bombs() -> dict[str, bytes]:
    bomb = zlib.compress(bytes(100_000_000), 9)
    jpeg = io.BytesIO()
    Image.new("L", (8, 8)).save(jpeg, "JPEG")
    huge = bytearray(jpeg.getvalue())
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"
    files = {f"{side} × {side} PNG": _png(side, side, depth=1) for side in (9_500, 13_000, 50_000, 2**31 - 1)}
    files["PNG text"] = _png(1, 1, (b"zTXt", b"Comment\0\0" + bomb))
    files["PNG international text"] = _png(1, 1, (b"iTXt", b"Comment\0\1\0\0\0" + bomb))
    files["PNG profile"] = _png(1, 1, (b"iCCP", b"profile\0\0" + bomb))
    files["JPEG header"] = bytes(huge)
    files["BMP header"] = (
        b"BM"
        + struct.pack("<IHHI", 100, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0)
    )
    files["GIF screen"] = (
        b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
        + (b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00;")
    )
    return files


def bombs(bench: Bench) -> Outcome:
    """Read images whose headers claim too much: refused without work and memory."""
    files = _bombs()
    return _read_all(bench, files, _BOMB_SECONDS, _BOMB_MEBIBYTES, refused=True)


def _read_all(
    bench: Bench, files: dict[str, bytes], seconds: float, mebibytes: float, *, refused: bool = False
) -> Outcome:
    outcome = Outcome()
    kinds = {"one": files} if not refused else {name: {name: content} for name, content in files.items()}
    slowest = grown = 0.0
    images = 0
    for part in kinds.values():
        note = bench.folder / "note"
        ended = call(lambda part=part, note=note: _work(bench.folder, note, part), seconds=600)
        if ended.value is None:
            last = note.read_text() if note.exists() else "?"
            how = "hangs" if ended.timed_out else f"ends the process: exit {ended.code}, {ended.last_line}"
            outcome.expect(False, f"{last}: {how}")
            continue
        found, memory = ended.value
        for name, (problem, took, read) in found.items():
            images += read == 3
            slowest = max(slowest, took)
            if took > seconds:
                problem = f"takes {took:.1f} s"
            if refused and read:
                problem = "is read"
            outcome.expect(problem is None, f"{name}: {problem}")
        grown = max(grown, memory)
        if memory > mebibytes:
            outcome.failures.append(f"{next(iter(part))}: memory grew by {memory:.0f} MiB")
    outcome.evidence = (
        f"{images} read, {outcome.tried - images} refused; slowest {slowest:.2f} s, memory +{grown:.0f} MiB"
    )
    return outcome


def _work(
    folder: Path, note: Path, files: dict[str, bytes]
) -> tuple[dict[str, tuple[str | None, float, int]], float]:
    from hubtune.data.images.decode import ImageError, decode
    from hubtune.data.images.verify import check_ends, check_pixels

    limit_memory(3000)  # what the machine can bear, if a guard is missing
    path = folder / "picture"
    path.write_bytes(_png(1, 1))
    for check in (check_ends, check_pixels, decode):
        check(path)
    found = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, content in files.items():
        note.write_text(name)
        path.write_bytes(content)
        problem, read = None, 0
        start = time.perf_counter()
        for check in (check_ends, check_pixels, decode):
            try:
                check(path)
                read += 1
            except ImageError:
                pass
            except Exception as error:  # noqa: BLE001  # anything else is what the check is after
                problem = f"{check.__name__}: {type(error).__name__}: {str(error)[:100]}"
        found[name] = problem, time.perf_counter() - start, read
    return found, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
