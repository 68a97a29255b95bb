"""A description of a model is read without Paddle, in all formats up to this version's."""

import json
import subprocess
import sys

import pytest

from hubtune.errors import ModelError
from hubtune.hub.file_names import MODEL_FILE, WEIGHTS_FILE
from hubtune.inference.model_card import read_card
from hubtune.models.taps import Tap
from hubtune.storage.checked_folder import write_checked

DOCUMENT = {
    "schema_version": 1,
    "architecture": "smallnet",
    "labels": ["cat", "dog"],
    "preprocessing": {"size": 32, "resize": 32},
    "module": "smallnet",
    "module_sha256": None,
    "strategy": "frozen",
    "step": 0,
    "metrics": {},
}


def _write(folder, **changes):
    content = json.dumps({**DOCUMENT, **changes}).encode()
    write_checked(folder, {WEIGHTS_FILE: b"", MODEL_FILE: content})
    return folder


def test_formats_up_to_2_are_read_and_newer_ones_refused_in_a_sentence(tmp_path):
    assert read_card(_write(tmp_path / "old")).taps == []
    taps = [{"name": "stage2", "channels": 32}]
    assert read_card(_write(tmp_path / "new", schema_version=2, taps=taps)).taps == [Tap("stage2", 32)]
    for version in (3, 10**30):
        message = rf"model.json has format {version}, and this hubtune reads formats up to 2: update"
        with pytest.raises(ModelError, match=message):
            read_card(_write(tmp_path / "newer", schema_version=version, unknown="key"))


def test_it_is_read_without_paddle(tmp_path):
    _write(tmp_path / "model")
    program = (
        "import sys; sys.modules['paddle'] = None\n"
        "from pathlib import Path; from hubtune.inference.model_card import read_card\n"
        "print(read_card(Path(sys.argv[1])).labels)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "['cat', 'dog']\n"
