"""``hubtune finetune`` with folders, recipes and runs."""

import re
import shutil

import pytest
from support.commands import json_of, options

from hubtune.errors import ModelError
from hubtune.hub import module
from hubtune.text import columns

SMALLNET = options("module.name=smallnet", "module.weights=none")


@pytest.fixture
def pics(here, draw_photos):
    return draw_photos(here / "pics", {"cat": 12, "dog": 12})


def test_a_folder_without_lists_is_split_into_the_run_and_resume_continues_the_named_one(
    pics, here, run_here, assert_refused
):
    done = run_here("finetune", "pics", *SMALLNET, "--json")
    assert json_of(done)["test"]["count"] == 4
    assert "No lists for pics yet: 18 for training, 2 for validation, 4 for the test" in done.stderr
    assert sorted(path.name for path in here.iterdir()) == ["pics", "runs"]
    assert json_of(run_here("finetune", "pics", *SMALLNET, "--json"))["run"] == "runs/pics-2"
    (here / "runs" / "pics" / "result.json").unlink()  # as if it had been stopped
    resumed = {"runs/pics": "runs/pics", "runs/pics-2": "runs/pics-2", "pics": "runs/pics-2"}
    for name, expected in resumed.items():
        assert json_of(run_here("finetune", name, "--resume", "--json"))["run"] == expected
    message = "train.batch_size was 32 and is now 2"
    assert_refused(("finetune runs/pics --resume -o train.batch_size=2", 2, message))


def test_a_recipe_is_run_and_its_run_folder_repeats_it(pics, here, run_here, assert_refused):
    json_of(run_here("split", "pics", "--val", 4, "--json"))
    (here / "small.yaml").write_text(
        "data: {base: .}\nmodule: {name: smallnet, weights: none}\nstrategy: scratch\n"
        "train: {epochs: 2, batch_size: 8, log_interval: 1}\n"
    )
    done = run_here("finetune", "small.yaml", "-o", "train.epochs=1")
    assert done.returncode == 0, done.stderr
    assert "[   TRAIN] - step 2 / 2: loss=" in done.stderr and "acc=" in done.stderr
    assert "[    EVAL] - [dev dataset evaluation result] loss=" in done.stderr
    repeated = run_here("finetune", "runs/small/recipe.yaml", "-o", "run=runs/again", "--json")
    assert json_of(repeated)["run"] == "runs/again"
    one, other = (here / "runs" / name / "best_model/model.safetensors" for name in ("small", "again"))
    assert one.read_bytes() == other.read_bytes()
    assert_refused(("finetune runs/small", 2, "Error: runs/small is a run: continue it with --resume"))


def test_figures_are_one_below_the_other_in_chinese(pics, run_here, monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "zh")
    done = run_here("finetune", "pics", *SMALLNET)
    assert done.returncode == 0, done.stderr
    results = [line for line in done.stdout.splitlines() if re.match("验证集：|测试集：|最优模型：", line)]
    assert len(results) == 3
    for line in results:
        title, gap = re.match("([^ ]+)( +)", line).groups()
        assert columns(title + gap) == 12


@pytest.fixture
def weights_wanted(monkeypatch):
    """The names of the weights that are fetched; nothing is."""
    names = []

    def refuse(pretrained, *arguments, **options):
        names.append(pretrained)
        raise ModelError("fetched")

    monkeypatch.setattr(module, "resolve_weights", refuse)
    return names


@pytest.mark.parametrize("command", ["finetune lists", "finetune r.yaml", "tune lists", "tune r.yaml"])
def test_an_emptied_training_list_is_named_before_weights_are_fetched(
    pics, here, run_here, assert_refused, weights_wanted, command
):
    json_of(run_here("split", "pics", "--val", 4, "--out", "lists", "--json"))
    (here / "r.yaml").write_text("data: {base: lists}\nmodule: resnet50_imagenet\nstrategy: default\n")
    (here / "lists" / "train_list.txt").write_bytes(b"")
    assert_refused((command, 3, "lists/train_list.txt has no picture: put the list back, or make new ones"))
    assert not weights_wanted and not (here / "runs").exists()


