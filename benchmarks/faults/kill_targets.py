"""What is killed: saving a checkpoint, fetching weights, unpacking, the feature cache, writing a split."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.faults.children import enter, fork, wait
from benchmarks.faults.kills import Announce, Victim, run_call_kills, run_kills
from benchmarks.faults.outcome import Bench, Outcome
from benchmarks.faults.servers import NAME, serving, whole


def saving(bench: Bench) -> Outcome:
    """Kill while a checkpoint is saved: the newest complete one loads, and leftovers go at the next start."""
    folder = bench.folder / "checkpoints"
    newest = [0]

    def work(announce: Announce) -> None:
        enter(bench.folder)
        import paddle

        from hubtune.hub.module import Module
        from hubtune.models.classifier import Classifier
        from hubtune.recipe.schema import RunConfig
        from hubtune.train.checkpoint import Checkpoints, TrainState
        from hubtune.train.optimizer import Optimizer
        from hubtune.train.plan import plan_training
        from hubtune.train.rules import NamedParameter

        classifier = Classifier(Module("smallnet", weights=None).backbone, 3)
        config = RunConfig()
        named = [NamedParameter(*entry) for entry in classifier.trained_parameters()]
        optimizer = Optimizer(plan_training(config, named, 1e-3), 100)
        checkpoints = Checkpoints(folder)
        state = checkpoints.restore(classifier, optimizer, None) or TrainState()
        weights = next(iter(classifier.parameters()))
        value = float(weights.numpy().flat[0]) if state.step else 0.0
        announce(f"restored {state.step} {value}".encode())
        checkpoints.prune(2, state.best_step)
        leftovers = sum(not path.name.startswith("step-") for path in folder.glob("*"))
        announce(f"leftovers {leftovers}".encode())
        state.step += 1
        weights.set_value(paddle.full_like(weights, float(state.step)))
        announce(b"S")
        checkpoints.save(state, classifier, optimizer, None)
        announce(b"E")

    def check(announced: str) -> str | None:
        words = dict(line.split(" ", 1) for line in announced.splitlines() if " " in line)
        if "restored" not in words:
            return f"the next start failed: {announced[-200:]}"
        step, value = (float(word) for word in words["restored"].split())
        if step < newest[0] or value != step:
            return f"step {step:.0f} with weights of step {value:.0f} was restored; {newest[0]} was saved"
        if words.get("leftovers") != "0":
            return f"{words.get('leftovers')} leftovers after the next start"
        newest[0] = int(step) + ("E" in announced.splitlines())
        return None

    outcome = run_kills(Victim(work, check), bench.count(200, 24))
    outcome.evidence += f"; {newest[0]} checkpoints saved in a row"
    return outcome


def pull(bench: Bench) -> Outcome:
    """Kill while weights are fetched: the file is whole in the cache or absent, and the next start has it."""
    content = np.random.default_rng(2).bytes(1_500_000)
    expected = hashlib.sha256(content).hexdigest()
    weights = bench.folder / ".hubtune_home" / "weights"

    with serving(whole(content, pause=0.002)) as base:

        def work(announce: Announce) -> None:
            enter(bench.folder, {"HUBTUNE_OFFLINE": ""})
            from hubtune.hub.weights_cache import ExpectedFile, fetch_file

            announce(b"S")
            fetch_file(base + NAME, ExpectedFile(sha256=expected))
            announce(b"E")

        def check(announced: str) -> str | None:
            files = list(weights.glob("*.pdparams"))
            if any(file.read_bytes() != content for file in files):
                return "a damaged file is in the cache"
            return None if files or "E" not in announced.splitlines() else "nothing is in the cache"

        def before() -> None:
            for file in weights.glob("*.pdparams"):
                file.unlink()

        outcome = run_kills(Victim(work, check, before), bench.count(50, 8))
        before()
        wait(fork(lambda: work(lambda _: None)), 60)
    left = [path.name for path in weights.glob("*.part*")]
    outcome.expect(not left, f"the next start leaves {left}")
    outcome.expect(not check("E"), "the next start does not fetch the file")
    return outcome


def unpacking(bench: Bench) -> Outcome:
    """Kill while an archive is unpacked: its folder is whole or absent, and the next start finishes it."""
    archive = bench.folder / "pics.zip"
    random = np.random.default_rng(1)
    contents = {f"{'ab'[n % 2]}/{n}.jpg": random.bytes(20_000) for n in range(120)}
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    cache = bench.folder / ".hubtune_home" / "data" / "unpacked"

    def work(announce: Announce) -> None:
        enter(bench.folder)
        from hubtune.data.sources.archive import unpack

        announce(b"S")
        unpack(archive)
        announce(b"E")

    def problem(folder: Path) -> str | None:
        found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        return None if found == contents else f"{len(found)} of {len(contents)} files are as they were packed"

    def check(announced: str) -> str | None:
        visible = [path for path in cache.glob("*") if path.suffix not in (".lock", ".part")]
        for folder in visible:
            if (reason := problem(folder / "files")) is not None:
                return reason
        if "E" in announced.splitlines() and not visible:
            return "nothing is in the cache"
        return None

    # What a killed child has left stays for the next one; what is whole is removed, so that it unpacks again.
    def before() -> None:
        for path in cache.glob("*"):
            if path.is_dir() and path.suffix != ".part":
                shutil.rmtree(path)

    outcome = run_kills(Victim(work, check, before), bench.count(50, 8))
    before()
    wait(fork(lambda: work(lambda _: None)), 60)
    left = [path.name for path in cache.glob("*.part")]
    outcome.expect(not left, f"the next start leaves {left}")
    return outcome


def feature_cache(bench: Bench) -> Outcome:
    """Kill while features are written: every row that is found is as it was written."""
    folder = bench.folder / "features"
    rows = {hashlib.sha256(bytes([n])).digest(): np.full(2048, n, "f4") for n in range(100)}

    def work(announce: Announce) -> None:
        enter(bench.folder)
        from hubtune.inference.feature_cache import FeatureCache

        cache = FeatureCache(folder, 10**9)
        damaged = sum(count for _, count, _ in cache.verify())
        with cache.space({"module": "m"}) as space:
            found = {key: space.get(key) for key in rows}
        wrong = sum(v is not None and not np.array_equal(v, rows[key]) for key, v in found.items())
        have = sum(v is not None for v in found.values())
        announce(f"state {damaged} {wrong} {have} {cache.database.error or ''}".encode())
        for number in range(4):
            if number == 0:
                announce(b"S")
            with cache.space({"module": "m"}) as space:
                for key in list(rows)[number::4]:
                    space.put(key, rows[key])
        cache.database.close()
        announce(b"E")

    def check(announced: str) -> str | None:
        line = next((line for line in announced.splitlines() if line.startswith("state ")), None)
        if line is None:
            return f"the next start failed: {announced[-200:]}"
        damaged, wrong = line.split()[1:3]
        if (damaged, wrong) != ("0", "0"):
            return f"{damaged} damaged and {wrong} wrong rows"
        return None

    return run_kills(Victim(work, check), bench.count(50, 8))


def split(bench: Bench) -> Outcome:
    """Kill while lists are written: each list is whole, old or new, and the next start finishes them."""
    folder = bench.folder / "lists"
    expected: dict[str, set[bytes]] = {}

    def write(seed: int) -> None:
        from hubtune.data.listing import ImageEntry
        from hubtune.data.splits.files import Split

        lists = {"train": range(300), "validate": range(300, 350), "test": range(350, 400)}
        made = Split(["a", "b"], ["a", "b"], options={"seed": seed})
        for name, numbers in lists.items():
            made.lists[name] = [ImageEntry(bench.folder / f"{seed}/{n:06}.jpg", n % 2) for n in numbers]
        made.write(folder, force=True)

    def work(announce: Announce) -> None:
        enter(bench.folder)
        for seed in range(6):
            if seed == 0:
                announce(b"S")
            write(seed % 2)
        announce(b"E")

    for seed in (0, 1):
        wait(fork(lambda seed=seed: write(seed)), 60)
        for path in folder.glob("*"):
            expected.setdefault(path.name, set()).add(path.read_bytes())

    def check(_: str) -> str | None:
        for name, contents in expected.items():
            if not (folder / name).exists():
                return f"{name} is gone"
            if (folder / name).read_bytes() not in contents:
                return f"{name} is neither the old nor the new list"
        json.loads((folder / "split.json").read_bytes())
        return None

    outcome = run_kills(Victim(work, check), bench.count(50, 8))
    calls = run_call_kills(Victim(work, check), bench.count(60, 30))
    outcome.tried += calls.tried
    outcome.failures += calls.failures
    outcome.evidence += f", {calls.evidence}"
    left = [path for path in folder.iterdir() if path.name not in expected]
    outcome.evidence += f"; {len(left)} temporary files stay beside the lists"
    return outcome
