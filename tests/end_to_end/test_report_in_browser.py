"""The report in a real browser: no request, no message in the console, and no fault in its accessibility."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.pages import HOSTILE_NAMES
from support.reports import draw_images, full_report
from support.waiting import HANG_SECONDS

from hubtune.report.run_page import render_run_report

SCRIPT = Path(__file__).with_name("look_at_page.cjs")


def look_at(page):
    """Return what a browser without a network finds on a page."""
    chromium, axe = os.environ.get("HUBTUNE_CHROMIUM"), os.environ.get("HUBTUNE_AXE")
    if not chromium or not axe or not shutil.which("node"):
        pytest.skip(
            "HUBTUNE_CHROMIUM and HUBTUNE_AXE are not set, or there is no Node.js: see CONTRIBUTING.md"
        )
    done = subprocess.run(
        ["node", SCRIPT, chromium, axe, page],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("pictures", [True, False])
def test_the_page_is_quiet_accessible_and_fits_a_phone(tmp_path, language, pictures):
    images = draw_images(tmp_path / "pics", 12)
    file = tmp_path / "page.html"
    file.write_text(
        render_run_report(
            full_report(images, HOSTILE_NAMES[:3], HOSTILE_NAMES[3]), language=language, images=pictures
        ),
        "utf-8",
    )
    results = look_at(file)
    assert {found["colours"] for found in results} == {"light", "dark"}
    for found in results:
        assert found["requests"] == found["console"] == found["violations"] == [], found
        assert found["width"] <= found["window"], found
