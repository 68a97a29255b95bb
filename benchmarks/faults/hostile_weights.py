"""Weights files that would run code or fill the memory if they were unpickled."""

import io
import os
import pickle
import resource
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.faults.audit import Watch
from benchmarks.faults.children import call, limit_memory
from benchmarks.faults.outcome import Bench, Outcome
from benchmarks.faults.servers import download_server  # noqa: F401  # puts tests/ on the path

from support.hostile_pickles import Calls, hostile_files  # isort: skip

_MOST_SECONDS = 10.0  # ten times the contract's, on a busy machine
_MOST_MEBIBYTES = 100.0


def _payloads(canary: Path) -> dict[str, Calls]:
    """Objects that write the canary when they are unpickled."""
    python = f"open({str(canary)!r}, 'w').write('x')"
    return {
        "os.system": Calls(os.system, f"echo x > {canary}"),
        "Popen": Calls(subprocess.Popen, ["touch", str(canary)]),
        "check_output": Calls(subprocess.check_output, ["touch", str(canary)]),
        "eval": Calls(eval, python),
        "exec": Calls(exec, python),
        "open": Calls(open, str(canary), "w"),
        "getattr": Calls(getattr, os.path.join, "__globals__"),
        "mkdir": Calls(os.mkdir, str(canary)),
    }


def _containers(content: dict[str, object], protocol: int) -> Iterator[tuple[str, bytes]]:
    """The same pickled object in files of several kinds."""
    good = {"fc.weight": np.ones((2, 2), "f4")}
    yield "plain", pickle.dumps(content, protocol)
    yield "after tensors", pickle.dumps({**good, **content}, protocol)
    yield "state_dict", pickle.dumps({"state_dict": {**good, **content}}, protocol)
    yield "as a name", pickle.dumps({**good, "names": [*content.values()]}, protocol)
    yield "second pickle", pickle.dumps(good, protocol) + pickle.dumps(content, protocol)
    data = pickle.dumps(content, protocol)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("archive/data.pkl", data)
    yield "PyTorch zip", packed.getvalue()
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as file:
        member = tarfile.TarInfo("pickle")
        member.size = len(data)
        file.addfile(member, io.BytesIO(data))
    yield "PyTorch tar", tarred.getvalue()


def make_files(canary: Path, protocols: range = range(6)) -> dict[str, tuple[bytes, str]]:
    """Return files that write the canary, by name, each with words that the refusal must hold."""
    files: dict[str, tuple[bytes, str]] = {}
    for kind, payload in _payloads(canary).items():
        for protocol in protocols:
            for container, content in _containers({"x": payload}, protocol):
                files[f"{kind}, protocol {protocol}, {container}"] = content, ""
    objects = np.array([_payloads(canary)["os.system"]], dtype=object)
    for protocol in protocols:
        files[f"object array, protocol {protocol}"] = pickle.dumps({"w": objects}, protocol), ""
    saved = io.BytesIO()
    np.savez(saved, w=objects, allow_pickle=True)
    files["npz"] = saved.getvalue(), ""
    return files


def corpus(bench: Bench) -> Outcome:
    """Read the hostile files of the tests."""
    return _read(bench, hostile_files(bench.folder / "canary"))


def payloads(bench: Bench) -> Outcome:
    """Read files that write a canary when they are unpickled, in all protocols and containers."""
    return _read(bench, make_files(bench.folder / "canary", range(6) if not bench.short else range(2, 5)))


def _read(bench: Bench, files: dict[str, tuple[bytes, str]]) -> Outcome:
    """Read hostile weights under an audit hook: 0 executed, each refused, in little time and memory."""
    outcome = Outcome()
    canary = bench.folder / "canary"
    ended = call(lambda: _read_all(bench.folder, canary, files), seconds=600)
    if ended.value is None:
        outcome.expect(False, f"the reader died: exit {ended.code}, {ended.last_line}")
        return outcome
    found, events, slowest, memory = ended.value
    for name, problem in found.items():
        outcome.expect(problem is None, f"{name}: {problem}")
    executed = sum(problem is not None and "executed" in problem for problem in found.values())
    outcome.evidence = (
        f"{executed} executed, {events:,} audit events; slowest {slowest:.2f} s, memory +{memory:.0f} MiB"
    )
    outcome.expect(memory < _MOST_MEBIBYTES, f"memory grew by {memory:.0f} MiB")
    outcome.expect(events > len(files) // 2, "the audit hook has seen nothing")
    return outcome


def _read_all(
    folder: Path, canary: Path, files: dict[str, tuple[bytes, str]]
) -> tuple[dict[str, str | None], int, float, float]:
    from hubtune.errors import ModelError
    from hubtune.storage.safe_load import read_weights

    limit_memory(3000)  # what the machine can bear, if a guard is missing
    watch = Watch(folder / "nowhere")
    watch.install()
    path = folder / "w.pdparams"
    slowest, found = 0.0, {}
    path.write_bytes(pickle.dumps({"w": np.ones(2, "f4")}, 4))
    read_weights(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, (content, words) in files.items():
        path.write_bytes(content)
        start, problem = time.perf_counter(), None
        try:
            watch.watch(lambda: read_weights(path))
            problem = "is read"
        except ModelError as error:
            if words and words not in str(error):
                problem = f"the refusal does not say {words!r}: {str(error)[:120]}"
        except Exception as error:  # noqa: BLE001  # anything else is what the check is after
            problem = f"{type(error).__name__}: {str(error)[:100]}"
        took = time.perf_counter() - start
        slowest = max(slowest, took)
        if took > _MOST_SECONDS:
            problem = f"takes {took:.0f} s"
        if watch.found or canary.exists():
            problem = f"executed: {', '.join(watch.found[:3]) or 'the canary is there'}"
        if canary.is_dir():
            canary.rmdir()
        canary.unlink(missing_ok=True)
        found[name] = problem
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return found, watch.events, slowest, memory
