"""``hubtune recipe explain`` says what a recipe comes to."""

import json

import pytest
from PIL import Image
from support.commands import json_of, options

TEXT = "data: {base: nowhere}\nmodule: smallnet\ntrain: {epochs: 4, batch_size: 32}\n"


@pytest.fixture
def recipe(here):
    (here / "r.yaml").write_text(TEXT, "utf-8")
    return here / "r.yaml"


def test_the_table_names_stages_rules_and_what_is_frozen(recipe, run_here):
    rules = "strategy=[{match: head, lr_mult: 10}, {match: '*', frozen_epochs: 2}]"
    explain = ("recipe", "explain", "r.yaml", "--pictures")
    lines = run_here(*explain, 100, "-o", rules).stdout.splitlines()
    assert lines[0] == "optimiser adam, rate 0.0001, schedule linear"
    assert lines[1] == "4 epochs of 4 steps of 32 pictures; gradients not limited"
    [head] = [line for line in lines if line.startswith("head (2)")]
    assert head.split()[-4:] == ["0.001", "0.00075", "0.0005", "0.00025"]
    frozen = [line for line in lines if "2: *, frozen_epochs 2" in line]
    assert frozen and all(line.count("  frozen") == 2 for line in frozen)
    assert "head/head.0.bias" in run_here(*explain, 100, "--all").stdout
    done = run_here(*explain, 10, *options("train.learning_rate=auto"), "--plot", "rates.png")
    assert "rate 0.0001 (in place of auto, which a test decides)" in done.stdout
    with Image.open("rates.png") as image:
        assert image.format == "PNG" and image.width > 600


def test_a_short_form_keeps_its_meaning_beside_an_override(recipe, run_here):
    recipe.write_text(TEXT.replace("epochs: 4", "epochs: 4, optimizer: momentum"), "utf-8")
    changes = options("train.optimizer.momentum=0.5", "train.schedule=step", "train.schedule.every=2")
    found = json_of(run_here("recipe", "explain", "r.yaml", "--pictures", 10, *changes, "--json"))
    assert (found["optimizer"]["name"], found["optimizer"]["momentum"]) == ("momentum", 0.5)
    assert (found["schedule"]["name"], found["schedule"]["every"]) == ("step", 2)


def test_mistakes_are_told_in_a_sentence(recipe, assert_refused):
    explain = "recipe explain r.yaml --pictures 9"
    assert_refused(
        ("recipe explain r.yaml", 3, "There is no nowhere/train_list.txt"),
        ("recipe explain r.yaml -o strategy=frozen", 2, "Strategy frozen solves its head at once"),
        ([*explain.split(), "-o", "strategy=[{match: stage7}]"], 2, "No rule of the strategy covers"),
        (f"{explain} -o module=resnet5", 4, "There is no module 'resnet5'"),
        (f"{explain} --plot no/where.png", 5, "cannot be written"),
        (f"{explain} -o train.schedule=lineer", 2, "Did you mean 'linear'?"),
    )
    # An override does not hide a mistake in what it changes.
    recipe.write_text(TEXT.replace("epochs: 4", "augment: standart"), "utf-8")
    assert_refused((f"{explain} -o train.augment.mixup=0.2", 2, "id you mean 'standard'"))


def test_flags_of_train_py_become_a_recipe(here, run_here, assert_refused):
    flags = ("--model=AlexNet", "--batch_size", "8", "--with_mem_opt=True")
    printed = run_here("recipe", "from-flags", "--", *flags).stdout
    run_here("recipe", "from-flags", "-o", "r.yaml", "--", *flags)
    assert (here / "r.yaml").read_text("utf-8") == printed
    assert "#   --with_mem_opt (True): obsolete: Paddle saves memory by itself" in printed
    assert_refused(
        ("recipe from-flags", 2, "Give the flags after --"),
        ("recipe from-flags -- --modle=AlexNet", 2, "Did you mean 'model'?"),
        ("finetune r.yaml", 3, "There is no data folder data/ILSVRC2012"),
    )


def test_recipes_that_come_with_hubtune_are_listed_and_copied(run_here):
    assert "trashnet  " in run_here("recipe", "list").stdout
    names = [entry["name"] for entry in json.loads(run_here("recipe", "list", "--json").stdout)["recipes"]]
    assert "idol5" in names
    copied = run_here("recipe", "copy", "idol5", "new")
    assert copied.stdout.splitlines() == [
        "Written: new/recipes/idol5.yaml",
        "Written: new/datasets/idol5.yaml",
        "Next: hubtune finetune new/recipes/idol5.yaml",
    ]
    assert run_here("recipe", "copy", "none").returncode == 2
