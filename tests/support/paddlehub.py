"""PaddleHub 2.4 itself, in an environment of its own, and pictures to compare with it.

That is the Python that ``HUBTUNE_PADDLEHUB_PYTHON`` names, or one that is made (about 2 GB, once) in the
user's cache folder.
"""

import json
import os
import subprocess

import numpy as np
from PIL import Image

from support.environments import paddlehub_python


def paddlehub_runner(folder):
    """Return a function that runs PaddleHub's Python with all folders below ``folder``."""
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "HUB_HOME": str(folder / "hub"),
        "HUBTUNE_HOME": str(folder / "cache"),
        "HUBTUNE_OFFLINE": "1",
        "PYTHONPATH": "",
        "PYTHONIOENCODING": "utf-8",
    }

    def call(*arguments, **more):
        return subprocess.run(
            [paddlehub_python(), "-W", "ignore", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            env={**environment, **more},
            timeout=300,
            check=False,
        )

    return call


def json_answer(done):
    """Return the JSON on the last line that a program printed."""
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def draw_varied_images(folder):
    """Draw images of every kind that programs read differently, and two that cannot be read."""
    ramp = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3)
    noise = np.random.default_rng(0).normal(0, 40, ramp.shape)
    photo = Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8))
    photo.save(folder / "plain.png")
    photo.save(folder / "photo.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "turned.jpg", exif=exif)
    photo.convert("L").save(folder / "grey.png")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray((ramp[..., 0] * 257).astype(np.uint16)).save(folder / "deep.png")
    clear = photo.convert("RGBA")
    clear.putalpha(photo.convert("L"))
    clear.save(folder / "clear.png")
    (folder / "broken.png").write_bytes((folder / "plain.png").read_bytes()[:200])
    return [*sorted(map(str, folder.iterdir())), str(folder / "nowhere.jpg")]
