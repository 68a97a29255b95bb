"""Ranks share the images batch by batch, and rank 0 gets all results in order."""

from pathlib import Path

import numpy as np
import pytest

from hubtune.data.images.decode import ImageError
from hubtune.inference.extract import BackboneOutput
from hubtune.inference.predict import ImageScores
from hubtune.ranks import Rank
from hubtune.train.distributed.message import Message
from hubtune.train.distributed.shared_images import (
    decode_outputs,
    decode_scores,
    encode_outputs,
    encode_scores,
    own_share,
    send_share,
    share_images,
)

PATHS = [Path(f"{number}.jpg") for number in range(23)]


def _score(paths):
    for path in paths:
        number = int(path.stem)
        bad = number % 5 == 4
        yield ImageScores(
            path,
            None if bad else np.array([number / 7, 1.0]),
            ImageError(path, "cut off") if bad else None,
            None if bad else np.float32([number]),
        )


class _Ranks:
    """Rank 0's connections, behind which the other ranks answer at once."""

    def __init__(self, size):
        self.size, self.sent, self.orders = size, {}, []

    def order(self, what, document, arrays):
        self.orders.append(what)
        for number in range(1, self.size):
            self.sent[number] = []
            follower = _FollowerTo(Rank(number, self.size), self.sent[number])
            send_share(follower, document, _score, encode_scores)

    def receive(self, number):
        return self.sent[number].pop(0)


class _FollowerTo:
    def __init__(self, rank, sent):
        self.rank, self._sent = rank, sent

    def send(self, document, arrays):
        self._sent.append(Message.decode(Message(document, arrays).encode()))


@pytest.mark.parametrize("size", [2, 3, 8])
def test_results_are_those_of_one_process_in_its_order(size):
    ranks = _Ranks(size)
    shared = [*share_images(ranks, "score", {}, PATHS, 4, _score, decode_scores)]
    for result, expected in zip(shared, _score(PATHS), strict=True):
        assert result.path == expected.path
        assert str(result.error) == str(expected.error)
        np.testing.assert_equal(result.values, expected.values)
        np.testing.assert_equal(result.features, expected.features)
    assert not any(ranks.sent.values()), "every answer was read"


def test_each_image_is_the_share_of_one_rank():
    shares = [own_share(PATHS, 4, rank, 3) for rank in range(3)]
    assert sorted(path for share in shares for path in share) == sorted(PATHS)
    assert shares[1] == PATHS[4:8] + PATHS[16:20]


def test_a_single_batch_is_not_given_away():
    ranks = _Ranks(2)
    assert len([*share_images(ranks, "score", {}, PATHS, 32, _score, decode_scores)]) == len(PATHS)
    assert not ranks.orders


def test_outputs_of_a_backbone_arrive_as_they_were_sent():
    outputs = [
        BackboneOutput(PATHS[0], [np.float16([[1, 2]]), np.float32([3])], digest=b"\x01\xff"),
        BackboneOutput(PATHS[1], None, ImageError(PATHS[1], "empty")),
    ]
    message = Message.decode(encode_outputs(outputs).encode())
    first, second = decode_outputs(Message(message.document, message.arrays), PATHS[:2])
    for row, expected in zip(first.rows, outputs[0].rows, strict=True):
        np.testing.assert_array_equal(row, expected)
        assert row.dtype == expected.dtype
    assert first.digest == b"\x01\xff"
    assert (second.rows, second.error.reason, second.digest) == (None, "empty", None)
