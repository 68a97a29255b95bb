"""``hubtune data …`` as a person types it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hubtune.cli.data import command
from hubtune.data.dataset import ListDataset
from hubtune.data.images.augment import augment_image, read_image
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.list_files import labels_text, list_text
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import write_split
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from hubtune.errors import HubtuneError
from hubtune.recipe.augment import AugmentSettings
from hubtune.recipe.choices import AUGMENT_PRESETS
from hubtune.report import contact_sheet
from hubtune.rng import rng_for


@pytest.fixture
def pics(tmp_path, draw_photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return draw_photos(tmp_path / "pics", {"cat": 5, "dog": 5, "fox": 5}, size=24)


@pytest.fixture
def drawn(monkeypatch):
    """What is put on the sheet."""
    seen = SimpleNamespace(cells=[], columns=0, title="")
    real = contact_sheet.contact_sheet

    def draw(cells, *, columns, side, title):
        seen.cells, seen.columns, seen.title = list(cells), columns, title
        return real(cells[:1], side=16)

    monkeypatch.setattr(contact_sheet, "contact_sheet", draw)
    return seen


def preview(*arguments):
    result = CliRunner().invoke(command, ["preview", *map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refusal(code, *arguments):
    result = CliRunner().invoke(command, ["preview", *map(str, arguments)])
    assert isinstance(result.exception, HubtuneError), result.output
    assert result.exception.exit_code == code
    return str(result.exception)


def rows_of(drawn):
    return [drawn.cells[start : start + drawn.columns] for start in range(0, len(drawn.cells), drawn.columns)]


def lists_of(pics, base):
    write_split(make_split(scan_classes(pics), SplitRequest(validate=SplitSize(2))), base, {"seed": 0})
    return ListDataset(".").examples("train")


def test_a_sheet_is_written_and_nothing_else(pics, tmp_path):
    result = preview("pics", "--count", "2", "--epochs", "1")
    assert result.stdout == ""
    assert result.stderr == (
        "standard: crop [0.35, 1.0], flip 0.5, brightness 0.2, contrast 0.2, saturation 0.2\n"
        "2 pictures in 1 epoch written to preview.png\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pics", "preview.png"]
    with Image.open("preview.png") as sheet:
        assert sheet.width > 2 * 224 and sheet.height > 2 * 224


@pytest.mark.parametrize("with_lists", [True, False])
def test_rows_show_evaluation_and_then_each_epoch_as_training_draws_it(pics, tmp_path, drawn, with_lists):
    if with_lists:
        paths = [example.path for example in lists_of(pics, tmp_path)]
    else:  # as `hubtune finetune` would divide them
        split = make_split(
            scan_classes(pics), SplitRequest(validate=SplitSize.parse("10%"), test=SplitSize.parse("20%"))
        )
        paths = [picture.path.relative_to(tmp_path) for picture in split.lists["train"]]
    shown = json.loads(preview("pics", "--augment", "crop", "--epochs", "3", "--seed", "7", "--json").stdout)
    view, settings = Preprocessing(), AugmentSettings(**AUGMENT_PRESETS["crop"])
    assert len(shown["pictures"]) == len(rows_of(drawn)) == 6
    assert (drawn.columns, drawn.title) == (4, "crop: crop 224, seed 7")
    for picture, row in zip(shown["pictures"], rows_of(drawn), strict=True):
        index = paths.index(Path(picture["path"]))
        assert [cell.caption for cell in row] == [picture["label"], "epoch 1", "epoch 2", "epoch 3"]
        plain, *changed = (np.asarray(cell.picture) for cell in row)
        assert (plain == np.asarray(view.read(paths[index]))).all()
        image = read_image(paths[index], view, settings)
        for epoch, pixels in enumerate(changed):
            assert (pixels == augment_image(image, view, settings, rng_for(7, "augment", epoch, index))).all()


@pytest.mark.parametrize("form", ["zip", "csv", "parts"])
def test_any_source_of_pictures_can_be_looked_at(pics, tmp_path, drawn, form):
    source = f"photos.{form}"
    if form == "zip":
        shutil.make_archive("photos", "zip", "pics")
    elif form == "csv":
        rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in pics.rglob("*.png")]
        Path(source).write_text("\n".join(["path,label", *rows]))
    else:
        shutil.copytree(pics, f"{source}/train")
        shutil.copytree(pics, f"{source}/val")
    preview(source, "--count", 3, "--epochs", 1)
    assert sorted(cell.caption for cell in drawn.cells[::2]) == ["cat", "dog", "fox"]
    made = {"photos.parts", "preview.png", "pics", "photos.zip", "photos.csv"}
    assert {path.name for path in tmp_path.iterdir()} <= made


def test_every_class_is_there_before_one_is_twice(pics, drawn):
    for count, most in ((2, 1), (3, 1), (5, 2)):
        preview("pics", "--count", count, "--epochs", "1")
        labels = [row[0].caption for row in rows_of(drawn)]
        assert labels == sorted(labels)
        assert max(map(labels.count, labels)) == most
        assert len(set(labels)) == min(count, 3)


def test_another_seed_shows_other_pictures(pics):
    def shown(seed):
        return preview("pics", "--count", "3", "--epochs", "1", "--seed", seed, "--json").stdout

    assert shown(1) == shown(1)
    assert shown(1) != shown(2)


def test_mixed_pictures_are_in_the_last_rows_with_their_shares(pics, drawn):
    preview("pics", "--augment", "strong", "--count", "3", "--epochs", "4")
    last = rows_of(drawn)[3:]
    assert [len(row) for row in last] == [5]
    for cell in last[0]:
        assert re.fullmatch(r"\d+ % (cat|dog|fox)( \+ \d+ % (cat|dog|fox))?", cell.caption)
        shares = [*map(int, re.findall(r"\d+", cell.caption))]
        assert sum(shares) == 100 and shares == sorted(shares, reverse=True)
    assert any("+" in cell.caption for cell in last[0])


@pytest.mark.parametrize("channels", [1, 4])
def test_channels_and_size_are_those_of_the_recipe(pics, tmp_path, drawn, channels):
    file = recipe(tmp_path, pics, "augment: strong", data=f", channels: {channels}, size: 24")
    shown = json.loads(preview(file, "--json").stdout)
    assert (shown["preprocessing"]["size"], shown["preprocessing"]["channels"]) == (24, channels)
    assert drawn.title == f"r.yaml: crop 24 {'grey' if channels == 1 else 'with opacity'}, seed 0"
    assert {(cell.picture.size, cell.picture.mode) for cell in drawn.cells} == {((24, 24), "RGB")}
    if channels == 1:
        assert all((np.ptp(np.asarray(cell.picture), axis=2) == 0).all() for cell in drawn.cells)


def recipe(base, pics, train="", module="digitnet", data=""):
    if not (base / "train_list.txt").exists():
        lists_of(pics, base)
    text = f"data: {{base: {base}{data}}}\nmodule: {module}\ntrain: {{{train}}}\n"
    (base / "r.yaml").write_text(text, "utf-8")
    return base / "r.yaml"


def test_a_recipe_says_what_is_drawn(pics, tmp_path, drawn):
    file = recipe(tmp_path, pics, "augment: flip, seed: 3", data=", fit: pad")
    shown = json.loads(preview(file, "--json").stdout)
    assert shown["seed"] == 3
    assert shown["augment"] == AugmentSettings(flip=0.5).model_dump()
    assert (shown["preprocessing"]["size"], shown["preprocessing"]["fit"]) == (32, "pad")
    assert drawn.title == "r.yaml: pad 32, seed 3"
    assert {cell.picture.size for cell in drawn.cells} == {(32, 32)}
    over = json.loads(preview(file, "--augment", "none", "--seed", "4", "--json").stdout)
    assert (over["seed"], over["augment"]) == (4, AugmentSettings().model_dump())


def test_a_run_is_drawn_as_its_own_recipe_says(pics, tmp_path, drawn):
    (tmp_path / "runs").mkdir()
    recipe(tmp_path, pics, "augment: crop, seed: 5").rename(tmp_path / "runs" / "recipe.yaml")
    preview(tmp_path / "runs")
    assert drawn.title == "recipe.yaml: crop 32, seed 5"


def test_a_strategy_that_does_not_augment_is_mentioned(pics, tmp_path, drawn):
    file = recipe(tmp_path, pics)
    file.write_text(file.read_text("utf-8") + "strategy: frozen\n", "utf-8")
    assert "Not used by strategy frozen: train.augment" in preview(file).stderr


def test_the_module_says_how_pictures_are_seen(pics, drawn):
    preview("pics", "--module", "digitnet", "--count", "1")
    assert drawn.title == "standard: crop 32, seed 0"
    assert "There is no module 'digitnett'. Did you mean 'digitnet'?" in refusal(
        4, "pics", "--module", "digitnett"
    )


def test_pictures_that_cannot_be_read_are_named_and_passed_over(pics, tmp_path, drawn):
    examples = lists_of(pics, tmp_path)
    for example in examples[:4]:
        example.path.write_bytes(b"")
    result = preview("pics", "--count", "12", "--epochs", "1")
    assert len(rows_of(drawn)) == 5
    assert result.stderr.count("left out: ") == 4
    assert f"left out: {examples[0].path}: empty file (0 bytes)\n" in result.stderr
    for example in examples[4:]:
        example.path.unlink()
    assert refusal(3, "pics") == "None of the 9 training pictures can be read"
    with (tmp_path / "train_list.txt").open("a") as file:
        file.writelines(f"gone{number} 0\n" for number in range(20))
    told = CliRunner().invoke(command, ["preview", "pics"]).stderr
    assert told.count("left out: ") == 11 and "left out: … and 19 more\n" in told


def test_an_earlier_preview_is_replaced_and_nothing_else(pics, tmp_path):
    preview("pics", "--count", "1", "--epochs", "1")
    preview("pics", "--count", "1", "--epochs", "2")
    (tmp_path / "mine.png").write_bytes((pics / "cat" / "000.png").read_bytes())
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    for name in ("mine.png", "link.png"):
        said = refusal(2, "pics", "-o", name)
        assert (
            said
            == f"{name} is there already, and is no preview: add --force to replace it, or name another file"
        )
    assert (tmp_path / "mine.png").read_bytes() == (pics / "cat" / "000.png").read_bytes()
    preview("pics", "-o", "mine.png", "--force", "--count", "1", "--epochs", "1")
    preview("pics", "-o", "mine.png", "--count", "1", "--epochs", "1")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("a.jpg", "-o a.jpg: name a file that ends in .png"),
        ("no/a.png", "There is no folder no to write into: make it first"),
        ("dir.png", "-o dir.png is a folder: name a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(pics, tmp_path, output, said):
    (tmp_path / "dir.png").mkdir()
    assert refusal(2, "nowhere", "-o", output, "--force") == said


def test_what_is_not_there_is_said(pics, tmp_path):
    assert "There is no nowhere: give a recipe" in refusal(2, "nowhere")
    assert "there is no such file" in refusal(2, "nowhere.yaml")
    file = recipe(tmp_path, pics)
    (tmp_path / "train_list.txt").write_text("")
    assert refusal(3, file) == f"The training list of {file} has no picture"
    (tmp_path / "train_list.txt").unlink()
    assert "hubtune split" in refusal(3, file)


def test_a_fit_that_does_not_go_with_the_module_is_told(pics, tmp_path):
    module = tmp_path / "mine"
    module.mkdir()
    (module / "module.yaml").write_text(
        "name: mine\narchitecture: smallnet\nlicence: MIT\n"
        "preprocessing: {size: 32, resize: 16, fit: stretch}\n",
        "utf-8",
    )
    said = refusal(2, recipe(tmp_path, pics, module=module, data=", fit: crop"))
    assert said.startswith(f"fit: crop does not go with {module}: ")


def test_names_that_no_font_has_are_told(pics, tmp_path, monkeypatch):
    lists = {
        "train_list.txt": list_text([("pics/cat/000.png", 0)]),
        "label_list.txt": labels_text(["\ue000"]),
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text, "utf-8")
    assert "No font on this machine can draw all class names" in preview("pics").stderr


def test_a_folder_needs_no_paddle(pics):
    program = (
        "import sys; sys.modules['paddle'] = None\n"
        "from hubtune.cli.data import command\n"
        "command(['preview', 'pics', '--augment', 'strong', '--count', '1'])"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_help_names_the_commands_without_importing_them():
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom hubtune.cli.data import command\n"
        "print(CliRunner().invoke(command, ['--help']).output)\n"
        "assert not [name for name in sys.modules if name.startswith('hubtune.cli.data_')]\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in shown.partition("Commands:\n")[2].splitlines() if line] == [
        "preview",
        "cifar",
    ]


@pytest.mark.parametrize("name", ["preview", "cifar"])
def test_each_command_explains_itself(name):
    shown = CliRunner().invoke(command, [name, "--help"])
    assert shown.exit_code == 0
    assert f"hubtune data {name} " in shown.output


def test_an_unknown_command_is_refused():
    result = CliRunner().invoke(command, ["previeww"])
    assert result.exit_code == 2
    assert "No such command 'previeww'" in result.output
