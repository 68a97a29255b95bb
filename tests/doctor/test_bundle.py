"""The bundle has what helps, and no secret is in any of its bytes."""

import json
import zipfile

import pytest

from hubtune.doctor.bundle import report_text, summary, write_bundle
from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.errors import MachineError

CHECKS = [
    Check("python", GOOD, "Python 3.13", group="Software"),
    Check("pillow", BAD, "Pillow is missing", "pip install pillow", "Software"),
    Check("cache", NOTE, "Cache /home/alice/x of https://me:canary@host/y", "prune", "Folders"),
]
CANARIES = ("canary-environment", "canary-proxy", "canary-recipe", "canary-query", "alice")
ENVIRONMENT = {
    "AWS_SECRET_ACCESS_KEY": "canary-environment",
    "https_proxy": "http://me:canary-proxy@proxy:3128",
    "PIP_INDEX_URL": "https://me:canary-proxy@index/simple",
    "SOMETHING_ELSE": "canary-environment",
    "OMP_NUM_THREADS": "2",
}
TEXTS = {
    "run/recipe.yaml": "data:\n  base: s3://me:canary-recipe@bucket/pics?sig=canary-query\n",
    "run/train.log": "canary-environment was refused by canary-proxy\nin /home/alice/pics\n",
    "run/long.log": "canary-environment\n" * 200_000,
}


def test_no_secret_is_in_a_byte_of_the_bundle(tmp_path):
    file = tmp_path / "doctor.zip"
    names = write_bundle(file, CHECKS, TEXTS, ENVIRONMENT, None)
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert [*contents] == names and set(TEXTS) < set(contents)
    for canary in CANARIES:
        assert canary.encode() not in file.read_bytes()
        for name, content in contents.items():
            assert canary.encode() not in content + name.encode(), (canary, name)
    document = json.loads(contents["doctor.json"])
    assert [check["name"] for check in document["checks"]] == ["python", "pillow", "cache"]
    variables = json.loads(contents["variables.json"])
    assert (variables["OMP_NUM_THREADS"], variables["https_proxy"]) == ("2", "http://…@proxy:3128")
    assert b"pytest==" in contents["packages.txt"] and b"s3://" in contents["run/recipe.yaml"]
    assert contents["doctor.txt"].endswith(b"1 bad, 1 note, 1 good\n")
    assert contents["run/long.log"].startswith("…".encode())


def test_the_report_has_a_line_for_each_check_and_its_cure():
    assert report_text(CHECKS).splitlines()[:5] == [
        *("Software", "  good  Python 3.13", "  bad   Pillow is missing", "        → pip install pillow", "")
    ]
    assert summary(CHECKS[:1]) == "0 bad, 0 notes, 1 good"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(MachineError, match="cannot be written"):
        write_bundle(tmp_path / "gone" / "x.zip", [], {}, {}, None)