@pytest.mark.parametrize("name", ["validate", "test"])
def test_an_emptied_list_to_measure_on_is_named_before_weights_are_fetched(
    pics, here, run_here, weights_wanted, name
):
    json_of(run_here("split", "pics", "--val", 4, "--test", 4, "--out", "lists", "--json"))
    (here / "lists" / f"{name}_list.txt").write_bytes(b"")
    done = run_here("finetune", "lists", "-o", "module=resnet50_imagenet")
    assert done.returncode == 4 and len(weights_wanted) == 1
    words = {"validate": "validation", "test": "test"}[name]
    assert f"The {words} list lists/{name}_list.txt is empty: nothing is measured on it\n" in done.stderr
    assert done.stderr.index("is empty") < done.stderr.index("Error: fetched")


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        ("module=resnet5_imagenet", 4, "There is no module 'resnet5_imagenet'. Did you mean"),
        ("module.weights=gone.pdparams", 4, "The weights file gone.pdparams for"),
        ("module=dinov2_vits14 data.size=20", 2, "takes sizes that are multiples of 14: take 14 or 28"),
        ("module=googlenet_imagenet data.size=16", 2, "size: 16 is too small for googlenet_imagenet"),
    ],
)
def test_a_module_is_refused_before_images_are_read(
    pics, here, assert_refused, monkeypatch, overrides, code, message
):
    monkeypatch.setattr("hubtune.data.prepare.scan_listing", None)
    more = options(*overrides.split())
    for command in ("finetune pics", "finetune pics --folds 2", "tune pics"):
        assert_refused(([*command.split(), *more], code, message))
    assert not (here / "runs").exists()


def test_a_divided_folder_is_trained_on_as_it_is(here, run_here, draw_photos):
    for part in ("train", "val", "test"):
        draw_photos(here / "set" / part, {"cat": 6, "dog": 6}, seed=len(part))
    shutil.copy(here / "set" / "train" / "cat" / "000.png", here / "set" / "test" / "cat" / "x.png")
    done = run_here("finetune", "set", *SMALLNET, "-o", "run=runs/mine")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith(
        "set is divided already: training pictures in train, validation pictures in val"
    )
    assert lines[1] == "Lists: 12 for training, 12 for validation, 13 for the test"
    assert {
        "• 1 of 13 test pictures has copies in the training list (1 equal).",
        "For lists without leaks: hubtune split --from runs/mine/lists --out DIR",
        "Data: runs/mine/lists; module: smallnet; strategy: frozen",
    } <= set(lines)
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["latest", "mine"]


def test_a_checkpoint_is_for_a_run_that_is_resumed_and_chance_level_is_said(
    pics, here, run_here, assert_refused
):
    words = "--checkpoint goes with --resume"
    assert_refused(("finetune pics --checkpoint 3", 2, words))
    assert_refused(("finetune pics --folds 2 --resume --checkpoint 3", 2, words))
    done = run_here(
        "finetune", "pics", *SMALLNET, *options("strategy=default_finetune", "train.learning_rate=1e-9")
    )
    assert "not shown to be better than guessing: always naming the most frequent class" in done.stdout
    again = json_of(run_here("finetune", "runs/pics", "--resume", "--json"))
    assert again["chance_level"] in done.stdout and again["test"]["largest_class"] == 0.5
    assert_refused(("finetune runs/pics --resume --checkpoint 3", 2, "runs/pics has finished"))


@pytest.mark.slow
def test_labels_against_folders_are_a_question_that_the_option_settles_in_every_command(
    here, draw_photos, run_here, assert_refused
):
    draw_photos(here / "data", {"cat": 6, "dog": 6})
    lines = [f"{label}/00{n}.png {number}\n" for number, label in enumerate(("dog", "cat")) for n in range(6)]
    for name, part in (("train", lines[:5] + lines[6:11]), ("validate", [lines[5], lines[11]])):
        (here / "data" / f"{name}_list.txt").write_text("".join(part))
    (here / "data" / "label_list.txt").write_text("cat\ndog\n")
    said = "the label list is in another order than the labels"
    option = ("--labels-are", "numbers")
    assert_refused(
        *(
            (command, 3, said)
            for command in (["finetune", "data", *SMALLNET], "split --from data", "scan data")
        )
    )
    run = ("-o", "run=runs/x")
    assert run_here("finetune", "data", *SMALLNET, *run, *option).returncode == 0
    recipe = here / "runs" / "x" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("labels_are: numbers", "labels_are: null"))  # an older run
    (here / "runs" / "x" / "result.json").unlink()
    assert_refused(("finetune runs/x --resume", 3, said), ("evaluate runs/x", 3, said))
    for command in ("finetune runs/x --resume", "evaluate runs/x", "split --from data", "scan data"):
        assert run_here(*command.split(), *option).returncode == 0, command
