"""Shards: an image's name alone decides, and all shards together hold each image once."""

import pytest

from hubtune.data.sharding import ImageShard, names_digest, shard_of


def test_every_name_is_in_one_shard_whatever_other_names_there_are():
    names = [f"class/{number}.jpg" for number in range(500)]
    places = [ImageShard(index, 7).positions(names) for index in range(7)]
    assert sorted(place for own in places for place in own) == [*range(500)]
    assert all(own == sorted(own) and 40 < len(own) < 110 for own in places)
    more = ["new/first.jpg", *names]
    assert [more[place] for place in ImageShard(3, 7).positions(more) if place] == [
        names[place] for place in places[3]
    ]
    assert str(ImageShard(3, 7)) == "3/7"


@pytest.mark.parametrize(("name", "shard"), [("a.jpg", 9), ("猫/1.jpg", 59), ("broken\udcff.jpg", 54)])
def test_a_name_keeps_its_shard_in_all_versions(name, shard):
    assert shard_of(name, 64) == shard


def test_the_digest_of_names_depends_on_their_order():
    assert names_digest(["a", "b"]) != names_digest(["b", "a"]) != names_digest(["ba"])
