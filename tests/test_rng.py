"""Draws depend on their purpose alone, and stay the same in every version."""

from hubtune.rng import rng_for, seed_for


def test_seeds_are_fixed_and_differ_by_purpose():
    assert seed_for(0, "dropout", 1) == 457224606
    assert len({seed_for(0, "dropout", 1), seed_for(0, "dropout", 2), seed_for(0, "dropout1", "")}) == 3
    assert 0 <= seed_for("x") < 2**31


def test_generators_repeat_their_values():
    assert rng_for(1, "a").integers(10**9) == rng_for(1, "a").integers(10**9)
    assert rng_for(1, "a").integers(10**9) != rng_for(1, "b").integers(10**9)
