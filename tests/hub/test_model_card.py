"""A description of a model is read without Paddle, in all formats up to this version's."""

import json
import subprocess
import sys

import pytest

from hubtune.errors import ModelError
from hubtune.hub.file_names import MODEL_FILE, WEIGHTS_FILE
from hubtune.hub.model_card import ModelCard, read_card
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


def test_formats_up_to_6_are_read_and_newer_ones_refused_in_a_sentence(tmp_path):
    assert read_card(_write(tmp_path / "old")).taps == []
    taps = [{"name": "stage2", "channels": 32}]
    assert read_card(_write(tmp_path / "new", schema_version=2, taps=taps)).taps == [Tap("stage2", 32)]
    newest = read_card(
        _write(tmp_path / "newest", schema_version=3, temperature=1.5, similarity_threshold=0.6)
    )
    assert (newest.temperature, newest.similarity_threshold) == (1.5, 0.6)
    int8 = read_card(_write(tmp_path / "int8", schema_version=4, engine="openvino-int8"))
    assert int8.engine == "openvino-int8"
    merged = read_card(_write(tmp_path / "merged", schema_version=5, merged=[[1], [0, 2]]))
    assert merged.outputs == [[1], [0, 2]]
    labels = _write(tmp_path / "labels", schema_version=6, multi_label=True, thresholds=[0.5, 0.2])
    assert read_card(labels).thresholds == [0.5, 0.2]
    for thresholds in ([0.5], [0.5, 0.5, 0.5], [0.5, 2.0]):
        with pytest.raises(ModelError, match="is not a model description"):
            read_card(_write(tmp_path / "wrong", schema_version=6, multi_label=True, thresholds=thresholds))
    for version in (7, 10**30):
        message = (
            rf"model.json has format {version}, and this hubtune reads formats up to 6: install a newer "
        )
        with pytest.raises(ModelError, match=message):
            read_card(_write(tmp_path / "newer", schema_version=version, unknown="key"))


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({}, 1),
        ({"taps": [Tap("stage2", 32)]}, 2),
        ({"temperature": 1.5}, 3),
        ({"similarity_threshold": 0.5}, 3),
        ({"engine": "openvino-int8"}, 4),
        ({"merged": [[2, 0], [1]]}, 5),
        ({"multi_label": True, "thresholds": [0.5, 0.25]}, 6),
    ],
    ids="oldest taps temperature similarity engine merged labels".split(),
)
def test_a_model_is_written_in_the_oldest_format_that_describes_it(changes, version):
    card = ModelCard(**{**DOCUMENT, **changes})
    document = card.as_dict()
    assert document["schema_version"] == version
    assert {*document} - {*DOCUMENT} <= {"hidden_units", "further_views", *changes}
    assert ModelCard.model_validate(json.loads(json.dumps(document))) == card.model_copy(
        update={"schema_version": version}
    )


def test_it_is_read_without_paddle(tmp_path):
    _write(tmp_path / "model")
    program = (
        "import sys; sys.modules['paddle'] = None\n"
        "from pathlib import Path; from hubtune.hub.model_card import read_card\n"
        "print(read_card(Path(sys.argv[1])).labels)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "['cat', 'dog']\n"
