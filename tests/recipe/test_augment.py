"""The settings of augmentation: presets, ranges, and the docs about them."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from hubtune.recipe.augment import Augment, AugmentSettings
from hubtune.recipe.choices import AUGMENT_PRESETS

READ = TypeAdapter(Augment).validate_python


def test_a_preset_is_short_for_a_mapping_and_a_wrong_one_suggests_the_nearest():
    for name, mapping in AUGMENT_PRESETS.items():
        assert READ(name) == AugmentSettings(**mapping) == READ(READ(name).model_dump())
    known = "must be none, flip, crop, standard, strong, or keys under it"
    for wrong, near in (("strnog", r" \(did you mean 'strong'\?\)"), ("blur", "")):
        with pytest.raises(ValidationError, match=rf"{known}{near} \["):
            READ(wrong)


WRONG = {
    "crop": ([0.5], [0, 1], [0.5, 1.1], [1.0, 0.5], 0.5),
    "aspect": ([2.0, 1.0], [0.01, 1.0]),
    "flip": (1.1, -0.1, True),
    "randaugment": (1.5, 11),
    "mixup": (-1, 11, float("nan")),
}
LARGE = {"rotate": 181, "magnitude": 11, "brightness": 1.1, "hue": 0.6, "erase": 2, "cutmix": 11, "blur": 1}
PAIRS = [*((key, value) for key in WRONG for value in WRONG[key]), *LARGE.items()]


@pytest.mark.parametrize("wrong", [*({key: value} for key, value in PAIRS), 3, None])
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(ValidationError):
        READ(wrong)


def table(heading):
    """The cells of the table below a heading of the docs, row by row."""
    docs = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text("utf-8")
    lines = docs.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]


def test_the_docs_show_the_presets_as_they_are_and_the_keys_in_the_order_in_which_they_act():
    (_, *names), _, *rows = table("Presets")
    documented = {name: {} for name in names}
    for key, *cells in rows:
        for mapping, cell in zip(documented.values(), cells, strict=True):
            if cell:
                numbers = [*map(float, cell.split("–"))]
                mapping[key] = numbers if "–" in cell else numbers[0]
    assert documented == AUGMENT_PRESETS
    rows = table("The keys, in the order of their application")[2:]
    keys = [key.strip("`") for row in rows for key in row[0].split(", ")]
    assert keys == list(AugmentSettings.model_fields)
