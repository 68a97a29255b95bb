"""What the tests here share: the recorded files, brought to a working folder, and comparing."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

import hubtune
from support.drawn_images import draw_classes, write_lists

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "recorded"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))


def bring(folder: Path) -> Path:
    """Draw the pictures of the recorded runs, and copy the runs themselves, their module and recipes."""
    draw_classes(folder / "data" / "pics")
    write_lists(folder / "data", "pics")
    for name in ("tiny", "recipes", "runs", "model"):
        shutil.copytree(FIXTURES / name, folder / name)
    # Of the module that comes with hubtune, the fixtures have the trained head alone.
    model = folder / "runs" / "frozen" / "best_model"
    [trunk] = Path(hubtune.__file__).parent.rglob("digitnet.safetensors")
    tensors = {f"backbone.{name}": tensor for name, tensor in load_file(trunk).items() if name[:3] != "fc."}
    tensors |= load_file(model / "head.safetensors")
    (model / "head.safetensors").unlink()
    save_file(tensors, model / "model.safetensors")
    return folder


def assert_close(found: Any, expected: Any, *, tolerance: float, where: str = "", skip: tuple = ()) -> None:
    """Hold JSON against what was recorded: everything equal, numbers with a fraction nearly so.

    Args:
        found: what there is now.
        expected: what was recorded; keys that are new do not matter.
        tolerance: of numbers with a fraction, absolute and relative.
        where: the place in the document, for the message.
        skip: keys that are not compared, wherever they stand.
    """
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        for key, value in expected.items():
            if key in skip:
                continue
            assert key in found, f"{where}.{key} is missing"
            assert_close(found[key], value, tolerance=tolerance, where=f"{where}.{key}", skip=skip)
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), f"{where}: {found} for {expected}"
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_close(one, other, tolerance=tolerance, where=f"{where}[{number}]", skip=skip)
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance), (
            f"{where}: {found} for {expected}"
        )
    else:
        assert found == expected, f"{where}: {found!r} for {expected!r}"
