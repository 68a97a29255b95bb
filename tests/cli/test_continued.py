"""``finetune --from RUN``, and a run that is resumed with more epochs."""

import shutil

import pytest
from support.commands import json_of
from support.images import draw_tree

from hubtune.hub.model_card import read_card
from hubtune.recipe.load import load_recipe

TINY = ("-o", "module=digitnet", "-o", "train.batch_size=4")


@pytest.fixture
def run(here, run_here):
    draw_tree(here / "pics", {"ant": 10, "bee": 10})
    run_here("finetune", "pics", *TINY, "-o", "strategy=frozen", "-o", "run=runs/old")
    return here / "runs" / "old"


@pytest.mark.slow
def test_one_more_class_joins_the_old_ones_and_what_was_forgotten_is_measured(here, run, run_here):
    draw_tree(here / "more", {"cow": 10})
    (here / "more" / "cow" / "bad.jpg").write_bytes(b"bad")
    done = run_here("finetune", "more", "--from", "runs/old")
    assert "more is a folder per class; 1 class: cow" in done.stderr
    assert "Left out: 1 file; not in any list." in done.stderr
    assert "pictures of 3 classes, 2 of them those of runs/old" in done.stderr
    assert "of the 4 test pictures of runs/old were right, now" in done.stdout
    assert read_card(here / "runs" / "more" / "best_model").labels == ["ant", "bee", "cow"]
    recipe = load_recipe(here / "runs" / "more" / "recipe.yaml")
    assert (recipe.module.name, recipe.strategy.name) == ("runs/old", "frozen")
    again = json_of(
        run_here("finetune", "more", "--from", "runs/old", "-o", "strategy=default_finetune", "--json")
    )
    assert again["old_classes"]["list"] == "test" and again["old_classes"]["count"] == 4
    assert (
        "the head of runs/old is kept for 2 of 3 classes" in (here / again["run"] / "train.log").read_text()
    )


@pytest.mark.slow
def test_the_classes_of_new_pictures_alone(here, run, run_here):
    draw_tree(here / "more", {"cow": 10, "bee": 10})
    done = json_of(run_here("finetune", "more", "--from", "runs/old", "--classes", "new-only", "--json"))
    assert done["old_classes"] is None
    assert read_card(here / done["best_model"]).labels == ["bee", "cow"]


@pytest.mark.slow
@pytest.mark.parametrize("place", [(), ("-o", "run=runs/other")])
def test_the_same_command_resumes_the_run(here, run, run_here, place):
    draw_tree(here / "more", {"cow": 10})
    command = ("finetune", "more", "--from", "runs/old", *place)
    first, again = json_of(run_here(*command, "--json")), json_of(run_here(*command, "--resume", "--json"))
    assert first["run"] == again["run"] and first["old_classes"] == again["old_classes"]


@pytest.mark.slow
def test_what_would_forget_classes_or_makes_no_sense_is_refused(here, run, assert_refused):
    draw_tree(here / "more", {"cow": 10})
    shutil.copytree(run / "best_model", "model")
    assert_refused(
        (
            "finetune more --from model",
            2,
            "model is a model without lists, so that the pictures of its classes",
        ),
        (
            "finetune runs/old/recipe.yaml --from runs/old",
            2,
            "--from goes with new pictures, and runs/old/recipe.yaml is",
        ),
        ("finetune mroe --from runs/old", 2, "There is no mroe: give the folder of the new pictures"),
        (
            "finetune more --from s3://b/runs/old",
            2,
            "--from: s3://b/runs/old is an address, and this must be",
        ),
        ("finetune more --from none", 4, "There is no model in none yet"),
        ("finetune more --classes all", 2, "--classes goes with --from RUN"),
        ("finetune more --from runs/old --folds 3", 2, "--from goes without --folds"),
        ("finetune more --from runs/old --classes new-only", 3, "only one class folder, 'cow'"),
    )
    shutil.rmtree("pics")
    assert_refused(("finetune more --from runs/old", 3, "All pictures of ant, bee are gone"))


@pytest.mark.slow
def test_more_epochs_go_on_with_the_run(here, run_here, assert_refused):
    draw_tree(here / "pics", {"ant": 10, "bee": 10})
    run_here("finetune", "pics", *TINY, "-o", "strategy=default_finetune", "-o", "train.epochs=2")
    run = here / "runs" / "pics"
    assert_refused(("finetune runs/pics --resume -o train.epochs=1", 2, "train.epochs was 2 and is now 1"))
    done = run_here("finetune", "runs/pics", "--resume", "-o", "train.epochs=4")
    assert "4 epochs in place of 2: from here on, the rate is that of a schedule of 4" in done.stderr
    assert load_recipe(run / "recipe.yaml").train.epochs == 4
    whole = here / "runs" / "whole"
    constant = ("-o", "train.schedule=constant")
    run_here(
        "finetune",
        "pics",
        *TINY,
        *constant,
        "-o",
        "strategy=default_finetune",
        "-o",
        "train.epochs=2",
        "-o",
        "run=runs/parts",
    )
    run_here("finetune", "runs/parts", "--resume", "-o", "train.epochs=4")
    run_here(
        "finetune",
        "pics",
        *TINY,
        *constant,
        "-o",
        "strategy=default_finetune",
        "-o",
        "train.epochs=4",
        "-o",
        f"run={whole}",
    )
    # Where the schedule does not know its end, the parts are the whole, to the bit.
    [one], [other] = ([*(each / "checkpoints").iterdir()] for each in (here / "runs" / "parts", whole))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
