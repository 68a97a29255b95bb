"""``hubtune data pull`` as a person meets it."""

from support.commands import json_of
from support.published_data import SMALL_FILES, paddlehub_flowers, published


def test_what_is_fetched_is_said_and_the_next_command_named(here, run_here, monkeypatch):
    with published(monkeypatch, "oxford_pets", SMALL_FILES["oxford_pets"]()) as server:
        done = run_here("data", "pull", "oxford_pets", "-o", "pets")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"oxford_pets: {here / 'pets'}\n"
    assert "Licence of the pictures: CC BY-SA 4.0\n" in done.stderr
    assert f"File: {server.base}/annotations.tar.gz, " in done.stderr
    assert done.stderr.endswith("Next: hubtune finetune pets\n")


def test_a_file_without_a_published_sum_is_called_so(here, run_here, monkeypatch):
    files = paddlehub_flowers()
    (here / "flower_photos.tar.gz").write_bytes(files["flower_photos.tar.gz"])
    arguments = ("data", "pull", "paddlehub_flowers", "--from", "flower_photos.tar.gz")
    with published(monkeypatch, "paddlehub_flowers", files):
        done = run_here(*arguments)
        assert "without a published checksum, so that it cannot be verified" in done.stderr
        assert done.stderr.endswith("Next: hubtune finetune paddlehub_flowers\n")
        assert json_of(run_here(*arguments, "--json"))["folder"] in done.stdout


def test_mistakes_are_one_sentence(here, assert_refused):
    (here / "full").mkdir()
    (here / "full" / "file").touch()
    (here / "other.zip").write_bytes(b"x")
    assert_refused(
        ("data pull eurosatt", 2, "There is no data set 'eurosatt'. Did you mean 'eurosat'?"),
        ("data pull eurosat -o full", 2, "holds something already"),
        ("data pull eurosat --from other.zip", 3, "is not the published EuroSAT.zip"),
        ("data pull eurosat --from full", 3, "There is no full/EuroSAT.zip"),
    )
