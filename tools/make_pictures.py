"""Write the pictures of README and docs: a session in a terminal, and screenshots of the two pages.

    python tools/make_pictures.py PHOTOS WEIGHTS

PHOTOS is a folder per class, WEIGHTS a file for ``paddle.vision:mobilenet_v2``. The pictures in the
repository show TrashNet, 6 classes of 100 photos. In each language, the commands run as they are shown, in a
new folder with copies of both. "…" stands for lines of the output that are left out, among them all with
times, and long lines are wrapped. Nothing else is changed.

The screenshots need Chromium (``HUBTUNE_CHROMIUM``, or one on the path) and fonts with Chinese characters,
such as Noto Sans CJK. The script runs on Linux and macOS.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from hubtune.text import columns, wrapped

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("session.svg", "report.png", "page.png")
FOLDERS = {"en": ROOT / "docs", "zh": ROOT / "docs" / "zh"}

NEW_PHOTOS = ("cardboard/cardboard103.jpg", "metal/metal264.jpg", "plastic/plastic75.jpg")
"""Photos of the test list, which stand for new ones."""

PAGE_PHOTO = NEW_PHOTOS[2]
WEIGHTS_NAME = "mobilenet_v2.safetensors"


@dataclass(frozen=True)
class Step:
    """A command, and the numbers of the lines of its output to show, negative from the end; None: all."""

    command: str
    shown: tuple[int, ...] | None = None


STEPS = (
    Step("hubtune split pics/ --val 20 --test 20", (0, 1, 2, 3, -8, -7, -6, -5)),
    Step(f"hubtune finetune pics/ -o module.weights={WEIGHTS_NAME}", (0, -9, -8, -6, -5)),
    Step("hubtune predict new_photos/*.jpg --top 3"),
)

COLUMNS = 92
_RECORDED_COLUMNS = 200  # of the terminal: programs wrap nothing
_HANG_SECONDS = 60.0
_TIME = re.compile(r"\d\d:\d\d|\d (?:seconds?|minutes?|hours?)\b|\d ?(?:秒|分钟|小时)")

_TITLES = {"en": "hubtune in a terminal", "zh": "终端中的 hubtune"}
_DESCRIPTIONS = {"en": "Commands and their output, shortened: ", "zh": "命令及其输出（有删节）："}
_HTML_LANGUAGES = {"en": "en", "zh": "zh-Hans"}


# A terminal


def record(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command in a terminal of its own, and return what it writes there."""
    import fcntl
    import pty
    import struct
    import termios

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _RECORDED_COLUMNS, 0, 0))
    process = subprocess.Popen(["sh", "-c", command], cwd=folder, env=environment, stdout=end, stderr=end)
    os.close(end)
    output = b"".join(iter(lambda: _read(terminal), b"")).decode()
    os.close(terminal)
    if process.wait():
        raise SystemExit(f"{command} failed:\n{output}")
    return output


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux raises after the last writer has closed it
        return b""


@dataclass(frozen=True)
class Run:
    """Text in one style: the parameters of ``ESC [ … m``."""

    text: str
    style: str = ""


