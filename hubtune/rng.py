"""Counter-based randomness: the seed of every draw is a hash of its purpose, so there is no hidden state.

Results depend neither on the number of workers nor on where a run was interrupted.
"""

import hashlib

import numpy as np


def seed_for(*parts: int | str) -> int:
    """Return a seed of 31 bits for a purpose, for example ``seed_for(run_seed, "dropout", step)``."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") >> 1


def rng_for(*parts: int | str) -> np.random.Generator:
    """Return a NumPy generator for a purpose."""
    text = "\0".join(map(str, parts)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big"))
