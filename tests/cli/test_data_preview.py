"""``hubtune data preview``: what it draws of which source, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.commands import output_of, refusal
from support.split_folder import write_lists

from hubtune.cli.data_preview import command
from hubtune.data.dataset import ListDataset
from hubtune.data.list_files import labels_text, list_text
from hubtune.recipe.augment import AugmentSettings


@pytest.fixture
def pics(tmp_path, draw_photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return draw_photos(tmp_path / "pics", {"cat": 5, "dog": 5, "fox": 5}, size=24)


def preview(*arguments):
    return json.loads(output_of(command, *arguments, "--epochs", 1, "--json").stdout)


def refused(code, *arguments):
    return refusal(code, command, *arguments)


def write_recipe(pics, train="", module="digitnet", data=""):
    write_lists(pics, validate=2, test=0)
    file = pics.parent / "r.yaml"
    file.write_text(f"data: {{base: {pics.parent}{data}}}\nmodule: {module}\ntrain: {{{train}}}\n", "utf-8")
    return file


def test_a_sheet_is_written_and_nothing_else(pics, tmp_path):
    result = output_of(command, "pics", "--count", 2, "--epochs", 1)
    assert result.stdout == ""
    assert result.stderr == (
        "standard: crop [0.35, 1.0], flip 0.5, brightness 0.2, contrast 0.2, saturation 0.2\n"
        "2 pictures in 1 epoch written to preview.png\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pics", "preview.png"]
    with Image.open("preview.png") as sheet:
        assert sheet.width > 2 * 224 and sheet.height > 2 * 224


@pytest.mark.parametrize("form", ["pics", "lists", "photos.zip", "photos.csv"])
def test_any_source_of_pictures_can_be_previewed(pics, tmp_path, form):
    source = "pics" if form == "lists" else form
    if form == "lists":
        write_lists(pics, validate=2, test=0)
    elif form == "photos.zip":
        shutil.make_archive("photos", "zip", "pics")
    elif form == "photos.csv":
        rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in pics.rglob("*.png")]
        Path(source).write_text("\n".join(["path,label", *rows]))
    before = {path.name for path in tmp_path.iterdir()}
    shown = preview(source, "--count", 3)
    assert sorted(picture["label"] for picture in shown["pictures"]) == ["cat", "dog", "fox"]
    assert {path.name for path in tmp_path.iterdir()} == before | {"preview.png"}
    if form == "lists":
        train = {example.path for example in ListDataset(".").examples("train")}
        assert {Path(picture["path"]) for picture in shown["pictures"]} <= train


def test_a_recipe_or_that_of_a_run_decides_what_is_drawn(pics, tmp_path):
    file = write_recipe(pics, "augment: flip, seed: 3", data=", fit: pad, channels: 4, size: 24")
    shown = preview(file)
    assert (shown["seed"], shown["augment"]) == (3, AugmentSettings(flip=0.5).model_dump())
    settings = [shown["preprocessing"][name] for name in ("size", "fit", "channels")]
    assert settings == [24, "pad", 4]
    shown = preview(file, "--augment", "none", "--seed", 4)
    assert (shown["seed"], shown["augment"]) == (4, AugmentSettings().model_dump())
    (tmp_path / "runs").mkdir()
    file.write_text(file.read_text("utf-8") + "strategy: frozen\n", "utf-8")
    file.rename(tmp_path / "runs" / "recipe.yaml")
    result = output_of(command, tmp_path / "runs", "--epochs", 1)
    assert "Strategy frozen ignores train.augment" in result.stderr
    assert "recipe.yaml: flip 0.5\n" in result.stderr


def test_a_module_decides_the_preprocessing(pics, tmp_path):
    assert preview("pics", "--module", "digitnet", "--count", 1)["preprocessing"]["size"] == 32
    expected = "There is no module 'digitnett'. Did you mean 'digitnet'?"
    assert expected in refused(4, "pics", "--module", "digitnett")
    module = tmp_path / "mine"
    module.mkdir()
    (module / "module.yaml").write_text(
        "name: mine\narchitecture: smallnet\nlicence: MIT\n"
        "preprocessing: {size: 32, resize: 16, fit: stretch}\n",
        "utf-8",
    )
    message = refused(2, write_recipe(pics, module=module, data=", fit: crop"))
    assert message.startswith(f"fit: crop does not go with {module}: ")


def test_unreadable_pictures_are_named(pics, tmp_path):
    write_lists(pics, validate=2, test=0)
    examples = ListDataset(".").examples("train")
    for example in examples[:4]:
        example.path.write_bytes(b"")
    result = output_of(command, "pics", "--count", 12, "--epochs", 1)
    assert "5 pictures in 1 epoch written" in result.stderr
    assert result.stderr.count("left out: ") == 4
    assert f"left out: {examples[0].path}: empty file (0 bytes)\n" in result.stderr
    with (tmp_path / "train_list.txt").open("a") as file:
        file.writelines(f"gone{number} 0\n" for number in range(20))
    stderr = output_of(command, "pics", "--count", 12, "--epochs", 1).stderr
    assert stderr.count("left out: ") == 11 and "left out: … and 14 more\n" in stderr
    for example in examples[4:]:
        example.path.unlink()
    assert refused(3, "pics") == "None of the 29 training pictures can be read"


def test_an_earlier_preview_is_replaced_and_nothing_else_without_force(pics, tmp_path):
    for epochs in (1, 2):
        output_of(command, "pics", "--count", 1, "--epochs", epochs)
    content = (pics / "cat" / "000.png").read_bytes()
    (tmp_path / "mine.png").write_bytes(content)
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    for name in ("mine.png", "link.png"):
        expected = f"{name} exists and is not a preview: add --force to replace it, or name another file"
        assert refused(2, "pics", "-o", name) == expected
    assert (tmp_path / "mine.png").read_bytes() == content
    for force in (["--force"], []):
        output_of(command, "pics", "-o", "mine.png", *force, "--count", 1, "--epochs", 1)
    (tmp_path / "dir.png").mkdir()
    for output, message in (
        ("a.jpg", "-o a.jpg: name a file that ends in .png"),
        ("no/a.png", "There is no folder no to write into: make it first"),
        ("dir.png", "-o dir.png is a folder: name a file"),
    ):
        assert refused(2, "nowhere", "-o", output, "--force") == message


def test_missing_sources_and_lists_are_refused(pics, tmp_path):
    assert "There is no nowhere: give a recipe" in refused(2, "nowhere")
    assert "there is no such file" in refused(2, "nowhere.yaml")
    file = write_recipe(pics)
    (tmp_path / "train_list.txt").write_text("")
    assert refused(3, file) == f"The training list of {file} has no picture"
    (tmp_path / "train_list.txt").unlink()
    assert "hubtune split" in refused(3, file)


def test_class_names_that_no_font_has_are_mentioned(pics, tmp_path):
    (tmp_path / "train_list.txt").write_text(list_text([("pics/cat/000.png", 0)]), "utf-8")
    (tmp_path / "label_list.txt").write_text(labels_text(["\ue000"]), "utf-8")
    assert "No font on this machine can draw all class names" in output_of(command, "pics").stderr
