"""The names of a run's objects."""

import pytest

from hubtune.runs.bucket_layout import (
    checkpoint_name,
    checkpoints_in,
    model_name,
    models_in,
    pointer_text,
    read_pointer,
)


def test_checkpoints_are_listed_newest_first_and_complete_ones_have_a_manifest():
    names = [f"{name}/model" for name in (checkpoint_name(9), checkpoint_name(10), checkpoint_name(100))]
    names += [f"{names[1][: -len('/model')]}/manifest.json", "checkpoints/step-1/model", "checkpoints/x", "a"]
    assert [(each.step, each.complete) for each in checkpoints_in(names)] == [
        (100, False),
        (10, True),
        (9, False),
    ]
    assert checkpoints_in(f"{checkpoint_name(10**8)}/x" for _ in range(3))[0].step == 10**8


def test_the_pointer_names_a_model():
    name = model_name(20)
    assert models_in([f"{name}/model.json", f"{name}/manifest.json", "best_model.json", "x/y"]) == {name}
    assert read_pointer(pointer_text(name)) == name


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"folder": 1}', b'{"folder": "../x"}', b"\xff"])
def test_a_damaged_pointer_names_nothing(content):
    assert read_pointer(content) is None
