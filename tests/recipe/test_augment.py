"""The settings of augmentation: presets, ranges, and words for what is wrong."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from hubtune.recipe.augment import Augment, AugmentSettings, expand_preset
from hubtune.recipe.choices import AUGMENT_PRESETS

READ = TypeAdapter(Augment).validate_python


@pytest.mark.parametrize("name", AUGMENT_PRESETS)
def test_a_preset_is_short_for_a_mapping(name):
    assert READ(name) == AugmentSettings(**AUGMENT_PRESETS[name])
    assert READ(READ(name).model_dump()) == READ(name)


def test_a_mapping_stays_as_it_is_and_only_mixup_and_cutmix_mix():
    mapping = {"crop": [0.5, 1.0], "aspect": [1.0, 1.0], "randaugment": 2}
    others = "flip rotate magnitude brightness contrast saturation hue erase mixup cutmix"
    mapping |= dict.fromkeys(others.split(), 0.4)
    assert expand_preset(mapping) is mapping
    assert READ(mapping).model_dump() == mapping
    mixing = {key for key, value in mapping.items() if AugmentSettings(**{key: value}).mixes}
    assert mixing == {"mixup", "cutmix"}


def test_an_unknown_preset_suggests_the_nearest():
    known = r"^must be none, flip, crop, standard, strong, or keys under it \(did you mean 'strong'\?\)$"
    with pytest.raises(ValueError, match=known):
        expand_preset("strnog")
    with pytest.raises(ValueError, match=r"or keys under it$"):
        expand_preset("blur")


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


DOCS = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text("utf-8")


def table(heading):
    """The cells of the table below a heading, row by row."""
    lines = DOCS.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [line for line in lines if line[:1] == "|"]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_docs_show_the_presets_as_they_are():
    (_, *names), _, *rows = table("Presets")
    assert [name.strip("`") for name in names] == list(AUGMENT_PRESETS)
    said = [{} for _ in names]
    for key, *cells in rows:
        for mapping, cell in zip(said, cells, strict=True):
            if cell:
                numbers = [*map(float, cell.split("–"))]
                mapping[key.strip("`")] = numbers if "–" in cell else numbers[0]
    assert said == list(AUGMENT_PRESETS.values())


def test_the_docs_explain_each_key_in_the_order_in_which_they_act():
    rows = table("The keys, in the order of their application")[2:]
    keys = [key.strip("`") for row in rows for key in row[0].split(", ")]
    assert keys == list(AugmentSettings.model_fields)
