"""``hubtune data list`` as a person meets it."""

from support.commands import json_of, output_of

from hubtune.cli.data import command
from hubtune.data.published.catalog import DATASETS


def test_each_data_set_has_a_line_and_a_record(run_here):
    result = output_of(command, "list")
    lines = result.stdout.splitlines()
    assert lines[0].split() == "name classes pictures size licence of the pictures".split()
    assert len(lines) == 1 + len(DATASETS)
    assert "oxford_pets 37 7,349 811.1 MB CC BY-SA 4.0".split() in [line.split() for line in lines]
    assert "paddlehub_dogcat * 2 ? ? none stated".split() in [line.split() for line in lines]
    assert "no published checksum" in result.stderr
    records = json_of(run_here("data", "list", "--json"))["datasets"]
    assert [record["name"] for record in records] == [*DATASETS]
    assert records[0]["files"][0]["urls"][0] == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
