"""`hubtune data pack`, and commands that read the shards."""

from support.commands import json_of


def test_pictures_are_packed_and_shards_are_a_source(here, draw_photos, run_here, bucket, assert_refused):
    draw_photos(here / "pics", {"a": 8, "b": 8})
    packed = json_of(run_here("data", "pack", "pics", "--out", bucket.at("shards"), "--json"))
    assert (packed["pictures"], packed["labels"], packed["shards"]) == (16, ["a", "b"], 1)
    assert "1 shard, 16 pictures of 2 classes" in run_here("data", "pack", "pics", "-o", "shards").stdout
    for source in ("shards", bucket.at("shards")):
        split = json_of(run_here("split", source, "--out", f"lists-{source[0]}{len(source)}", "--json"))
        assert sum(counts["train"] for counts in split["counts"].values()) == 12
    model = "predict shards --model nothing --save x"
    assert_refused(
        ("data pack pics -o shards", 2, "holds something already"),
        ("data pack pics -o gs://b/x", 2, "is an address"),
        ("data pack pics -o more --shard-size 3", 2, "take 2MB to 5GB"),
        ("data pack pics -o more --shard-size much", 2, "is not a size"),
        (model, 2, "need picture files, and these are in shards"),
    )