Line = tuple[Run, ...]

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def screen_lines(output: str) -> list[Line]:
    """Return the lines that a terminal shows after this output; erased progress bars are gone.

    Obeys what rich writes: styles, erased lines, and the cursor moved up.
    """
    rows: list[list[Run]] = [[]]  # a run for each character
    row, column, style = 0, 0, ""
    for parameters, control, motion, text in _TOKEN.findall(output):
        if motion == "\n":
            row += 1
            if row == len(rows):
                rows.append([])
        elif motion == "\r":
            column = 0
        elif control == "K":
            rows[row] = [] if parameters == "2" else rows[row][:column]
        elif control == "A":
            row = max(0, row - int(parameters or 1))
        elif control == "m":
            style = "" if parameters == "0" else parameters
        elif text:
            before = rows[row][:column] + [Run(" ")] * (column - len(rows[row]))
            written = [Run(character, style) for character in text]
            rows[row] = before + written + rows[row][column + len(text) :]
            column += len(text)
    lines = [_line(characters) for characters in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _line(characters: Sequence[Run]) -> Line:
    while characters and characters[-1].text.isspace():
        characters = characters[:-1]
    groups = groupby(characters, lambda character: character.style)
    return tuple(Run("".join(run.text for run in runs), style) for style, runs in groups)


def excerpt(lines: Sequence[Line], shown: Sequence[int] | None) -> list[Line]:
    """Return the lines to show, without those with times, wrapped; "…" stands for each gap."""
    numbers = range(len(lines)) if shown is None else {number % len(lines) for number in shown}
    excerpted: list[Line] = []
    for number, line in enumerate(lines):
        text = "".join(run.text for run in line)
        if number in numbers and not _TIME.search(text):
            excerpted.extend(_wrapped(line, text))
        elif not excerpted or excerpted[-1] != _GAP:
            excerpted.append(_GAP)
    return excerpted


_GAP: Line = (Run("…", "2"),)


def _wrapped(line: Line, text: str) -> list[Line]:
    if columns(text) <= COLUMNS:
        return [line]
    first, *others = wrapped(text, COLUMNS - 2)
    indent = "  " if text.startswith("• ") else ""
    return [(Run(part, line[0].style),) for part in (first, *(indent + other for other in others))]


# The picture of the terminal

COLUMN_WIDTH, _ROW = 8.4, 20  # pixels
SIDE, _TOP, _BOTTOM = 20, 56, 24
_SECONDS_A_KEY = 0.02
_STYLES = {"": "", "1": "b", "2": "f", "31": "r", "32": "g", "33": "y", "36": "a"}
_CSS = """
text { font: 14px ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", \
"Liberation Mono", "Noto Sans Mono CJK SC", "PingFang SC", "Microsoft YaHei", monospace; fill: #e6edf3; }
.b { font-weight: 700; fill: #ffffff; } .f { fill: #9da7b3; } .r { fill: #ff7b72; } .g { fill: #7ee787; }
.y { fill: #e3b341; } .a { fill: #76e3ea; }
@keyframes show { from { opacity: 0; } }
@keyframes type { from { clip-path: inset(-4px 100% -4px 0); } to { clip-path: inset(-4px 0); } }
@media (prefers-reduced-motion: no-preference) {
  g { animation: show .3s both; } g .b { animation: type 1s both; }
}
"""


def session_svg(session: Sequence[tuple[str, Sequence[Line]]], language: str) -> str:
    """Return an image of commands and the lines of their output; the lines appear one after another.

    The text is complete where nothing moves. Each part has the place and the width that its columns have in a
    terminal, whatever font there is.
    """
    rows: list[str] = []
    row, seconds = 0, 0.0
    for command, lines in session:
        typing = len(command) * _SECONDS_A_KEY
        keys = f"animation-duration:{typing:.2f}s;animation-timing-function:steps({len(command)})"
        keys += f";animation-delay:{seconds:.2f}s"
        rows.append(_group(row, _text(0, "$", "g") + _text(2, command, "b", keys), seconds))
        seconds += typing + 0.4
        for line in lines:
            row += 1
            if line:
                rows.append(_group(row, "".join(_line_parts(line)), seconds))
                seconds += 0.1
        row += 2
        seconds += 0.8
    width, height = round(2 * SIDE + COLUMNS * COLUMN_WIDTH), _TOP + (row - 2) * _ROW + _BOTTOM
    description = _DESCRIPTIONS[language] + "; ".join(command for command, _ in session)
    dots = "".join(f'<circle cx="{x}" cy="20" r="6" fill="#3d444d"/>' for x in (22, 42, 62))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" \
role="img" aria-labelledby="title description" lang="{_HTML_LANGUAGES[language]}">
<title id="title">{escape(_TITLES[language])}</title>
<desc id="description">{escape(description)}</desc>
<style>{_CSS}</style>
<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10" fill="#161b22" stroke="#3d444d"/>
{dots}
{"".join(rows)}</svg>
"""


def _group(row: int, content: str, seconds: float) -> str:
    y = _TOP + row * _ROW
    return f'<g transform="translate({SIDE} {y})" style="animation-delay:{seconds:.2f}s">{content}</g>\n'


def _line_parts(line: Line) -> Iterator[str]:
    """Yield elements for the parts of a line between gaps and between narrow and wide characters."""
    column = 0
    for run in line:
        for is_wide, characters in groupby(run.text, lambda character: columns(character) == 2):
            text = "".join(characters)
            for part in re.finditer(r"[^ ]+(?: [^ ]+)*", text):
                before = part.start() * (1 + is_wide)
                yield _text(column + before, part[0], _STYLES[run.style])
            column += columns(text)


def _text(column: int, text: str, style: str, css: str = "") -> str:
    x, width = round(column * COLUMN_WIDTH, 1), round(columns(text) * COLUMN_WIDTH, 1)
    attributes = f' class="{style}"' * bool(style) + f' style="{css}"' * bool(css)
    return f'<text x="{x:g}" textLength="{width:g}"{attributes}>{escape(text)}</text>'


# Screenshots

_VIEW = (800, 600)  # CSS pixels: in half of a page of GitHub, letters can still be read
_SCALE = 2
_MARGIN = 20  # below what is shown
_COLOURS = 256


class Browser:
    """A Chromium without a window, driven through a pipe by its DevTools protocol."""

    def __init__(self, program: str, folder: Path) -> None:
        options = ["--headless", "--remote-debugging-pipe", "--hide-scrollbars", "--disable-gpu"]
        options += ["--no-first-run", "--force-color-profile=srgb", f"--user-data-dir={folder}"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        # It reads commands from descriptor 3, and writes answers to 4.
        start = ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', program, *options]
        self._process = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._number, self._received, self._session = 0, b"", {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        width, height = _VIEW
        size = {"width": width, "height": height, "deviceScaleFactor": _SCALE, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[still])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters, **self._session}
        self._process.stdin.write(json.dumps(command).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            answer = self._answer()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _answer(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            content = os.read(self._process.stdout.fileno(), 1 << 20)
            if not content:
                raise SystemExit("Chromium has ended")
            self._received += content
        answer, _, self._received = self._received.partition(b"\0")
        return json.loads(answer)

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page; None where it fails."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, address: str) -> None:
        """Open a page."""
        self.call("Page.navigate", url=address)
        self.wait(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")

    def wait(self, expression: str) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + _HANG_SECONDS
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise SystemExit(f"waited too long for {expression}")
            time.sleep(0.1)

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in an input of the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def screenshot(self, last: str) -> bytes:
        """Return the page, down to the end of an element, as a PNG file of few colours."""
        bottom = self.value(f"document.querySelector({json.dumps(last)}).getBoundingClientRect().bottom")
        clip = {"x": 0, "y": 0, "width": _VIEW[0], "height": round(bottom) + _MARGIN, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
            few = image.convert("RGB").quantize(_COLOURS, Image.Quantize.MEDIANCUT)
        content = io.BytesIO()
        few.save(content, "PNG", optimize=True)
        return content.getvalue()

    def close(self) -> None:
        """End the browser."""
        self.call("Browser.close")
        self._process.communicate(timeout=_HANG_SECONDS)


@contextlib.contextmanager
def serving(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run ``hubtune serve`` for the newest run of a folder; yields its address."""
    command = ["sh", "-c", "exec hubtune serve --port 0"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        messages = ""
        for line in process.stderr:
            messages += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                yield found[0]
                return
        raise SystemExit(f"the server did not start:\n{messages}")
    finally:
        process.terminate()
        process.wait(_HANG_SECONDS)


# The pictures


def make_workspace(folder: Path, photos: Path, weights: Path) -> None:
    """Make the folder in which the commands run."""
    for path in sorted(photos.iterdir()):
        if path.is_dir():
            shutil.copytree(path, folder / "pics" / path.name)
    shutil.copy(weights, folder / WEIGHTS_NAME)
    (folder / "new_photos").mkdir()
    for name in NEW_PHOTOS:
        shutil.copy(photos / name, folder / "new_photos")


def make_environment(folder: Path, language: str) -> dict[str, str]:
    """Return the variables of the commands: a new cache, and ``hubtune`` of this Python on the path."""
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "hubtune"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hubtune "$@"\n', "utf-8")
    program.chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HUBTUNE_")}
    return {
        **variables,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HUBTUNE_HOME": str(folder / "cache"),
        "HUBTUNE_OFFLINE": "1",
        "HUBTUNE_LANG": language,
        "TERM": "xterm-256color",
        "COLUMNS": str(_RECORDED_COLUMNS),
    }


def make_images(language: str, photos: Path, weights: Path, chromium: str) -> Iterator[tuple[str, bytes]]:
    """Yield names and content of the pictures in a language."""
    with tempfile.TemporaryDirectory() as name:
        folder, around = Path(name, "photos"), Path(name)
        make_workspace(folder, photos, weights)
        environment = make_environment(around, language)
        session = []
        for step in STEPS:
            lines = screen_lines(record(step.command, folder, environment))
            session.append((step.command, excerpt(lines, step.shown)))
        image = session_svg(session, language)
        if name in image:
            raise SystemExit(f"the session shows a path of this machine:\n{image}")
        yield "session.svg", image.encode()
        browser = Browser(chromium, around / "browser")
        browser.open((folder / "runs" / "pics" / "report.html").as_uri())
        yield "report.png", browser.screenshot("main > section")
        with serving(folder, environment) as address:
            browser.open(f"{address}?lang={language}")
            browser.wait("document.querySelector('#classes').textContent.trim()")
            browser.choose("#choose", folder / "new_photos" / Path(PAGE_PHOTO).name)
            browser.wait("document.querySelector('#bars li') && document.querySelector('#photo').complete")
            yield "page.png", browser.screenshot("#result")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder per class")
    parser.add_argument("weights", type=Path, help="weights of paddle.vision:mobilenet_v2")
    given = parser.parse_args()
    chromium = os.environ.get("HUBTUNE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium found: set HUBTUNE_CHROMIUM")
    for language, folder in FOLDERS.items():
        for name, content in make_images(language, given.photos, given.weights.resolve(), chromium):
            (folder / name).write_bytes(content)
            print(f"{(folder / name).relative_to(ROOT)}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
