"""Swin transformer."""

import numpy as np
import pytest
from support.backbones import (
    check_golden,
    check_golden_depends_on_the_image,
    check_record,
    check_translation,
    drop_path_rates,
    records_of,
    slow,
)

from hubtune.models import swin
from hubtune.models.catalog import find

NAME = "SwinTransformer_tiny_patch4_window7_224"


@pytest.mark.parametrize("record", records_of(swin))
def test_a_record_says_what_its_network_is(record):
    check_record(record)


@pytest.mark.parametrize("name", slow(NAME))
def test_scores_are_the_golden_ones(name):
    check_golden(name)


def test_golden_scores_depend_on_the_image():
    check_golden_depends_on_the_image(NAME)


def test_stochastic_depth_grows_to_its_maximum():
    rates = drop_path_rates(NAME)
    assert (rates[0], rates[-1], rates) == (0, 0.2, sorted(rates))


def test_masks_in_older_files_are_left_out():
    own = {"layers.0.blocks.1.attn.qkv.bias": np.ones(3, "f4")}
    check_translation(
        find(NAME).backbone, own | {"layers.0.blocks.1.attn_mask": np.zeros((64, 49, 49), "f4")}, own
    )
