"""Time and memory of a scan by the number of files, compared with `find` and with reading the bytes.

    python benchmarks/scan.py PICTURES [--counts 1000 10000 100000]

PICTURES has a folder of photos for each class; its files are repeated by hard links. Each figure is measured
in its own process: wall time, CPU time and peak memory. The first scan has an empty cache, the second a full
one.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SCAN = """
import sys
from pathlib import Path
from hubtune.data.scan.scanner import inspect_listing
from hubtune.data.sources.folder import walk_classes
scan = inspect_listing(walk_classes(Path(sys.argv[1])))
assert not scan.left_out
"""
_SETTLING_SECONDS = 3  # files that were changed a moment ago are not kept in the cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--work", type=Path, help="a folder on the same disk as PICTURES; default: its parent"
    )
    given = parser.parse_args()
    print("| files | what | seconds | CPU seconds | MiB | ms a file |\n|-|-|-|-|-|-|")
    for count in given.counts:
        with tempfile.TemporaryDirectory(dir=given.work or given.pictures.resolve().parent) as folder:
            place = Path(folder)
            _link(given.pictures, place / "pics", count)
            time.sleep(_SETTLING_SECONDS)
            os.environ["HUBTUNE_HOME"] = str(place / "home")
            reading = f"find {place / 'pics'} -type f -print0 | xargs -0 cat > /dev/null"
            _measure(count, "`find`, and reading the bytes", ["sh", "-c", reading])
            for what in ("first scan", "second scan"):
                _measure(count, what, [sys.executable, "-c", _SCAN, str(place / "pics")])
            size = (place / "home" / "scan.sqlite").stat().st_size
            print(f"| {count:,} | the cache's file | | | {size / 2**20:.0f} | |", flush=True)


def _link(images: Path, root: Path, count: int) -> None:
    sources = sorted(path for path in images.glob("*/*") if path.is_file())
    for folder in {path.parent.name for path in sources}:
        (root / folder).mkdir(parents=True)
    for number in range(count):
        source = sources[number % len(sources)]
        os.link(source, root / source.parent.name / f"{number:07}{source.suffix}")


def _measure(count: int, what: str, command: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0, what
    # wait4 tells of the process itself; what a shell's own children took is in the total.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = sum(getattr(after, part) - getattr(before, part) for part in ("ru_utime", "ru_stime"))
    memory = used.ru_maxrss / 1024
    print(
        f"| {count:,} | {what} | {seconds:.1f} | {busy:.1f} | {memory:.0f} | {1000 * seconds / count:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    if shutil.which("find") is None:
        sys.exit("there is no find on this machine")
    main()
