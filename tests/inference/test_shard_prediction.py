"""Images in shards get the scores of their files, with one shard on the disk at a time."""

import os
from pathlib import Path

import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, train

import hubtune
from hubtune.data.pack import pack_listing
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError
from hubtune.inference.shard_prediction import find_shards, predict_shards


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    top = tmp_path_factory.mktemp("run")
    data = draw_split(top, dict.fromkeys("abc", 12))
    run = train(smallnet(), data, top / "run", epochs=1)
    pack_listing(open_source(top / "pics"), str(top / "shards"), shard_bytes=30_000)
    return top, hubtune.load_model(run.path)


@pytest.mark.slow
def test_shards_in_a_folder_and_a_bucket_give_the_scores_of_the_files(trained, bucket):
    top, model = trained
    files = open_source(top / "pics").files
    rows = model.predict([file.path for file in files])
    expected = {file.name: row.scores for file, row in zip(files, rows, strict=True)}
    for path in (top / "shards").iterdir():
        bucket.client.upload_file(str(path), bucket.name, f"shards/{path.name}")
    for place in (str(top / "shards"), bucket.at("shards")):
        source = find_shards(place)
        rows = [*predict_shards(model, source)]
        assert {row.path: row.scores for row in rows} == expected and len(source.index.shards) > 2
    assert not [*Path(os.environ["HUBTUNE_HOME"]).glob(".shards-*")]
    assert find_shards(str(top)) is None and find_shards(bucket.at("nothing")) is None


def test_a_damaged_shard_ends_the_prediction(trained, bucket):
    top, model = trained
    for path in (top / "shards").iterdir():
        bucket.client.upload_file(str(path), bucket.name, f"bad/{path.name}")
    bucket.client.put_object(Bucket=bucket.name, Key="bad/shard-000001.tar", Body=b"x")
    with pytest.raises(DataError, match="is damaged"):
        [*predict_shards(model, find_shards(bucket.at("bad")))]
