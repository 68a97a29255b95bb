"""The sum of vectors has the same bits for any number of ranks that divides the number of vectors."""

import json
import subprocess
import sys

import numpy as np
import paddle
import pytest

from hubtune.train.distributed.process_group import ProcessGroup, free_port, tree_sum

PROGRAM = """
import json, sys
import numpy as np, paddle
from hubtune.ranks import Rank
from hubtune.train.distributed.process_group import start_process_group
rank, size, shards, port = map(int, sys.argv[1:])
group = start_process_group(Rank(rank, size), f"127.0.0.1:{port}", "127.0.0.1")
vectors = np.load("vectors.npy")
each = shards // size
own = [lambda v=v: paddle.to_tensor(v) for v in vectors[rank * each:(rank + 1) * each]]
total = group.sum_shards(own, shards).add_up()
print(json.dumps(total.numpy().view("uint32").tolist()))
"""


def _vectors(count, length=7):
    return (np.random.default_rng(0).standard_normal((count, length)) * 10.0 ** np.arange(length)).astype(
        "f4"
    )


def _alone(vectors):
    own = [lambda vector=vector: paddle.to_tensor(vector) for vector in vectors]
    return ProcessGroup().sum_shards(own, len(vectors)).add_up().numpy()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "shards"), [(2, 8), (3, 6)])
def test_ranks_get_the_bits_of_a_single_process(size, shards, tmp_path):
    vectors = _vectors(shards)
    np.save(tmp_path / "vectors.npy", vectors)
    port = free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, str(rank), str(size), str(shards), str(port)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
        )
        for rank in range(size)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    expected = _alone(vectors).view("uint32").tolist()
    assert [json.loads(output.splitlines()[-1]) for output in outputs] == [expected] * size


def test_the_order_of_a_sum_is_that_of_a_tree():
    a, b, c, d = (paddle.to_tensor([value], dtype="float32") for value in (1e8, 1.0, -1e8, 1.0))
    values = [lambda tensor=tensor: tensor for tensor in (a, b, c, d)]
    assert tree_sum(values).numpy() == ((a + b) + (c + d)).numpy()
    assert tree_sum(values).numpy() != (((a + b) + c) + d).numpy()


def test_vectors_are_computed_in_order_and_few_are_kept():
    alive, most, order = set(), 0, []

    def compute(number):
        nonlocal most
        order.append(number)
        alive.add(number)
        most = max(most, len(alive))
        return _Counted(number, alive)

    tree_sum([lambda number=number: compute(number) for number in range(16)])
    assert order == list(range(16))
    assert most <= 6


class _Counted:
    """Stands for a vector, and counts those that are in memory."""

    def __init__(self, number, alive):
        self.number, self.alive = number, alive

    def __add__(self, other):
        self.alive.discard(other.number)
        return self
