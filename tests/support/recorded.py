"""The recorded files, brought to a working folder, and comparing."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

import hubtune
from support.drawn_images import draw_classes, write_lists

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "recorded"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))


def bring(folder):
    draw_classes(folder / "data" / "pics")
    write_lists(folder / "data", "pics")
    for name in ("tiny", "recipes", "runs", "model"):
        shutil.copytree(FIXTURES / name, folder / name)
    for owner in ("model", *(f"runs/{name}/best_model" for name in ("interrupted", "last_stage", "rules"))):
        shutil.copy(FIXTURES / "tiny" / "module.py", folder / owner)
    # Of the module that comes with hubtune, the fixtures have the trained head alone.
    model = folder / "runs" / "frozen" / "best_model"
    [trunk] = Path(hubtune.__file__).parent.rglob("digitnet.safetensors")
    tensors = {f"backbone.{name}": tensor for name, tensor in load_file(trunk).items() if name[:3] != "fc."}
    tensors |= load_file(model / "head.safetensors")
    (model / "head.safetensors").unlink()
    save_file(tensors, model / "model.safetensors")
    return folder


def assert_close(found, expected, *, tolerance, where="", skip=()):
    """Compare JSON with what was recorded, numbers with a fraction nearly; new keys do not matter."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        for key, value in expected.items():
            if key not in skip:
                assert key in found, f"{where}.{key} is missing"
                assert_close(found[key], value, tolerance=tolerance, where=f"{where}.{key}", skip=skip)
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), f"{where}: {found} for {expected}"
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_close(one, other, tolerance=tolerance, where=f"{where}[{number}]", skip=skip)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), where
    else:
        assert found == expected, f"{where}: {found!r} for {expected!r}"
