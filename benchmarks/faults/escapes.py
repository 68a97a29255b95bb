"""Names that a terminal, a spreadsheet or a browser would obey."""

import csv
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

from benchmarks.faults.children import Ended, hubtune
from benchmarks.faults.fixture import copy_fixture
from benchmarks.faults.outcome import Bench, Outcome
from benchmarks.faults.servers import raw, serving

_ESCAPE = "x\x1b]0;PWNED\x07y"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u202a-\u202e]")
_FORMULAS = ("=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(1)")
_MARKUP = ("<img src=x onerror=alert(1)>", "<script>alert(1)<", '" onload="x', "'><svg>", "{{7*7}}")


def _shows(outcome: Outcome, name: str, ended: Ended, *files: Path) -> None:
    """Count the outputs of a command: none holds a control character."""
    texts = {"output": ended.text, **{file.name: file.read_text(errors="replace") for file in files}}
    for place, text in texts.items():
        found = _CONTROL.findall(text)
        outcome.expect(not found, f"{name}: {len(found)} control characters in {place}, first {found[:1]!a}")
    outcome.expect(not ended.timed_out and ended.code in (0, 1, 2, 3, 4, 5, 8), f"{name}: exit {ended.code}")
    if "Traceback" in ended.text:
        outcome.failures.append(f"{name}: a traceback")


def commands(bench: Bench) -> Outcome:
    """Run commands on files and classes whose names would set the terminal's title."""
    outcome = Outcome()
    work = copy_fixture(bench)
    bad = work / "pics" / "a" / f"{_ESCAPE}.png"
    bad.write_bytes(b"no picture")
    shutil.copytree(work / "pics" / "c", work / "named" / _ESCAPE)
    shutil.copytree(work / "pics" / "a", work / "named" / "b")
    (work / "evil_list.txt").write_text(f"pics/a/{bad.name} 0\npics/b/0.png 1\n")
    model = ("--engine", "paddle")
    for arguments in (
        ("split", "pics", "--val", "2", "--out", "l"),
        ("split", "named", "--val", "2", "--out", "n"),
        ("scan", "pics"),
        ("scan", "named"),
        ("predict", f"pics/a/{bad.name}", "pics/b/0.png", "--model", "runs/m", *model),
        ("evaluate", "runs/m", "--on", "evil_list.txt", *model),
        ("embed", "pics/a", "--module", "digitnet", "-o", "e.npz"),
        ("finetune", f"{_ESCAPE}.yaml"),
        ("finetune", "m.yaml", "-o", f"{_ESCAPE}=1"),
        ("predict", "pics/b/0.png", "--model", f"runs/{_ESCAPE}"),
        ("hub", "verify", _ESCAPE),
        ("cache", "ls", _ESCAPE),
        ("export", f"runs/{_ESCAPE}", "--format", _ESCAPE),
        ("recipe", "explain", f"{_ESCAPE}.yaml"),
    ):
        _shows(outcome, f"{arguments[0]} {ascii(arguments[1])[:30]}", hubtune(*arguments, cwd=work))
    lists = work / "label_list.txt"
    lists.write_text(lists.read_text() + f"{_ESCAPE}\n")
    ended = hubtune("finetune", "m.yaml", "-o", "run=runs/e", cwd=work)
    logs = [path for path in (work / "runs" / "e" / "train.log",) if path.exists()]
    _shows(outcome, "finetune with such a class", ended, *logs)
    outcome.evidence = "14 commands, and one run with its log"
    return outcome


def server_reason(bench: Bench) -> Outcome:
    """Fetch weights from a server whose reason phrase would set the terminal's title."""
    outcome = Outcome()
    answer = b"HTTP/1.1 404 \x1b]0;PWNED\x07\r\nContent-Length: 0\r\n\r\n"
    with serving(raw(answer)) as base:
        proxy = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
        ended = hubtune(
            *("hub", "pull", "resnet18_vd_imagenet"),
            cwd=bench.folder,
            environment={"HUBTUNE_OFFLINE": "", "HUBTUNE_MIRROR": f"{base}/m", **proxy},
            prepare=_no_pause,
        )
    _shows(outcome, "hub pull", ended)
    return outcome


def _no_pause() -> None:
    sys.modules["hubtune.hub.weights_cache"].PAUSE_SECONDS = 0


