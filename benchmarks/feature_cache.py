"""Time writing and reading the feature cache, of one checkout of hubtune or of several in turn.

    python benchmarks/feature_cache.py . ../older --rounds 3

Each round runs every case in a process of its own, for one checkout after the other. The figures are seconds
to write all rows, seconds to open the cache and read them, in the order of writing and in random order, the
size on the disk, and by how much the process grew.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CASES = {
    "600 rows of 1,280 float32": (600, (1280,), "float32"),
    "60,000 rows of 1,280 float32": (60_000, (1280,), "float32"),
    "600 activations of 100 kB": (600, (1024, 7, 7), "float16"),
}
_WORKER = "--worker"


def main() -> None:
    """Run all cases, and print the medians of their rounds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", nargs="+", type=Path, help="checkouts of hubtune")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for case in CASES:
        results: dict[Path, list[dict[str, float]]] = {tree: [] for tree in given.trees}
        for _ in range(given.rounds):
            for tree in given.trees:
                with tempfile.TemporaryDirectory(prefix="hubtune-cache-") as folder:
                    done = subprocess.run(
                        [sys.executable, __file__, _WORKER, case, folder],
                        env={**os.environ, "PYTHONPATH": str(tree.absolute())},
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                results[tree].append(json.loads(done.stdout))
        print(case)
        for tree, rounds in results.items():
            medians = {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}
            print(f"  {tree}: " + ", ".join(f"{name} {value:.3g}" for name, value in medians.items()))


def work(case: str, folder: Path) -> None:
    """Run a case, and print its figures as JSON."""
    import resource

    import numpy as np

    try:
        from hubtune.inference.feature_cache import FeatureCache
    except ImportError:  # a checkout from before the cache was a SQLite file
        from hubtune.features.cache import FeatureCache

    count, shape, kind = CASES[case]
    rows = np.random.default_rng(0).standard_normal((64, *shape)).astype(kind)
    keys = [hashlib.sha256(str(number).encode()).digest() for number in range(count)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {}

    def timed(name: str, action: "Callable[[], None]") -> None:
        start = time.perf_counter()
        action()
        figures[name] = time.perf_counter() - start

    def write() -> None:
        with FeatureCache(folder, 10**10).space({"module": "m"}) as space:
            for number, key in enumerate(keys):
                space.put(key, rows[number % 64])

    def read(order: "np.ndarray") -> None:
        with FeatureCache(folder, 10**10).space({"module": "m"}) as space:
            for number in order:
                row = space.get(keys[number])
                assert row is not None and row.tobytes() == rows[number % 64].tobytes()

    timed("write", write)
    timed("read", lambda: read(np.arange(count)))
    timed("random", lambda: read(np.random.default_rng(1).permutation(count)))
    figures["MB"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    figures["grew MB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1000
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1] == _WORKER:
        work(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
