"""``hubtune data preview``: what it draws of which source, and what it refuses."""

import shutil
from pathlib import Path

import pytest
from support.commands import json_of
from support.multi_label import LABELS, draw_labelled, write_label_lists
from support.split_folder import write_lists

from hubtune.data.dataset import ListDataset
from hubtune.data.label_names import labels_text
from hubtune.data.list_files import list_text
from hubtune.recipe.augment import AugmentSettings


@pytest.fixture
def pics(here, draw_photos):
    return draw_photos(here / "pics", {"cat": 5, "dog": 5, "fox": 5}, size=24)


@pytest.fixture
def preview(run_here):
    """Draws a preview of one epoch; returns what was said."""

    def preview(*arguments):
        done = run_here("data", "preview", *arguments, "--epochs", 1)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        return done.stderr

    return preview


@pytest.fixture
def facts(run_here):
    return lambda *arguments: json_of(run_here("data", "preview", *arguments, "--epochs", 1, "--json"))


def write_recipe(pics, train="", data=""):
    write_lists(pics, validate=2, test=0)
    text = f"data: {{base: {pics.parent}{data}}}\nmodule: digitnet\ntrain: {{{train}}}\n"
    Path("r.yaml").write_text(text, "utf-8")


def test_a_sheet_is_written_and_replaces_nothing_but_an_earlier_one(pics, here, preview, assert_refused):
    assert preview("pics", "--count", 2) == (
        "standard: crop [0.35, 1.0], flip 0.5, brightness 0.2, contrast 0.2, saturation 0.2\n"
        "2 pictures in 1 epoch written to preview.png\n"
    )
    assert sorted(path.name for path in here.iterdir()) == ["pics", "preview.png"]
    preview("pics", "--count", 1)
    content = (pics / "cat" / "000.png").read_bytes()
    (here / "mine.png").write_bytes(content)
    (here / "link.png").symlink_to(here / "nowhere")
    (here / "dir.png").mkdir()
    message = "exists and is not a preview: add --force to replace it, or name another file"
    assert_refused(
        *((f"data preview pics -o {name}", 2, f"{name} {message}") for name in ("mine.png", "link.png")),
        ("data preview nowhere -o a.jpg --force", 2, "-o a.jpg: name a file that ends in .png"),
        ("data preview nowhere -o no/a.png --force", 2, "There is no folder no to write into: make it first"),
        ("data preview nowhere -o dir.png --force", 2, "-o dir.png is a folder: name a file"),
    )
    assert (here / "mine.png").read_bytes() == content
    for force in (["--force"], []):
        preview("pics", "-o", "mine.png", *force, "--count", 1)


def test_archives_tables_and_the_training_list_can_be_previewed(pics, here, facts):
    shutil.make_archive("photos", "zip", "pics")
    rows = [f"{path.relative_to(here)},{path.parent.name}" for path in pics.rglob("*.png")]
    Path("photos.csv").write_text("\n".join(["path,label", *rows]))
    for source in ("photos.zip", "photos.csv", "pics"):
        if source == "pics":
            write_lists(pics, validate=2, test=0)
        shown = facts(source, "--count", 3)["pictures"]
        assert sorted(picture["label"] for picture in shown) == ["cat", "dog", "fox"]
    train = {example.path for example in ListDataset(".").examples("train")}
    assert {Path(picture["path"]) for picture in shown} <= train
    assert not {path.name for path in here.iterdir()} & {"photos-lists", "runs"}


def test_a_recipe_a_run_or_a_module_decides_what_is_drawn(pics, here, preview, facts):
    assert facts("pics", "--module", "digitnet", "--count", 1)["preprocessing"]["size"] == 32
    write_recipe(pics, "augment: flip, seed: 3", data=", fit: pad, channels: 4, size: 24")
    shown = facts("r.yaml")
    assert (shown["seed"], shown["augment"]) == (3, AugmentSettings(flip=0.5).model_dump())
    assert [shown["preprocessing"][name] for name in ("size", "fit", "channels")] == [24, "pad", 4]
    shown = facts("r.yaml", "--augment", "none", "--seed", 4)
    assert (shown["seed"], shown["augment"]) == (4, AugmentSettings().model_dump())
    (here / "runs").mkdir()
    Path("runs/recipe.yaml").write_text(Path("r.yaml").read_text("utf-8") + "strategy: frozen\n", "utf-8")
    text = preview("runs")
    assert "Strategy frozen ignores train.augment" in text and "recipe.yaml: flip 0.5\n" in text


def test_unreadable_pictures_are_named(pics, here, preview):
    write_lists(pics, validate=2, test=0)
    examples = ListDataset(".").examples("train")
    for example in examples[:4]:
        example.path.write_bytes(b"")
    text = preview("pics", "--count", 12)
    assert "5 pictures in 1 epoch written" in text and text.count("left out: ") == 4
    assert f"left out: {examples[0].path}: empty file (0 bytes)\n" in text


def test_missing_sources_lists_and_pictures_are_refused_and_missing_fonts_named(
    pics, here, preview, assert_refused
):
    write_recipe(pics)
    (here / "train_list.txt").write_text("gone.png 0\n")
    assert_refused(
        ("data preview nowhere", 2, "There is no nowhere: give a recipe"),
        ("data preview nowhere.yaml", 2, "there is no such file"),
        (
            "data preview pics --module digitnett",
            4,
            "There is no module 'digitnett'. Did you mean 'digitnet'?",
        ),
        ("data preview r.yaml", 3, "None of the 1 training pictures can be read"),
    )
    (here / "train_list.txt").write_text("")
    assert_refused(("data preview r.yaml", 3, "The training list of r.yaml has no picture"))
    (here / "train_list.txt").unlink()
    assert_refused(("data preview r.yaml", 3, "hubtune split"))
    (here / "train_list.txt").write_text(list_text([("pics/cat/000.png", 0)]), "utf-8")
    (here / "label_list.txt").write_text(labels_text(["\ue000", "dog", "ox"]), "utf-8")
    assert "No font on this machine can draw all class names" in preview("pics")


def test_multi_label_pictures_have_the_names_of_their_sets(here, facts):
    paths, truth = draw_labelled(here / "data", 40)
    write_label_lists(here / "data", paths, truth)
    Path("r.yaml").write_text("data: {base: data}\nmodule: digitnet\n", "utf-8")
    for source in ("data", "r.yaml"):
        for row in facts(source, "--augment", "strong")["pictures"]:
            own = truth[int(Path(row["path"]).stem)]
            names = [label for label, has in zip(LABELS, own, strict=True) if has]
            assert row["label"] == (" + ".join(names) or "(no label)")
