"""The page of a server in a real browser: photos in every way, by keyboard, in two languages."""

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from support.serving import TOKEN, serving, train_small
from support.waiting import HANG_SECONDS

SCRIPT = Path(__file__).with_name("use_served_page.cjs")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.slow
def test_the_page_works_by_hand_by_keyboard_and_for_screen_readers(tmp_path):
    chromium, axe = os.environ.get("HUBTUNE_CHROMIUM"), os.environ.get("HUBTUNE_AXE")
    if not chromium or not axe or not shutil.which("node"):
        pytest.skip(
            "HUBTUNE_CHROMIUM and HUBTUNE_AXE are not set, or there is no Node.js: see CONTRIBUTING.md"
        )
    run = train_small(tmp_path, labels=("a", HOSTILE))
    known = next((tmp_path / "data" / "run" / "pics" / "a").glob("*.png"))
    Image.new("RGB", (60, 60), "white").save(tmp_path / "stranger.png")
    with serving({"small": run}, token=TOKEN) as server:
        address = f"http://127.0.0.1:{server.port}/"
        command = ["node", SCRIPT, chromium, axe, address, TOKEN, known, tmp_path / "stranger.png"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    for found in [*document["walks"], document["used"]]:
        assert found["console"] == found["violations"] == found["foreign"] == [], found
        assert all(found["width"]), found
    assert [found["language"] for found in document["walks"]] == ["en", "zh-Hans"] * 2
    used = document["used"]
    assert used["address"] == address and used["camera"] == "environment"
    assert used["chosen"] == used["pasted"] == "a" and used["dropped"] == "None of these"
    assert used["bars"] == 2 and used["status"].endswith(": a, 100%") and used["heat"] == "data:image/webp;"
    assert used["injected"] == 0 and used["cleared"] is True
    rows = [*csv.reader(io.StringIO(used["csv"].removeprefix("\ufeff")))]
    assert rows[0] == ["file", "label", "score", "known", "similarity", "nearest", "error"]
    assert rows[1][0] == '\'=cmd("x"),<img src=x onerror=alert(1)>.png'
    assert [row[1] for row in rows[1:]] == ["a", "", "a"]
