"""The examples of docs/exporting.md: they run an export in C++ and in a browser, with the same answers."""

import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path

import openvino
import pytest
from PIL import Image
from support.exports import import_script, trained_run
from support.waiting import HANG_SECONDS

import hubtune

EXAMPLES = Path(__file__).parents[2] / "docs/examples"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"))


def _images(run):
    return sorted(path for path in (run.path.parent / "pics").rglob("*") if path.is_file())[:6]


def test_the_program_in_cpp_gives_the_same_answers(run, tmp_path):
    compiler = shutil.which("g++")
    libraries = Path(openvino.__file__).parent / "libs"
    headers = libraries.parent / "include"
    if compiler is None or not headers.is_dir():
        pytest.skip("there is no g++, or this package of OpenVINO has no headers")
    model = hubtune.load_model(run.path)
    folder = hubtune.export_model(model, tmp_path / "made", "openvino").folder
    (tmp_path / "libopenvino.so").symlink_to(next(libraries.glob("libopenvino.so.*")))
    paths = [f"-I{headers}", f"-L{tmp_path}", f"-Wl,-rpath,{libraries}", f"-Wl,-rpath-link,{libraries}"]
    program = tmp_path / "classify"
    command = [compiler, "-std=c++17", EXAMPLES / "openvino.cpp", *paths, "-lopenvino", "-o", program]
    subprocess.run(command, check=True, timeout=HANG_SECONDS)
    arrange = import_script(folder, "arrange")["arrange"]
    for row in model.predict(_images(run)):
        Image.fromarray(arrange(row.path)).save(tmp_path / "image.ppm")
        done = subprocess.run(
            [program, folder, tmp_path / "image.ppm"], capture_output=True, text=True, check=True
        )
        label, score = done.stdout.strip().split("\t")
        assert (label, float(score)) == (row.label, pytest.approx(row.score, abs=1e-5))
    failed = subprocess.run([program, folder, __file__], capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stderr) == (3, "not a binary PPM with 8 bits\n")


def test_the_lines_of_python_give_the_same_answers(run, tmp_path, monkeypatch):
    model = hubtune.load_model(run.path)
    folder = hubtune.export_model(model, tmp_path / "made", "onnx").folder
    page = (EXAMPLES.parent / "exporting.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"### Python\n\n```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(folder)
    for row in model.predict(_images(run)):
        Image.open(row.path).save("photo.jpg", quality=100, subsampling=0)
        names = {}
        exec(lines, names)  # noqa: S102  # what the docs tell people to run
        expected = [row.scores[label] for label in model.labels]
        assert names["scores"] == pytest.approx(expected, abs=0.05)  # saved again as JPEG


DRIVER = """
const {chromium} = require("playwright-core");
const fs = require("fs");
(async () => {
  const executablePath = process.env.HUBTUNE_CHROMIUM;
  const browser = await chromium.launch({executablePath, args: ["--no-sandbox"]});
  const page = await browser.newPage();
  const problems = [];
  page.on("console", message => problems.push(message.text()));
  page.on("pageerror", error => problems.push(error.message));
  await page.goto(process.argv[2]);
  const rows = [];
  for (const file of process.argv.slice(3)) {
    const data = fs.readFileSync(file).toString("base64");
    rows.push(await page.evaluate(
      data => classify(new Blob([Uint8Array.from(atob(data), each => each.charCodeAt(0))])), data));
  }
  await page.setInputFiles("input", process.argv[3]);
  await page.waitForFunction(() => document.querySelector("output").textContent);
  rows.push(await page.textContent("output"));
  await browser.close();
  console.log(JSON.stringify({rows, problems}));
})();
"""


def _onnxruntime_web():
    """Return the folder of the npm package's files; skip if it is not installed."""
    folders = os.environ.get("NODE_PATH", "").split(os.pathsep)
    found = [Path(folder, "onnxruntime-web/dist") for folder in folders if folder]
    existing = [folder for folder in found if folder.is_dir()]
    if not existing or not os.environ.get("HUBTUNE_CHROMIUM"):
        pytest.skip("HUBTUNE_CHROMIUM is not set, or onnxruntime-web is in no folder of NODE_PATH")
    return existing[0]


def test_the_page_gives_the_same_answers_in_a_browser(run, tmp_path):
    package = _onnxruntime_web()
    model = hubtune.load_model(run.path)
    folder = hubtune.export_model(model, tmp_path / "made", "onnx").folder
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(EXAMPLES / "browser.html", site / "index.html")
    for file in (folder / "model_with_resize.onnx", folder / "labels.txt"):
        shutil.copy(file, site)
    for name in ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copy(package / name, site)
    (tmp_path / "driver.cjs").write_text(DRIVER)
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/index.html"
        done = subprocess.run(
            ["node", tmp_path / "driver.cjs", address, *_images(run)],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert [
        problem for problem in answer["problems"] if "favicon" not in problem and "404" not in problem
    ] == []
    *rows, shown = answer["rows"]
    for row, expected in zip(rows, model.predict(_images(run)), strict=True):
        assert row["label"] == expected.label
        assert row["score"] == pytest.approx(expected.score, abs=0.02)
    assert shown.startswith(f"{rows[0]['label']}: ")
