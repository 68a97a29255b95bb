"""The number of shards is settled once, and any number of processes that divides it is accepted."""

import pytest

import hubtune
from hubtune.errors import UsageError
from hubtune.train.distributed.shards import settle_shards


def _settled(ranks, images=1000, *, by_gradients=True, **options):
    return settle_shards(hubtune.RunConfig(**options), images, ranks, by_gradients=by_gradients).shards


@pytest.mark.parametrize(
    ("batch_size", "images", "ranks", "expected"),
    [
        (32, 1000, 2, 8),
        (16, 1000, 4, 4),
        (20, 1000, 5, 5),
        (24, 1000, 3, 6),
        (256, 1000, 8, 8),
        (64, 9, 2, 2),
    ],
)
def test_several_processes_take_up_to_eight_shards_of_four_images(batch_size, images, ranks, expected):
    assert _settled(ranks, images, batch_size=batch_size) == expected


def test_a_single_process_has_shards_only_if_it_says_so():
    assert _settled(1) is None
    assert _settled(1, shards=4) == 4


def test_a_strategy_without_steps_has_no_shards():
    assert _settled(2, by_gradients=False) is None


@pytest.mark.parametrize(
    ("ranks", "options", "message"),
    [
        (
            3,
            {"batch_size": 32},
            r"3 processes cannot share the 8 shards .*: start 1, 2, 4 or 8, or .*=9",
        ),
        (2, {"batch_size": 3}, "start 1, or cut batches into 2"),
        (2, {"batch_size": 8, "shards": 16}, "more than the 8 pictures"),
        (1, {"model_average_interval": 2}, "for several processes"),
        (2, {"model_average_interval": 2, "shards": 4}, "remove train.shards"),
        (2, {"model_average_interval": 2, "ema": 0.9}, "do not go together"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_the_choices(ranks, options, message):
    with pytest.raises(UsageError, match=message):
        _settled(ranks, **options)
