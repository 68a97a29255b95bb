"""`hubtune hub …` as a person types it."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import save
from support.download_server import page, serving, whole
from support.fluid import pack, static_state, write_parameters

from hubtune import Module
from hubtune.hub import weights_cache
from hubtune.hub.other_caches import files_of_paddle, files_of_paddlehub
from hubtune.models import catalog

NAME = "paddle.vision:shufflenet_v2_x0_25"
PUBLISHED = catalog.BY_NAME[NAME]
OTHER = save({"x": np.ones(3, np.float32)})


@pytest.fixture
def server(monkeypatch):
    """A server with the weights of the catalog's only module, which has no published sum."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("hubtune.storage.published_file.PAUSE_SECONDS", 0.0)
    with serving() as running:
        entry = replace(PUBLISHED, weights=replace(PUBLISHED.weights, url=running.url, md5=None, top1=54.0))
        monkeypatch.setitem(catalog.BY_NAME, NAME, entry)
        monkeypatch.setattr(catalog, "PRETRAINED", (entry,))
        running.plan = [whole(content())]
        yield running


@pytest.fixture
def hub(run_here):
    def hub(*arguments):
        done = run_here("hub", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return hub


def content(num_classes=1000, value=1):
    network = catalog.BACKBONES[NAME].build(num_classes=num_classes)
    return save({key: np.full(each.shape, value, np.float32) for key, each in network.state_dict().items()})


def test_list_and_show_describe_modules_without_network(hub, here, assert_refused):
    def listed(*pattern):
        heading, *lines = hub("list", *pattern).splitlines()
        assert heading.split() == ["module", "also", "parameters", "input", "top-1", "weights"]
        return [line.split()[0] for line in lines]

    assert listed() == [*(entry.name for entry in catalog.PRETRAINED), "digitnet"]
    assert listed("Xception7?") == ["xception71_imagenet"]
    [entry] = json.loads(hub("list", "xception71", "--json"))["modules"]
    assert (entry["name"], entry["parameters"]) == ("xception71_imagenet", 37_678_496)
    stages = ["stem", "stage1", "stage2", "stage3", "head"]
    assert json.loads(hub("show", "Xception71", "--json")) == {**entry, "schema_version": 1, "stages": stages}
    for name, verified in (("Xception71", False), ("paddle.vision:resnet18", True)):
        assert ("weights not verified" not in hub("show", name)) == verified
    (here / "w.safetensors").write_bytes(content(7))
    assert NAME in hub("show", "w.safetensors")
    (here / "mine").mkdir()
    hub("new", "mine")
    assert "stem, stage1, stage2, stage3, head" in hub("show", "mine", "--trust-code")
    assert_refused(("hub new mine", 2, "exists already"), ("hub show mine", 4, "--trust-code"))


def test_pull_fetches_what_offline_work_then_needs(hub, server, monkeypatch, assert_refused):
    assert_refused((f"hub pull {NAME} nonesuch", 4, "nonesuch"), (f"hub pull {NAME} smallnet", 4, "smallnet"))
    assert not server.requests  # unknown names are found before any download
    file = Path(hub("pull", NAME).split()[-1])
    assert file == weights_cache.cache_path(server.url)
    assert file.read_bytes() == content()
    assert hub("list", NAME).endswith("  on this machine\n")
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    assert json.loads(hub("pull", NAME, "--json"))["modules"][0]["file"] == str(file)
    assert len(server.requests) == 1


def test_pull_refuses_a_page_and_a_file_for_another_network(hub, server, run_here, assert_refused):
    server.plan = [page, page]
    assert_refused((f"hub pull {NAME}", 5, "an HTML page"))
    document = json.loads(run_here("hub", "pull", NAME, "--json").stdout)
    assert (document["modules"], document["failures"][0]["name"]) == ([], NAME)
    server.plan = [whole(OTHER)]
    assert_refused((f"hub pull {NAME}", 4, f"it does not hold the tensors of {NAME}"))
    assert hub("list", NAME).endswith("  to fetch\n")
    server.plan = [whole(content())]
    hub("pull", NAME)


def test_verify_finds_a_changed_file_and_prune_removes_it(hub, server, run_here, assert_refused):
    def removed(*arguments):
        return json.loads(hub("prune", *arguments, "--json"))["removed"]

    hub("verify")
    hub("pull", NAME)
    assert hub("verify").split()[:2] == ["ok", NAME]
    file = weights_cache.cache_path(server.url)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = run_here("hub", "verify")
    assert (found.returncode, found.stdout.split()[:2]) == (8, ["DAMAGED", NAME])
    assert "1 of 1 weights files are damaged" in found.stderr
    assert str(file) in hub("prune", "--dry-run") and file.exists()
    assert str(file) in hub("prune") and not file.exists()
    hub("verify")
    server.plan = [whole(OTHER)]  # the sum of the first file still holds
    assert_refused((f"hub pull {NAME}", 4, "is not the file that was first used"))
    server.plan = [whole(content())]
    hub("pull", NAME)
    part = file.with_name("Other-1234567890.pdparams.part")
    part.write_bytes(b"half")
    assert removed() == [{"file": str(part), "bytes": 4}] and file.exists()
    assert len(removed(NAME)) == 2 and not file.exists()  # with its record
    assert_refused((f"hub prune {NAME} --all", 2, "not both"))
    hub("pull", NAME)
    assert len(removed("--all")) == 2
    assert {other.suffix for other in file.parent.iterdir()} == {".lock"}


def test_import_takes_the_right_file_only(hub, server, here, monkeypatch, assert_refused):
    def refused(data, message, name=NAME):
        (here / "w.safetensors").write_bytes(data)
        assert_refused((f"hub import w.safetensors --as {name}", 4, message))

    refused(content(7), "has a head of 7 classes, not of 1,000")
    refused(OTHER, NAME)
    refused(OTHER, "smallnet", name="smallnet")
    assert_refused((f"hub import none --as {NAME}", 4, "none"))
    with monkeypatch.context() as patch:
        patch.setitem(catalog.BY_NAME, NAME, PUBLISHED)  # with Paddle's md5
        refused(content(), "cannot be the official weights of")
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    hub("import", "w.safetensors", "--as", NAME)
    hub("pull", NAME)
    assert hub("verify").startswith("ok") and not server.requests
    refused(content(value=0), f"`hubtune hub prune {NAME}`")  # not what was first used
    hub("prune", NAME)
    hub("import", "w.safetensors", "--as", NAME)


def test_import_converts_what_paddle_1_wrote(hub, here, monkeypatch, assert_refused):
    monkeypatch.setenv("HUBTUNE_OFFLINE", "1")
    backbone = catalog.find("ShuffleNetV2_x0_25").backbone
    network = backbone.build(num_classes=1000)
    folder = write_parameters(here / "ShuffleNetV2_x0_25_pretrained", static_state(backbone, network))
    archive = pack(folder, here / "ShuffleNetV2_x0_25_pretrained.tar")
    for path in (folder, archive):
        assert hub("import", path.name, "--as", "ShuffleNetV2_x0_25").startswith(backbone.name)
        assert hub("verify").startswith("ok")
        module = Module("ShuffleNetV2_x0_25")
        for key, tensor in module.network.state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), network.state_dict()[key].numpy())
    assert_refused(
        (f"hub import {folder.name} --as MobileNetV1", 4, f"{folder.name} cannot be the official weights"),
        (f"hub import {folder.name} --as AlexNet", 4, "The checksum that is published for alexnet_imagenet"),
    )


def test_another_programs_damaged_or_locked_cache_is_merely_not_used(hub, server, monkeypatch):
    other = Path.home() / ".paddleclas" / "weights" / server.url.rpartition("/")[2]
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    assert hub("verify").startswith("not used")
    hub("pull", NAME)
    locked = Mock(side_effect=PermissionError(13, "Permission denied"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", locked)
        patch.setattr(Path, "glob", locked)
        assert [*files_of_paddle("https://example.com/w"), *files_of_paddlehub("m")] == []


def test_odd_names_get_a_sentence(assert_refused):
    assert_refused(
        ("hub list xeption71_imagenet", 4, "Did you mean 'xception71_imagenet'?"),
        ("hub pull digitnet", 4, "comes with hubtune"),
        ("hub show squeezenet1_1_imagenet", 4, "Did you mean 'paddle.vision:squeezenet1_1'"),
        ("hub show ~nobody-here/x", 4, "There is no module"),
        (("hub", "show", "x" * 300), 5, "cannot be used"),
        ("hub new bad\udcff", 2, "is no name for a module"),
        (("hub", "new", "x" * 300), 5, "cannot be"),
    )
