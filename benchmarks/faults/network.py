"""Downloads that fail, a network that is not there, and secrets."""

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.faults.children import call, enter, hook_at_start, hubtune, program
from benchmarks.faults.fixture import copy_fixture
from benchmarks.faults.outcome import Bench, Outcome
from benchmarks.faults.servers import NAME, plans_of, serving, whole

_CANARY = "CANARY7f3a9c"
# Imported by each Python at its start: notes every connection and every question for an address.
_NOTING = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        text = repr(arguments[1:3] if event == "socket.connect" else arguments[:2])
        if "AF_UNIX" not in text and not text.startswith("('/"):
            with open({note!r}, "a") as file:
                file.write(event + " " + text + "\\n")
sys.addaudithook(hook)
"""


def servers(bench: Bench) -> Outcome:
    """Fetch weights from servers that fail: the cache has the whole file, or none and an error."""
    outcome = Outcome()
    content = np.random.default_rng(6).bytes(1_024_000)
    other = np.random.default_rng(7).bytes(1_024_000)
    expected = hashlib.sha256(content).hexdigest()
    page, wrong_part, ignoring = plans_of(["page", "wrong_part", "ignoring_ranges"])
    plans = {
        "whole": ([whole(content)], True),
        "cut, then the rest": ([whole(content, end=300_000), whole(content)], True),
        "cut each time": ([whole(content, end=n) for n in (100, 5000, 9000, 9001)], False),
        "another file": ([whole(other)], False),
        "another file, then this one": ([whole(other), whole(content)], True),
        "one bit differs": ([whole(bytes([content[0] ^ 1]) + content[1:])], False),
        "a page": ([page], False),
        "cut, then the end of another file": (
            [whole(content, end=300_000), wrong_part, whole(content)],
            True,
        ),
        "empty": ([whole(b"")], False),
        "ranges ignored by another file": ([whole(content, end=300_000), ignoring], False),
    }
    for number, (name, (steps, arrives)) in enumerate(plans.items()):
        folder = bench.folder / str(number)
        folder.mkdir()
        with serving(*steps) as base:
            ended = call(lambda folder=folder, base=base: _fetch(folder, base, expected), seconds=120)
        result, files = ended.value or (ended.last_line, [])
        outcome.expect(all(file == content for file in files), f"{name}: a damaged file is in the cache")
        good = result == "fetched" if arrives else result in ("MachineError 5", "ModelError 4")
        outcome.expect(good, f"{name}: {result}")
        outcome.tried -= 1
    return outcome


def _fetch(folder: Path, base: str, expected: str) -> tuple[str, list[bytes]]:
    enter(folder, {"HUBTUNE_OFFLINE": ""})
    from hubtune.errors import HubtuneError
    from hubtune.hub import weights_cache

    weights_cache.PAUSE_SECONDS = 0
    try:
        weights_cache.fetch_file(base + NAME, weights_cache.ExpectedFile(sha256=expected))
        result = "fetched"
    except HubtuneError as error:
        result = f"{type(error).__name__} {error.exit_code}"
    cache = folder / ".hubtune_home" / "weights"
    return result, [path.read_bytes() for path in cache.glob("*.pdparams")]


def offline(bench: Bench) -> Outcome:
    """Work offline: no Python of a command connects to anything or asks for an address."""
    outcome = Outcome()
    work = copy_fixture(bench)
    note = work / "network.txt"
    path = hook_at_start(work, _NOTING.format(note=str(note)))
    for words in (
        ("predict", "pics/a/0.png", "--model", "runs/m"),
        ("finetune", "m.yaml", "-o", "run=runs/n", "-o", "train.engine=auto"),
        ("scan", "pics"),
    )[: bench.count(3, 1)]:
        with (work / "log").open("wb") as log:
            code = program(*words, cwd=work, more={"PYTHONPATH": path}, stdout=log, stderr=log).wait(300)
        calls = note.read_text().splitlines() if note.exists() else []
        outcome.expect(code == 0, f"{words[0]}: exit {code}")
        outcome.expect(not calls, f"{words[0]}: {len(calls)} network calls, first {calls[:1]}")
        note.unlink(missing_ok=True)
    made = [str(file.relative_to(work / ".home")) for file in (work / ".home").rglob("*") if file.is_file()]
    made = [name for name in made if not name.startswith((".cache/", ".config/matplotlib"))]
    outcome.expect(not made, f"files in the user's home: {made[:3]}")
    return outcome


def blocked(bench: Bench) -> Outcome:
    """Ask for weights without a network: exit 5, with the ways out."""
    outcome = Outcome()
    proxy = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")

    def no_pause() -> None:
        from hubtune.hub import weights_cache

        weights_cache.PAUSE_SECONDS = 0

    for name, more, words in (
        ("offline", {}, ("HUBTUNE_OFFLINE",)),
        ("a proxy that is not there", {"HUBTUNE_OFFLINE": "", **proxy}, ("HUBTUNE_MIRROR",)),
        (
            "a mirror that is not there",
            {"HUBTUNE_OFFLINE": "", "HUBTUNE_MIRROR": "http://127.0.0.1:9/m", **proxy},
            ("HUBTUNE_MIRROR",),
        ),
    ):
        ended = hubtune(
            "hub", "pull", "resnet18_vd_imagenet", cwd=bench.folder, environment=more, prepare=no_pause
        )
        outcome.expect_end(name, ended, 5, *words)
    ended = hubtune("split", "https://127.0.0.1:9/pics.zip", "--out", "x", cwd=bench.folder)
    outcome.expect_end("an address offline", ended, 5)
    return outcome


def secrets(bench: Bench) -> Outcome:
    """Put keys into the environment and into addresses, and search all outputs for them."""
    outcome = Outcome()
    work = copy_fixture(bench)
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "HF_TOKEN")
    keys = {name: f"{_CANARY}{number}" for number, name in enumerate(names)}
    texts = []
    ended = hubtune("-v", "finetune", "m.yaml", "-o", "run=runs/k", cwd=work, environment=keys)
    outcome.expect_end("finetune with keys in the environment", ended, 0)
    texts.append(("finetune", ended.text))
    for address in (
        f"s3://user:{_CANARY}@bucket/x",
        f"https://user:{_CANARY}@127.0.0.1:9/p.zip",
        f"https://127.0.0.1:9/p.zip#token={_CANARY}",
        f"https://127.0.0.1:9/p.zip?code={_CANARY}",
        f"https://127.0.0.1:9/p.zip?X-Amz-Signature={_CANARY}",
    ):
        for words in (("finetune", "m.yaml", "-o", f"data.base={address}"), ("split", address, "--out", "q")):
            ended = hubtune(*words, cwd=work)
            outcome.expect(ended.code in (2, 3, 5), f"{words[0]} {address}: exit {ended.code}")
            texts.append((f"{words[0]} {address.replace(_CANARY, 'KEY')}", ended.text))
    for name, text in texts:
        outcome.expect(_CANARY not in text, f"{name}: the key is repeated")
    files = [file for file in work.rglob("*") if file.is_file() and _CANARY.encode() in file.read_bytes()]
    outcome.expect(not files, f"the key is in {[str(file.relative_to(work)) for file in files[:3]]}")
    count = sum(file.is_file() for file in work.rglob("*"))
    outcome.evidence = f"{len(texts)} outputs and {count} files searched"
    outcome.open.append("doctor --bundle")
    return outcome