def tables(bench: Bench) -> Outcome:
    """Write CSV files with names that a spreadsheet computes: each is quoted."""
    outcome = Outcome()
    work = copy_fixture(bench)
    names = [f"{formula}.png" for formula in _FORMULAS]
    for name in names:
        (work / name).write_bytes(b"no picture")
    with (work / "train_list.txt").open("a") as file:
        file.writelines(f"{name} 0\n" for name in names)
    ended = hubtune("finetune", "m.yaml", "-o", "run=runs/s", "-o", "data.max_bad=50%", cwd=work)
    outcome.expect_end("finetune", ended, 0)
    model = ("--model", "runs/m", "--engine", "paddle")
    words = ("predict", *model, "--csv", "p.csv", "--", *names)
    hubtune(*words, cwd=work)
    for file in (work / "runs" / "s" / "skipped.csv", work / "p.csv"):
        if not outcome.expect(file.exists(), f"{file.name} is missing"):
            continue
        with file.open(newline="") as opened:
            cells = [cell for row in csv.reader(opened) for cell in row]
        bare = [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
        outcome.expect(not bare, f"{file.name}: {len(bare)} cells are computed, first {bare[:1]}")
    return outcome


def pipeline(bench: Bench) -> Outcome:
    """Split, fine-tune, evaluate and predict images and classes with odd names."""
    outcome = Outcome()
    work = copy_fixture(bench)
    odd = work / "odd"
    classes = ("虞书欣", "🙂 with spaces", "=cmd()")
    for name, source in zip(classes, "abc", strict=True):
        shutil.copytree(work / "pics" / source, odd / name)
        files = sorted((odd / name).glob("*.png"))
        for file, new in zip(
            files,
            ("<script>.png", '"; rm -rf x.png', b"\xff\xfe.png", "n" * 251 + ".png", "a b  c.png"),
            strict=False,
        ):
            target = new.decode("utf-8", "surrogateescape") if isinstance(new, bytes) else new
            file.rename(file.with_name(target))
    ended = hubtune("split", "odd", "--val", "2", "--test", "2", "--out", "o", cwd=work)
    outcome.expect_end("split", ended, 0)
    recipe = (work / "m.yaml").read_text().replace("base: .", "base: o").replace("runs/m", "runs/o")
    (work / "o.yaml").write_text(recipe)
    outcome.expect_end("finetune", hubtune("finetune", "o.yaml", cwd=work), 0)
    outcome.expect_end("evaluate", hubtune("evaluate", "runs/o", "--engine", "paddle", cwd=work), 0)
    words = ("predict", *sorted(odd.rglob("*.png")), "--model", "runs/o", "--engine", "paddle", "--json")
    outcome.expect_end("predict", hubtune(*words, cwd=work), 0)
    return outcome


class _Nodes(HTMLParser):
    """Collects what could run in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policy = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note scripts that are not the page's own, handlers, and sources elsewhere."""
        values = dict(attrs)
        self.policy |= tag == "meta" and values.get("http-equiv", "").lower() == "content-security-policy"
        self.found += [f"{tag} {name}" for name in values if name.startswith("on")]
        if tag in ("script", "svg", "iframe", "object", "embed"):
            self.found.append(tag)
        source = values.get("src") or values.get("href") or ""
        own = ("data:image/", "#", *(["file:///"] if tag == "a" else []))
        if source and not source.startswith(own):
            self.found.append(f"{tag} with the source {source[:40]}")


def pages(bench: Bench) -> Outcome:
    """Write the page of a scan over names that are markup: nothing in it becomes part of the page."""
    outcome = Outcome()
    work = copy_fixture(bench)
    for number, name in enumerate(_MARKUP):
        source = work / "pics" / "a" / f"{number}.png"
        safe = name.replace("/", "")
        shutil.copy(source, work / "pics" / "b" / f"{safe}.png")
        (work / "pics" / "c" / f"{safe}bad.png").write_bytes(b"no picture")
    shutil.copytree(work / "pics" / "a", work / "pics" / _MARKUP[0])
    ended = hubtune("scan", "pics", "--page", "page.html", cwd=work)
    if "No such option" in ended.text:
        ended = hubtune("scan", "pics", "--html", "page.html", cwd=work)
    page = work / "page.html"
    if not outcome.expect(page.exists(), f"no page: exit {ended.code}, {ended.last_line}"):
        return outcome
    nodes = _Nodes()
    nodes.feed(page.read_text())
    outcome.expect(not nodes.found, f"injected: {nodes.found[:3]}")
    outcome.expect(nodes.policy, "the page has no content security policy")
    outcome.expect(page.read_text().count("onerror") > 0, "the hostile names are not on the page")
    outcome.tried += len(_MARKUP)
    outcome.open.append("a browser test, and the report of a run (report.html)")
    return outcome
