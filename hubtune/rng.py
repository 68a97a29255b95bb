"""Counter-based randomness: every draw is seeded by what it is for, so there is no hidden state to keep.

A result then depends neither on the number of workers nor on where a run was interrupted.
"""

import hashlib

import numpy as np


def seed_for(*parts: int | str) -> int:
    """A seed of 31 bits for what the parts name, for example ``seed_for(run_seed, "dropout", step)``."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") >> 1


def rng_for(*parts: int | str) -> np.random.Generator:
    """A NumPy generator for what the parts name."""
    text = "\0".join(map(str, parts)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big"))
