"""``hubtune recipe explain`` says what a recipe comes to."""

import pytest
from PIL import Image
from support.commands import json_of, options


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("data: {base: nowhere}\nmodule: smallnet\ntrain: {epochs: 4, batch_size: 32}\n", "utf-8")
    return file


def _explained(run_here, *arguments):
    return json_of(run_here("recipe", "explain", *arguments, "--json"))


def test_the_table_names_stages_rules_and_what_is_frozen(recipe, run_here):
    rules = "strategy=[{match: head, lr_mult: 10}, {match: '*', frozen_epochs: 2}]"
    done = run_here("recipe", "explain", recipe, "--pictures", "100", "-o", rules)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "optimiser adam, rate 0.0001, schedule linear"
    assert lines[1] == "4 epochs of 4 steps of 32 pictures; gradients not limited"
    [head] = [line for line in lines if line.startswith("head (2)")]
    assert head.split()[-4:] == ["0.001", "0.00075", "0.0005", "0.00025"]
    frozen = [line for line in lines if "2: *, frozen_epochs 2" in line]
    assert frozen and all(line.count("  frozen") == 2 for line in frozen)
    each = run_here("recipe", "explain", recipe, "--pictures", "100", "--all").stdout
    assert "head/head.0.bias" in each


def test_rates_are_drawn_and_one_that_a_test_decides_is_named_as_such(recipe, run_here, tmp_path):
    auto = options("train.learning_rate=auto")
    done = run_here("recipe", "explain", recipe, "--pictures", "10", *auto, "--plot", tmp_path / "rates.png")
    assert "rate 0.0001 (in place of auto, which a test decides)" in done.stdout
    with Image.open(tmp_path / "rates.png") as image:
        assert image.format == "PNG" and image.width > 600


def test_a_short_form_keeps_its_meaning_beside_an_override(recipe, run_here):
    text = recipe.read_text("utf-8")
    recipe.write_text(text.replace("epochs: 4", "epochs: 4, optimizer: momentum"), "utf-8")
    changes = options("train.optimizer.momentum=0.5", "train.schedule=step", "train.schedule.every=2")
    found = _explained(run_here, recipe, "--pictures", "10", *changes)
    assert (found["optimizer"]["name"], found["optimizer"]["momentum"]) == ("momentum", 0.5)
    assert (found["schedule"]["name"], found["schedule"]["every"]) == ("step", 2)
    # An override does not hide a mistake in what it changes.
    recipe.write_text(text.replace("epochs: 4", "augment: standart"), "utf-8")
    mixup = options("train.augment.mixup=0.2")
    done = run_here("recipe", "explain", recipe, "--pictures", "10", *mixup)
    assert done.returncode == 2 and "did you mean 'standard'" in done.stderr.lower()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 3, "There is no nowhere/train_list.txt"),
        (["-o", "strategy=frozen"], 2, "Strategy frozen solves its head at once"),
        (["--pictures", "9", "-o", "strategy=[{match: stage7}]"], 2, "No rule of the strategy covers"),
        (["--pictures", "9", "-o", "module=resnet5"], 4, "There is no module 'resnet5'"),
        (["--pictures", "9", "--plot", "no/where.png"], 5, "cannot be written"),
        (["--pictures", "9", "-o", "train.schedule=lineer"], 2, "Did you mean 'linear'?"),
    ],
)
def test_mistakes_are_told_in_a_sentence(recipe, run_here, arguments, code, message):
    done = run_here("recipe", "explain", recipe, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
