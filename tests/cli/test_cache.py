"""`hubtune cache …` as a person types it."""

import json
import os
import re
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.commands import json_of
from support.features import change_rows

from hubtune.inference.feature_cache import FeatureCache
from hubtune.text import format_bytes


def store(count, days_ago=0, **facts):
    cache = FeatureCache()
    with cache.space(facts) as space:
        for number in range(count):
            space.put(number.to_bytes(32, "big"), np.full(1200, number, np.float32))
    used = time.time() - days_ago * 86400
    change("UPDATE batches SET used = ? WHERE id = (SELECT max(id) FROM batches)", used)
    return cache.database.file


def change(statement, *values):
    change_rows(FeatureCache().folder, statement, *values)


@pytest.fixture
def file():
    view = {"fit": "whole", "resize": 288, "size": 224, "mirror": True}
    store(20, 60, module="resnet50_imagenet", layer="features", view="crop 224", engine="openvino")
    return store(500, module="xception71_imagenet", layer="stage4", view=view, engine="paddle")


@pytest.fixture
def answer(run_here):
    return lambda *arguments: json_of(run_here("cache", *arguments, "--json"))


def test_ls_shows_the_last_used_space_first_and_the_size_of_weights(run_here, answer, file, monkeypatch):
    weights = Path(os.environ["HUBTUNE_HOME"]) / "weights" / "x-0123456789.pdparams"
    weights.parent.mkdir()
    weights.write_bytes(b"x" * 2_000_000)
    listed = run_here("cache", "ls")
    assert [re.split(r"  +", line) for line in listed.stdout.splitlines()] == [
        ["module", "layer", "view", "engine", "pictures", "size", "last used"],
        ["xception71_imagenet", "stage4", "whole 288 mirrored", "paddle", "500", "2.4 MB", "just now"],
        ["resnet50_imagenet", "features", "crop 224", "openvino", "20", "96 kB", "60 days ago"],
    ]
    assert f"features  {format_bytes(file.stat().st_size)} of at most 10 GB" in listed.stderr
    assert "weights   2 MB" in listed.stderr and "hubtune hub prune" in listed.stderr

    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "5GB")
    document = answer("ls")
    assert (document["limit"], document["weights"]["bytes"]) == (5_000_000_000, 2_000_000)
    new, old = document["spaces"]
    assert (len(old["name"]), old["description"]["engine"], old["pictures"]) == (64, "openvino", 20)
    assert new["bytes"] == 2_400_000 and old["last_used"] < new["last_used"]
    change("UPDATE batches SET description = CAST(x'ff7b' AS BLOB) WHERE id = 1")
    assert run_here("cache", "ls").stdout.splitlines()[-1].split()[:2] == ["?", "20"]


def test_prune_removes_what_was_not_used_for_the_longest_time(run_here, answer, file, monkeypatch):
    def left():
        return [space.images for space in FeatureCache().spaces()]

    assert run_here("cache", "prune").stdout == "0 bytes freed\n"
    size = file.stat().st_size
    dry = answer("prune", "--older-than", "30d", "--dry-run")
    assert (dry["removed"], dry["dry_run"], file.stat().st_size) == (1, True, size)
    done = answer("prune", "--older-than", "30d")
    assert (done["removed"], left(), done["bytes"]) == (1, [500], size - file.stat().st_size)
    assert done["bytes"] == pytest.approx(dry["bytes"], rel=0.1)

    store(20, 60, module="old")
    answer("prune", "--keep", f"{file.stat().st_size // 1000 - 1}kB")
    assert left() == [500]
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "1MB")
    assert (answer("prune")["removed"], left()) == (1, [])
    store(20, module="new")
    FeatureCache().put_note({"a": 1}, {"b": 2})
    assert (answer("prune", "--all")["removed"], FeatureCache().note({"a": 1}), left()) == (2, None, [])
    assert "No features are stored yet" in run_here("cache", "ls").stderr
    assert "nothing to verify" in run_here("cache", "verify").stderr


def test_verify_removes_damaged_rows_and_files_and_says_what_it_could_not(run_here, file, monkeypatch):
    def verified(code, *messages):
        done = run_here("cache", "verify")
        assert done.returncode == code
        assert all(message in done.stderr for message in messages), done.stderr
        return done.stdout.splitlines()

    verified(0)
    change("UPDATE entries SET data = CAST(x'07' || substr(data, 2) AS BLOB) WHERE id IN (3, 4)")
    found = json.loads(run_here("cache", "verify", "--json").stdout)
    assert [(row["rows"], row["removed_rows"]) for row in found["spaces"]] == [(500, 0), (20, 2)]
    change("UPDATE entries SET shape = NULL WHERE id = 5")
    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda file, **_: connect(f"file:{file}?mode=ro", uri=True))
        verified(8, "Damaged: 1, removed: 0.", "The rest cannot be removed now. Check the disk")
    message = "Damaged: 1, removed: 1. What is damaged is computed again when it is needed"
    assert verified(8, message) == [
        "ok       xception71_imagenet  stage4  whole 288 mirrored  paddle  500 rows",
        "DAMAGED  resnet50_imagenet  features  crop 224  openvino  18 rows: 1 damaged",
    ]
    verified(0)
    file.write_bytes(b"<html>" * 1000)
    verified(8, "The file was damaged as a whole, and is replaced by an empty one")
    verified(0)


def test_options_limits_and_places_that_make_no_sense_are_refused(assert_refused, here, monkeypatch):
    assert_refused(
        ("cache prune --all --keep 1GB", 2, "Give --all, or --older-than and --keep, not both"),
        ("cache prune --older-than 30", 2, "--older-than '30' is not a time: write 12h, 30d or 8w"),
        ("cache prune --keep lots", 2, "--keep 'lots' is not a size: write 10GB, 500MB or 1.5GiB"),
    )
    with monkeypatch.context() as patch:
        patch.setenv("HUBTUNE_CACHE_SIZE", "abc")
        assert_refused(("cache ls", 2, "Error: HUBTUNE_CACHE_SIZE: 'abc' is not a size: write 10GB"))
    (here / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(here / "file" / "home"))
    message = "features cannot be used (Not a directory): set HUBTUNE_HOME to a folder"
    if sys.platform != "win32":  # which says that it is not there
        assert_refused(*((f"cache {action}", 5, message) for action in ("ls", "prune", "verify")))


def test_unpacked_pictures_go_only_when_asked_for(here, draw_photos, run_here, answer):
    draw_photos(here / "pics", {"cat": 3, "dog": 3}, size=8)
    shutil.make_archive("photos", "zip", "pics")
    assert run_here("split", "photos.zip").returncode == 0
    home = Path(os.environ["HUBTUNE_HOME"])
    [photos] = (home / "data" / "unpacked").glob("photos-*/")
    looks, size = home / "scan.sqlite", sum(file.stat().st_size for file in photos.rglob("*.*"))
    assert answer("ls")["data"] == {"folder": str(home / "data"), "bytes": size}
    assert answer("prune", "--all", "--dry-run")["bytes"] == looks.stat().st_size
    assert answer("prune", "--all")["bytes"] > 0 and not looks.exists()
    assert answer("prune")["bytes"] == 0 and len(list(photos.rglob("*.png"))) == 6

    unfinished = photos.with_name("other-1234567890.part")  # of a process that was killed
    unfinished.mkdir()
    (unfinished / "x").write_bytes(b"x" * 7)
    dry = answer("prune", "--data", "--dry-run")
    assert dry["bytes_of"] == {"features": 0, "looks": 0, "data": size + 7, "programs": 0} and photos.exists()
    assert answer("prune", "--data")["bytes"] == size + 7
    assert not photos.exists() and not unfinished.exists()
    assert run_here("split", "photos.zip", "--force").returncode == 0
    assert len(list(photos.rglob("*.png"))) == 6
